// JSON as it is written and read, with Foundation's beside it.
import Foundation
import JSONCoding
import Testing

/// Values of any kind.
private indirect enum Anything: Codable, Equatable {
  case null
  case flag(Bool)
  case number(Double)
  case text(String)
  case array([Anything])
  case object([String: Anything])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else if let array = try? container.decode([Anything].self) {
      self = .array(array)
    } else {
      self = .object(try container.decode([String: Anything].self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .flag(let flag): try container.encode(flag)
    case .number(let number): try container.encode(number)
    case .text(let text): try container.encode(text)
    case .array(let array): try container.encode(array)
    case .object(let object): try container.encode(object)
    }
  }
}

private enum Choice: Codable, Equatable {
  case none
  case one(Int)
  case both(left: String?, right: [UInt8])
}

/// All that the answers have members of.
private struct Members: Codable, Equatable {
  var a: Int8 = -128
  var b: UInt64 = .max
  var c = 0.5
  var d: String? = nil
  var e: [Int?] = [1, nil]
  var f = ["y": true, "x": false]
  var g = [Choice.none, .one(1), .both(left: nil, right: [0, 255])]
  var h: Float = 0.1
  var i = [Int.min: "least"]
}

private class Base: Codable {
  let base: Int
  init(base: Int) { self.base = base }
}

/// With what its superclass has under its own name.
private final class Derived: Base {
  let own: Int

  init(base: Int, own: Int) {
    self.own = own
    super.init(base: base)
  }

  private enum CodingKeys: CodingKey { case own }

  required init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    own = try members.decode(Int.self, forKey: .own)
    try super.init(from: members.superDecoder())
  }

  override func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode(own, forKey: .own)
    try super.encode(to: members.superEncoder())
  }
}

@Suite struct JSONTests {
  private func text(_ value: some Encodable) throws -> String {
    String(decoding: try JSON.encode(value), as: UTF8.self)
  }

  private func foundationText(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  private func read(_ text: String) -> Anything? { read(Array(text.utf8)) }
  private func read(_ octets: [UInt8]) -> Anything? {
    try? JSON.decode(Anything.self, from: octets)
  }

  // MARK: Writing

  @Test func valuesAreWrittenAndReadAgain() throws {
    let members = Members()
    #expect(
      try text(members) == """
        {"a":-128,"b":18446744073709551615,"c":0.5,"e":[1,null],"f":{"x":false,"y":true},\
        "g":[{"none":{}},{"one":{"_0":1}},{"both":{"right":[0,255]}}],"h":0.1,\
        "i":{"-9223372036854775808":"least"}}
        """)
    #expect(try text(members) == foundationText(members))
    #expect(try JSON.decode(Members.self, from: try JSON.encode(members)) == members)

    let derived = Derived(base: 1, own: 2)
    #expect(try text(derived) == #"{"own":2,"super":{"base":1}}"#)
    let again = try JSON.decode(Derived.self, from: try JSON.encode(derived))
    #expect(again.base == 1 && again.own == 2)
  }

  @Test func membersAreSortedByName() throws {
    let names = ["b", "a", "B", "_", "a_b", "aB", "a10", "a9", "é", "\u{FFFD}", "😀"]
    let object = Dictionary(uniqueKeysWithValues: names.map { ($0, 1) })
    #expect(try text(object).hasPrefix(#"{"B":1,"_":1,"a":1,"a10":1,"a9":1,"aB":1,"a_b":1,"b":1"#))
    #expect(try text(object) == foundationText(object))
  }

  @Test func stringsAreEscapedWhereTheyMustBe() throws {
    let all = String(String.UnicodeScalarView((0..<0x2030).compactMap(Unicode.Scalar.init))) + "😀"
    #expect(try text(all) == foundationText(all))
    #expect(read(try text(all)) == .text(all))
  }

  @Test(arguments: [
    0, -0.0, 1, 0.1, 1e15, 1e16, 1e-7, 123_456_789, -2.5e300, .leastNonzeroMagnitude,
  ])
  func numbersAreShort(_ number: Double) throws {
    #expect(try text(number) == foundationText(number))
    #expect(read(try text(number)) == .number(number))
  }

  @Test(arguments: [Double.infinity, -.infinity, .nan])
  func whatIsNoNumberIsNotWritten(_ number: Double) {
    #expect(throws: EncodingError.self) { try JSON.encode([number]) }
  }

  // MARK: Reading

  @Test(arguments: [
    #"{"a":1.0}"#, #"{"a":1e2}"#, #"{"a":-0}"#, #"{"a":2.55e2}"#, #"{"a":7,"a":8}"#,
    " {\t\"a\"\r\n: 9 } ",
  ])
  func integersAreReadHoweverTheyAreWritten(_ text: String) throws {
    let value = try JSON.decode([String: UInt8].self, from: text.utf8)
    #expect(try value == JSONDecoder().decode([String: UInt8].self, from: Data(text.utf8)))
  }

  @Test(arguments: [
    "", " ", "{", "}", "[1", "[1,]", "[,1]", "[1 2]", #"{"a":1,}"#, #"{"a" 1}"#, #"{"a":}"#,
    "{a:1}", "{1:1}",
    "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "nul", "True", "truefalse",
    "1 1",
    "\"", "\"\t\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", #""\ud800""#, #""\udc00""#,
    #""\ud800\u0041""#,
    "'a'", "\u{FEFF}1", "1\u{0}", "// 1", "[1]]",
  ])
  func whatIsNoJSONIsRefused(_ text: String) { #expect(read(text) == nil) }

  @Test(arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3]])
  func whatIsNoUTF8IsRefused(_ octets: [UInt8]) {
    let quote = UInt8(ascii: "\"")
    #expect(read([quote] + octets + [quote]) == nil)
    #expect(read([quote, UInt8(ascii: "\\"), UInt8(ascii: "n")] + octets + [quote]) == nil)
  }

  @Test func depthIsBounded() {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(read(nested(512)) != nil)
    #expect(read(nested(513)) == nil)
    #expect(read(nested(1_000_000)) == nil)
    #expect(read(String(repeating: #"{"a":"#, count: 1_000_000)) == nil)
  }

  @Test func errorsTellWhatIsWrongWhere() {
    func error<Value: Decodable>(_ type: Value.Type, _ text: String) -> String {
      do {
        return "\(try JSON.decode(type, from: text.utf8))"
      } catch .keyNotFound(let key, let context) as DecodingError {
        return (context.codingPath + [key]).map(\.stringValue).joined(separator: " ")
          + " is missing"
      } catch .typeMismatch(_, let context) as DecodingError,
        .valueNotFound(_, let context) as DecodingError,
        .dataCorrupted(let context) as DecodingError
      {
        let path = context.codingPath.map(\.stringValue).joined(separator: " ")
        return path + ": " + context.debugDescription
      } catch {
        return "\(error)"
      }
    }
    typealias Numbers = [String: [UInt8]]
    #expect(
      error(Numbers.self, #"{"a":[1,256]}"#) == "a Index 1: 256 is no UInt8")
    #expect(error(Numbers.self, #"{"a":[1.5]}"#) == "a Index 0: 1.5 is no UInt8")
    #expect(error([UInt64].self, "[1e19]") == "Index 0: 1e19 is no UInt64")
    #expect(error([Double].self, "[1e400]") == "Index 0: 1e400 is no Double")
    #expect(
      error(Numbers.self, #"{"a":[null]}"#)
        == "a Index 0: Expected to decode UInt8 but found null instead.")
    #expect(
      error([String: Bool].self, #"{"a":0}"#)
        == "a: Expected to decode Bool but found number instead.")
    #expect(error(Numbers.self, #"{"a":{}}"#).hasSuffix("but found a dictionary instead."))
    #expect(error([String: String].self, "[]").hasSuffix("but found an array instead."))
    #expect(error(Members.self, #"{"a":1}"#) == "b is missing")
    #expect(error(Numbers.self, "{").hasSuffix(": The given data was not valid JSON."))
  }

  /// Where both take it, both take it for the same. Foundation's also takes what is none: commas behind
  /// the last, and what is no UTF-8 in members that nobody asks for.
  @Test func damagedTextIsReadAsFoundationReadsIt() throws {
    let whole = Array(
      #"{"a":[1,-2.5e+3,"x\u00e9\n",{"b":null,"c":true}],"d":{},"e":[],"f":"é😀","g":0.0}"#.utf8)
    let parts = Array(#"{}[],:"\-.eE+019tfn u"#.utf8) + [0x00, 0x0A, 0x80, 0xC3, 0xFF]
    var readable = 0
    for index in whole.indices {
      for part in parts {
        for damaged in [
          whole[..<index] + [part] + whole[index...],
          whole[..<index] + [part] + whole[(index + 1)...],
        ] {
          guard let value = read(Array(damaged)) else { continue }
          readable += 1
          #expect(try value == JSONDecoder().decode(Anything.self, from: Data(damaged)))
        }
      }
    }
    #expect(readable > 500)
  }
}
