// JSON as it was read, before anything is made of it.

enum JSONValue {
  case null
  case flag(Bool)
  /// As it was written.
  case number(String)
  case string(String)
  case array([JSONValue])
  /// Of several members of one name the first.
  case object([String: JSONValue])

  init(_ bytes: some Sequence<UInt8>) throws(MalformedJSON) {
    let result = Array(bytes).withUnsafeBufferPointer { bytes in
      Result { () throws(MalformedJSON) in
        var parser = JSONParser(bytes)
        return try parser.parse()
      }
    }
    self = try result.get()
  }
}

struct MalformedJSON: Error {}

private struct JSONParser {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var index = 0
  private var depth = 0

  /// How deep arrays and objects may be in each other: each takes of the stack.
  private static let mostDepth = 512

  init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

  mutating func parse() throws(MalformedJSON) -> JSONValue {
    let value = try value()
    skipBlanks()
    guard index == bytes.count else { throw MalformedJSON() }
    return value
  }

  /// The next byte, which is not taken; 0, which stands nowhere in JSON, behind the last.
  private var next: UInt8 { index < bytes.count ? bytes[index] : 0 }

  private mutating func skipBlanks() {
    while [0x20, 0x09, 0x0A, 0x0D].contains(next) { index += 1 }
  }

  /// Takes a byte, where it is the next.
  private mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: scalar) else { return false }
    index += 1
    return true
  }

  private mutating func expect(_ text: StaticString) throws(MalformedJSON) {
    let end = index + text.utf8CodeUnitCount
    let expected = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    guard end <= bytes.count, bytes[index..<end].elementsEqual(expected) else {
      throw MalformedJSON()
    }
    index = end
  }

  private mutating func value() throws(MalformedJSON) -> JSONValue {
    skipBlanks()
    switch next {
    case UInt8(ascii: "{"):
      return .object(try nested { (parser) throws(MalformedJSON) in try parser.members() })
    case UInt8(ascii: "["):
      return .array(try nested { (parser) throws(MalformedJSON) in try parser.elements() })
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"):
      try expect("true")
      return .flag(true)
    case UInt8(ascii: "f"):
      try expect("false")
      return .flag(false)
    case UInt8(ascii: "n"):
      try expect("null")
      return .null
    default: return .number(try number())
    }
  }

  private mutating func nested<Content>(
    _ read: (inout Self) throws(MalformedJSON) -> Content
  ) throws(MalformedJSON) -> Content {
    depth += 1
    guard depth <= Self.mostDepth else { throw MalformedJSON() }
    index += 1
    let content = try read(&self)
    depth -= 1
    return content
  }

  private mutating func elements() throws(MalformedJSON) -> [JSONValue] {
    var elements: [JSONValue] = []
    skipBlanks()
    if skip("]") { return elements }
    while true {
      elements.append(try value())
      skipBlanks()
      if skip("]") { return elements }
      guard skip(",") else { throw MalformedJSON() }
    }
  }

  private mutating func members() throws(MalformedJSON) -> [String: JSONValue] {
    var members = [String: JSONValue](minimumCapacity: 8)
    skipBlanks()
    if skip("}") { return members }
    while true {
      skipBlanks()
      let name = try string()
      skipBlanks()
      guard skip(":") else { throw MalformedJSON() }
      let value = try value()
      if let first = members.updateValue(value, forKey: name) { members[name] = first }
      skipBlanks()
      if skip("}") { return members }
      guard skip(",") else { throw MalformedJSON() }
    }
  }

  private mutating func number() throws(MalformedJSON) -> String {
    let start = index
    _ = skip("-")
    if !skip("0") { try skipDigits() }
    if skip(".") { try skipDigits() }
    if skip("e") || skip("E") {
      _ = skip("+") || skip("-")
      try skipDigits()
    }
    return String(decoding: bytes[start..<index], as: UTF8.self)
  }

  private mutating func skipDigits() throws(MalformedJSON) {
    let start = index
    while UInt8(ascii: "0")...UInt8(ascii: "9") ~= next { index += 1 }
    guard index > start else { throw MalformedJSON() }
  }

  private mutating func string() throws(MalformedJSON) -> String {
    guard skip("\"") else { throw MalformedJSON() }
    let start = index
    while next >= 0x20, next != UInt8(ascii: "\""), next != UInt8(ascii: "\\") { index += 1 }
    let begin = UnsafeBufferPointer(rebasing: bytes[start..<index])
    let text =
      skip("\"")
      ? String(validating: begin, as: UTF8.self)
      : String(validating: try escaped(behind: Array(begin)), as: UTF8.self)
    guard let text else { throw MalformedJSON() }
    return text
  }

  /// The rest of a string, up to its quote.
  private mutating func escaped(behind begin: [UInt8]) throws(MalformedJSON) -> [UInt8] {
    var octets = begin
    while !skip("\"") {
      guard next >= 0x20 else { throw MalformedJSON() }
      if skip("\\") {
        try escape(onto: &octets)
      } else {
        octets.append(next)
        index += 1
      }
    }
    return octets
  }

  private mutating func escape(onto octets: inout [UInt8]) throws(MalformedJSON) {
    let kind = next
    index += 1
    switch kind {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): octets.append(kind)
    case UInt8(ascii: "b"): octets.append(0x08)
    case UInt8(ascii: "f"): octets.append(0x0C)
    case UInt8(ascii: "n"): octets.append(0x0A)
    case UInt8(ascii: "r"): octets.append(0x0D)
    case UInt8(ascii: "t"): octets.append(0x09)
    case UInt8(ascii: "u"):
      var units = [try unit()]
      if UTF16.isLeadSurrogate(units[0]) {
        try expect("\\u")
        units.append(try unit())
      }
      guard let text = String(validating: units, as: UTF16.self) else { throw MalformedJSON() }
      octets += text.utf8
    default: throw MalformedJSON()
    }
  }

  /// Four hexadecimal digits.
  private mutating func unit() throws(MalformedJSON) -> UInt16 {
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(next)).hexDigitValue else { throw MalformedJSON() }
      unit = unit << 4 | UInt16(digit)
      index += 1
    }
    return unit
  }
}
