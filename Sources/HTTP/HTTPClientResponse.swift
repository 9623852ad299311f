// A response as a client gets it: the head at once, the body as it is asked for.
import NIOHTTP1

/// A response of HTTP/1.
public struct HTTPClientResponse: Sendable {
  public let status: Int
  public let headers: [(name: String, value: String)]
  /// To be iterated once.
  public let body: Body

  /// The value of the first field of a name, which has no case; `nil` where there is none.
  public func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }

  /// The whole body.
  ///
  /// - Parameter limit: Bytes; of a longer one no more than this is kept before
  ///   ``HTTPClientError/tooLong(_:limit:)`` is thrown.
  public func collect(upTo limit: Int = 64 << 20) async throws(HTTPClientError) -> [UInt8] {
    var bytes: [UInt8] = []
    var pieces = body.makeAsyncIterator()
    while let piece = try await pieces.next(isolation: #isolation) {
      guard bytes.count + piece.count <= limit else { throw .tooLong(body.name, limit: limit) }
      bytes += piece
    }
    return bytes
  }

  /// The body in pieces as they come. The server is read no faster than it is iterated, and the
  /// connection is closed when nobody has it any more.
  public struct Body: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    public typealias Failure = HTTPClientError

    let source: ClientBody
    let name: String

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(source: source, name: name) }

    public struct AsyncIterator: AsyncIteratorProtocol {
      let source: ClientBody
      let name: String

      public mutating func next() async throws(HTTPClientError) -> [UInt8]? {
        try await next(isolation: nil)
      }

      public mutating func next(
        isolation actor: isolated (any Actor)?
      ) async throws(HTTPClientError) -> [UInt8]? {
        do {
          return try await source.next()
        } catch {
          throw Task.isCancelled ? .cancelled : HTTPClientError(error, of: name)
        }
      }
    }
  }
}
