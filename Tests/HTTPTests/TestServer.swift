// A server for a test to try. Knows nothing of what it is tried with.
import Foundation
import HTTP
import Synchronization
import TestSupport

/// Where a server of a test listens.
enum Place: CaseIterable {
  case unix
  case tcp
}

/// A server with a handler of a test's own.
final class TestServer: Sendable {
  let server: HTTPServer
  let directory: TemporaryDirectory

  var path: String { directory.path(of: "socket") }

  init(
    _ place: Place = .unix, _ limits: HTTPServer.Limits = .init(),
    handler: @escaping HTTPServer.Handler = TestServer.echo
  ) throws {
    directory = try TemporaryDirectory()
    server = HTTPServer(limits, handler: handler)
    switch place {
    case .unix: try server.start(on: .unix(path: directory.path(of: "socket"), mode: 0o600))
    case .tcp: try server.start(on: .tcp(address: "127.0.0.1", port: 0))
    }
  }

  /// A new connection.
  func connect() throws -> RawClient {
    if let port = server.port { return try RawClient(port: port) }
    return try RawClient(unixSocket: path)
  }

  /// Sends, and reads to the connection's end.
  func exchange(_ text: String) throws -> String {
    let client = try connect()
    client.send(text)
    return client.receiveAll()
  }

  /// Answers with what was asked.
  static let echo: HTTPServer.Handler = { request in
    let query = request.query.map { "[\($0.name)=\($0.value)]" }.joined()
    let text =
      "\(request.method) \(request.segments) \(query) "
      + String(decoding: request.body, as: UTF8.self)
    return HTTPResponse(status: 200, headers: [("X-Is", "echo")], body: .bytes(Array(text.utf8)))
  }
}

/// Runs a test against a server, and stops it.
func withServer(
  _ place: Place = .unix, _ limits: HTTPServer.Limits = .init(),
  handler: @escaping HTTPServer.Handler = TestServer.echo,
  test: (TestServer) async throws -> Void
) async throws {
  let server = try TestServer(place, limits, handler: handler)
  do {
    try await test(server)
  } catch {
    await server.server.stop()
    throw error
  }
  await server.server.stop()
}

/// How many descriptors the process has.
func openDescriptors() throws -> Int {
  try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
}

/// What tasks and tests say to each other.
final class Notes: Sendable {
  private let texts = Mutex<[String]>([])

  var all: [String] { texts.withLock { $0 } }

  func add(_ text: String) { texts.withLock { $0.append(text) } }
}
