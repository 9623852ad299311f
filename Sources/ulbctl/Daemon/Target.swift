// What is asked for: a path and a query, percent-encoded (RFC 3986). Pure.

/// A request's target.
struct Target: Sendable, Equatable {
  /// As it goes into a request.
  let text: String

  /// - Parameters:
  ///   - segments: what stands between the path's slashes, not encoded.
  ///   - query: names and values, not encoded; those without a value are left out.
  init(_ segments: String..., query: [(String, String?)] = []) {
    self.init(segments: segments, query: query)
  }

  init(segments: some Sequence<String>, query: [(String, String?)]) {
    let path = segments.map { "/" + Self.encoded($0) }.joined()
    let parameters = query.compactMap { name, value in
      value.map { "\(Self.encoded(name))=\(Self.encoded($0))" }
    }
    text = parameters.isEmpty ? path : path + "?" + parameters.joined(separator: "&")
  }

  static let status = Target("v1", "status")
  static let virtualServers = Target("v1", "virtual-servers")
  static let counters = Target("v1", "counters")
  static let reload = Target("v1", "reload")
  static let check = Target("v1", "check")

  static func realServer(_ address: String, of virtualServer: String) -> Target {
    Target("v1", "virtual-servers", virtualServer, "real-servers", address)
  }

  static func associations(_ query: [(String, String?)]) -> Target {
    Target("v1", "associations", query: query)
  }

  static func client(_ client: String, virtualServer: String? = nil) -> Target {
    Target("v1", "associations", client, query: [("virtual_server", virtualServer)])
  }

  static func events(_ query: [(String, String?)]) -> Target {
    Target("v1", "events", query: query)
  }

  /// Everything but the unreserved characters (section 2.3).
  private static func encoded(_ text: String) -> String {
    var result = ""
    for octet in text.utf8 {
      switch octet {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        result.unicodeScalars.append(Unicode.Scalar(octet))
      default:
        let digits = String(octet, radix: 16, uppercase: true)
        result += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return result
  }
}
