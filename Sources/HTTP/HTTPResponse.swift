// What a handler answers with.

/// A response of HTTP/1. The server adds the fields that frame the body, `Connection` and `Date`.
public struct HTTPResponse: Sendable {
  /// What is sent after the head; nothing of it where the method is `HEAD` or the status has none.
  public enum Body: Sendable {
    case bytes([UInt8])
    /// In pieces, chunked. A piece is asked for when the one before is with the kernel, so that a
    /// slow reader slows the sequence down.
    ///
    /// When the client has gone, or the server stops, the task that iterates is cancelled; the
    /// sequence must end then, as `AsyncStream` does. Where no piece is wanted at all (`HEAD`, too
    /// many streams), or the client is gone while none is asked for, one is asked for in a task that
    /// is cancelled: a sequence is always told that it is over.
    case stream(any AsyncSequence<[UInt8], Never> & Sendable)
    /// As ``stream(_:)``; where it throws the connection is closed, so that the client sees that not
    /// all has come.
    case throwingStream(any AsyncSequence<[UInt8], any Error> & Sendable)
  }

  /// 200…599.
  public var status: Int
  /// Sent as they are. A name or a value that no header can have ends the connection.
  public var headers: [(String, String)]
  public var body: Body

  public init(status: Int, headers: [(String, String)] = [], body: Body = .bytes([])) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// What a server answers by itself: `application/problem+json` (RFC 9457).
  ///
  /// - Parameter detail: Without a character that JSON escapes.
  static func problem(_ status: Int, _ detail: StaticString) -> HTTPResponse {
    let title = reasonPhrase(status)
    let text =
      #"{"detail":"\#(detail)","status":\#(status),"title":"\#(title)","type":"about:blank"}"#
    return HTTPResponse(
      status: status, headers: [("Content-Type", "application/problem+json")],
      body: .bytes(Array(text.utf8)))
  }
}
