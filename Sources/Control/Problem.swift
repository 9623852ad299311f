// Why a request was refused.

/// `application/problem+json` (RFC 9457).
public struct Problem: Error, Codable, Sendable, Equatable {
  /// The media type.
  public static let mediaType = "application/problem+json"

  /// `about:blank`: the status says what it is.
  public var type: String
  /// The status in words.
  public var title: String
  /// The HTTP status.
  public var status: Int
  /// What is wrong, where, and what to do: one line.
  public var detail: String

  public init(status: Int, title: String, detail: String) {
    type = "about:blank"
    self.title = title
    self.status = status
    self.detail = detail
  }
}
