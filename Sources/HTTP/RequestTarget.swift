// What a request asks for: its target in parts. Knows nothing of sockets.

/// A request's target (RFC 9112, section 3.2) in parts.
struct RequestTarget {
  let path: String
  let segments: [String]
  let query: [(name: String, value: String)]

  /// `nil` where it is none that a server of its own resources is asked for, or is not well encoded.
  init?(_ target: String) {
    // What a URI cannot hold is not guessed at: it has come here by mistake or by malice.
    guard target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "#") }) else {
      return nil
    }
    var rest = target[...]
    if rest == "*" {
      path = "*"
      segments = []
      query = []
      return
    }
    for scheme in ["http://", "https://"] where rest.lowercased().hasPrefix(scheme) {
      rest = rest.dropFirst(scheme.count)
      rest = rest[(rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex)...]
      if rest.first != "/" { rest = "/" + rest }
    }
    guard rest.first == "/" else { return nil }

    let parts = rest.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    path = String(parts[0])
    var segments: [String] = []
    if path != "/" {
      for part in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
        guard let segment = Self.decoded(part) else { return nil }
        segments.append(segment)
      }
    }
    self.segments = segments

    var query: [(name: String, value: String)] = []
    for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
      let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = Self.decoded(halves[0], plusIsBlank: true),
        let value = Self.decoded(halves.count > 1 ? halves[1] : "", plusIsBlank: true)
      else { return nil }
      query.append((name, value))
    }
    self.query = query
  }

  /// A text without its percent-encoding (RFC 3986, section 2.1).
  ///
  /// - Returns: `nil` where two hexadecimal digits do not follow a `%`, or the bytes are not UTF-8.
  static func decoded(_ text: Substring, plusIsBlank: Bool = false) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    bytes.reserveCapacity(rest.count)
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = rest.popFirst().flatMap(Self.digit),
          let low = rest.popFirst().flatMap(Self.digit)
        else { return nil }
        bytes.append(high << 4 | low)
      case UInt8(ascii: "+") where plusIsBlank:
        bytes.append(UInt8(ascii: " "))
      default:
        bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
