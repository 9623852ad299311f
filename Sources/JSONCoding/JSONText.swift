// What was encoded, as octets.

struct JSONText {
  private(set) var octets: [UInt8] = []

  mutating func append(_ element: JSONElement) {
    switch element {
    case .literal(let literal): octets += literal.utf8
    case .string(let string): append(string)
    case .node(let node): append(node)
    }
  }

  private mutating func append(_ node: JSONNode) {
    if node.isArray {
      append(node.elements, between: "[", "]") { text, element in text.append(element) }
    } else {
      let members = zip(node.names, node.elements).sorted { $0.0 < $1.0 }
      append(members, between: "{", "}") { text, member in
        text.append(member.0)
        text.octets.append(UInt8(ascii: ":"))
        text.append(member.1)
      }
    }
  }

  private mutating func append<Part>(
    _ parts: [Part], between begin: Unicode.Scalar, _ end: Unicode.Scalar,
    _ append: (inout JSONText, Part) -> Void
  ) {
    octets.append(UInt8(ascii: begin))
    for (index, part) in parts.enumerated() {
      if index > 0 { octets.append(UInt8(ascii: ",")) }
      append(&self, part)
    }
    octets.append(UInt8(ascii: end))
  }

  /// With quotes. What must be escaped is (RFC 8259, section 7), and nothing else.
  private mutating func append(_ string: String) {
    octets.append(UInt8(ascii: "\""))
    for octet in string.utf8 {
      switch octet {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): octets += [UInt8(ascii: "\\"), octet]
      case 0x08: octets += #"\b"#.utf8
      case 0x09: octets += #"\t"#.utf8
      case 0x0A: octets += #"\n"#.utf8
      case 0x0C: octets += #"\f"#.utf8
      case 0x0D: octets += #"\r"#.utf8
      case 0..<0x10: octets += "\\u000\(String(octet, radix: 16))".utf8
      case 0x10..<0x20: octets += "\\u00\(String(octet, radix: 16))".utf8
      default: octets.append(octet)
      }
    }
    octets.append(UInt8(ascii: "\""))
  }
}
