// Changes from JSON lines. There may be millions: lines as the writer writes them are read octet by
// octet, all others by a JSON decoder.
import FoundationEssentials

/// Reads changes, an object on a line each.
public struct AssociationChangeReader {
  /// A line that is no change.
  public struct Malformed: Error, Equatable {
    /// Counted from 1.
    public let line: Int

    public init(line: Int) { self.line = line }
  }

  private typealias Octets = UnsafeBufferPointer<UInt8>

  /// The label that was read last: most lines have the same.
  private var label = ""

  /// All changes of a text. The last line may be without an end.
  public static func read(_ text: [UInt8]) throws(Malformed) -> [AssociationChange] {
    var reader = AssociationChangeReader()
    let changes = text.withUnsafeBufferPointer { reader.read($0) }
    return try changes.get()
  }

  private mutating func read(_ text: Octets) -> Result<[AssociationChange], Malformed> {
    var changes: [AssociationChange] = []
    changes.reserveCapacity(text.count / 96)
    var rest = text[...]
    while !rest.isEmpty {
      let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
      let line = Octets(rebasing: rest[..<end])
      guard let change = readWritten(line) ?? AssociationChange(json: line) else {
        return .failure(Malformed(line: changes.count + 1))
      }
      changes.append(change)
      rest = rest[min(end + 1, rest.endIndex)...]
    }
    return .success(changes)
  }

  // MARK: Lines as they are written

  /// `nil` where it is another text, be it a change or not.
  private mutating func readWritten(_ line: Octets) -> AssociationChange? {
    var cursor = LineCursor(line)
    guard cursor.skip(#"{"at":"#), let at = cursor.number(), at <= AssociationChange.latest else {
      return nil
    }
    if cursor.skip(#","class":""#) {
      guard let clientClass = cursor.string().flatMap({ Self.clientClass($0) }),
        cursor.skip(#","client":""#), let client = cursor.string().flatMap({ Client(utf8: $0) }),
        cursor.skip(#","real_server":""#), let realServer = cursor.string().flatMap(Self.address),
        let label = readLabel(&cursor), cursor.skip("}"), cursor.isAtEnd
      else { return nil }
      return .association(
        SharedAssociation(
          at: at, clientClass: clientClass, client: client, realServer: realServer,
          virtualServer: label))
    }
    guard cursor.skip(#","client":""#), let client = cursor.string().flatMap({ Client(utf8: $0) }),
      cursor.skip(#","gone":""#),
      let reason = cursor.string().flatMap({
        GoneAssociation.Reason(rawValue: String(decoding: $0, as: UTF8.self))
      }),
      let label = readLabel(&cursor), cursor.skip("}"), cursor.isAtEnd
    else { return nil }
    return .gone(GoneAssociation(at: at, client: client, reason: reason, virtualServer: label))
  }

  private mutating func readLabel(_ cursor: inout LineCursor) -> String? {
    guard cursor.skip(#","virtual_server":""#), let octets = cursor.string(), !octets.isEmpty else {
      return nil
    }
    if !octets.elementsEqual(label.utf8) { label = String(decoding: octets, as: UTF8.self) }
    return label
  }

  private static func clientClass(_ octets: Octets) -> ClientClass? {
    ClientClass.allCases.first { octets.elementsEqual($0.rawValue.utf8) }
  }

  private static func address(_ octets: Octets) -> IPAddress? {
    octets.contains(UInt8(ascii: "%")) ? nil : IPAddress(utf8: octets)
  }
}

/// Walks along a line.
private struct LineCursor {
  private let line: UnsafeBufferPointer<UInt8>
  private var index = 0

  init(_ line: UnsafeBufferPointer<UInt8>) { self.line = line }

  var isAtEnd: Bool { index == line.count }

  /// Goes behind a text, where it comes next.
  mutating func skip(_ text: StaticString) -> Bool {
    let length = text.utf8CodeUnitCount
    guard line.count - index >= length else { return false }
    for offset in 0..<length where line[index + offset] != text.utf8Start[offset] { return false }
    index += length
    return true
  }

  /// A number without leading zeros.
  mutating func number() -> UInt64? {
    let start = index
    var number: UInt64 = 0
    while index < line.count, index - start < 16 {
      let digit = line[index] &- UInt8(ascii: "0")
      guard digit < 10 else { break }
      number = number * 10 + UInt64(digit)
      index += 1
    }
    guard index > start, index - start == 1 || line[start] != UInt8(ascii: "0") else { return nil }
    return number
  }

  /// What stands up to the next quote; `nil` where it is not printable ASCII, or has a backslash.
  mutating func string() -> UnsafeBufferPointer<UInt8>? {
    let start = index
    while index < line.count {
      switch line[index] {
      case UInt8(ascii: "\""):
        index += 1
        return UnsafeBufferPointer(rebasing: line[start..<(index - 1)])
      case UInt8(ascii: "\\"), ..<0x20, 0x7f...: return nil
      default: index += 1
      }
    }
    return nil
  }
}

// MARK: - Any other order and spacing

/// A member of an object.
private enum Member: Decodable, Equatable {
  case null
  case number(UInt64)
  case text(String)

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let number = try? container.decode(UInt64.self) {
      self = .number(number)
    } else {
      self = .text(try container.decode(String.self))
    }
  }

  var text: String? { if case .text(let text) = self { text } else { nil } }
  var number: UInt64? { if case .number(let number) = self { number } else { nil } }
}

extension AssociationChange {
  /// Of the members of one kind of change, all of them and no others.
  fileprivate init?(json line: UnsafeBufferPointer<UInt8>) {
    let decoder = JSONDecoder()
    guard let members = try? decoder.decode([String: Member].self, from: Data(line)),
      let at = members["at"]?.number, at <= AssociationChange.latest,
      let label = members["virtual_server"]?.text, !label.isEmpty
    else { return nil }
    let client = members["client"]?.text.flatMap { Client($0) }
    let realServer = members["real_server"]?.text.flatMap { text in
      text.contains("%") ? nil : IPAddress(text)
    }
    switch (Set(members.keys), client, realServer) {
    case (["at", "class", "client", "real_server", "virtual_server"], let client?, let address?):
      guard let clientClass = members["class"]?.text.flatMap(ClientClass.init) else { return nil }
      self = .association(
        SharedAssociation(
          at: at, clientClass: clientClass, client: client, realServer: address,
          virtualServer: label))
    case (["at", "client", "gone", "virtual_server"], let client?, nil):
      guard let reason = members["gone"]?.text.flatMap(GoneAssociation.Reason.init) else {
        return nil
      }
      self = .gone(GoneAssociation(at: at, client: client, reason: reason, virtualServer: label))
    case (["at", "real_server", "state", "virtual_server", "weight"], nil, let address?):
      let state = members["state"]?.text.flatMap(RealServer.State.init)
      let weight = members["weight"]?.number.flatMap { Int(exactly: $0) }
      guard state != nil || members["state"] == .null, weight != nil || members["weight"] == .null,
        weight ?? 0 <= RealServer.mostWeight
      else { return nil }
      self = .override(
        SharedOverride(
          at: at, realServer: address, state: state, virtualServer: label, weight: weight))
    default: return nil
    }
  }
}
