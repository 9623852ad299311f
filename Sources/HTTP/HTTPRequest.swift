// A request as a handler gets it: whole, decoded, within the server's limits.

/// A request of HTTP/1 (RFC 9110, RFC 9112).
public struct HTTPRequest: Sendable {
  /// As it came, case included: `GET`.
  public let method: String
  /// The target's path as it came, without the query; `*` in `OPTIONS *`.
  public let path: String
  /// What stands between the path's slashes, percent-decoded; none for `/`. An empty one is kept:
  /// `/a/` has two.
  public let segments: [String]
  /// Decoded, in their order; `+` is a blank. A name without `=` has an empty value.
  public let query: [(name: String, value: String)]
  /// All header fields in their order.
  public let headers: [(name: String, value: String)]
  public let body: [UInt8]

  /// A request made by hand.
  ///
  /// - Returns: `nil` where the target is not an origin's form (`/path?query`), an absolute one or
  ///   `*`, where its percent-encoding is broken, or where it is not UTF-8 when decoded.
  public init?(
    method: String, target: String, headers: [(name: String, value: String)] = [],
    body: [UInt8] = []
  ) {
    guard let target = RequestTarget(target) else { return nil }
    self.method = method
    path = target.path
    segments = target.segments
    query = target.query
    self.headers = headers
    self.body = body
  }

  /// The value of the first field of a name, which has no case; `nil` where there is none.
  public func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }

  /// The value of the first parameter of a name; `nil` where there is none.
  public func parameter(_ name: String) -> String? {
    query.first { $0.name == name }?.value
  }
}
