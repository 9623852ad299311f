// JSON objects without another inside, as the lines of changes are. There are millions of them, for which
// Foundation's decoder takes too long.
import Control

/// The members of an object whose values are texts, whole numbers, `null`, `true` or `false`.
struct FlatObject {
  enum Value {
    case text(String)
    case number(UInt64)
    case null
    case bool(Bool)
  }

  private var members: [(name: String, value: Value)] = []

  /// `nil` for anything else.
  init?(_ line: ArraySlice<UInt8>) {
    var reader = Reader(rest: line)
    guard reader.take("{") else { return nil }
    members.reserveCapacity(6)
    if !reader.take("}") {
      repeat {
        guard let name = reader.text(), reader.take(":"), let value = reader.value() else {
          return nil
        }
        members.append((name, value))
      } while reader.take(",")
      guard reader.take("}") else { return nil }
    }
    guard reader.isAtEnd() else { return nil }
  }

  subscript(name: String) -> Value? { members.first { $0.name == name }?.value }

  func text(_ name: String) -> String? {
    if case .text(let text)? = self[name] { text } else { nil }
  }

  func number(_ name: String) -> UInt64? {
    if case .number(let number)? = self[name] { number } else { nil }
  }

  private struct Reader {
    var rest: ArraySlice<UInt8>

    private mutating func skipBlanks() {
      while let first = rest.first, first == 0x20 || (0x09...0x0d).contains(first) {
        rest.removeFirst()
      }
    }

    mutating func isAtEnd() -> Bool {
      skipBlanks()
      return rest.isEmpty
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
      skipBlanks()
      guard rest.first == UInt8(ascii: character) else { return false }
      rest.removeFirst()
      return true
    }

    mutating func text() -> String? {
      guard take("\"") else { return nil }
      let start = rest.startIndex
      var end = start
      var isEscaped = false
      while true {
        guard end < rest.endIndex, rest[end] >= 0x20 else { return nil }
        if rest[end] == UInt8(ascii: "\"") { break }
        if rest[end] == UInt8(ascii: "\\") {
          isEscaped = true
          end += 1
        }
        end += 1
      }
      let bytes = rest[start..<end]
      rest = rest[(end + 1)...]
      guard isEscaped else { return String(validating: bytes, as: UTF8.self) }
      return try? JSON.decode(String.self, from: [0x22] + bytes + [0x22])
    }

    mutating func value() -> Value? {
      skipBlanks()
      switch rest.first {
      case UInt8(ascii: "\"")?: return text().map { .text($0) }
      case UInt8(ascii: "n")?: return word("null") ? .null : nil
      case UInt8(ascii: "t")?: return word("true") ? .bool(true) : nil
      case UInt8(ascii: "f")?: return word("false") ? .bool(false) : nil
      default: return number().map { .number($0) }
      }
    }

    private mutating func word(_ word: String) -> Bool {
      guard rest.starts(with: word.utf8) else { return false }
      rest.removeFirst(word.utf8.count)
      return true
    }

    private mutating func number() -> UInt64? {
      var number: UInt64 = 0
      var count = 0
      while let digit = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) {
        let (product, isTooLarge) = number.multipliedReportingOverflow(by: 10)
        let (sum, isOver) = product.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
        guard !isTooLarge, !isOver else { return nil }
        number = sum
        count += 1
        rest.removeFirst()
      }
      return count > 0 ? number : nil
    }
  }
}
