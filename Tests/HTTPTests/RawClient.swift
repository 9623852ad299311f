// A client that sends what it is told, right or wrong, and a server for it to try. Knows no HTTP.
import Foundation
import HTTP
import Synchronization
import TestSupport

/// A connected stream socket. Closed with its last owner.
final class RawClient: Sendable {
  let descriptor: Int32

  /// - Parameter receiveBuffer: Bytes; the kernel's default where none is given.
  init(unixSocket path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    try connect(address)
  }

  init(port: UInt16, receiveBuffer: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if var size = receiveBuffer {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    try connect(address)
  }

  private func connect<Address>(_ address: Address) throws {
    var limit = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout.size(ofValue: limit)))
    let status = withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
      }
    }
    guard status == 0 else { throw SystemError("connect") }
  }

  deinit { close(descriptor) }

  /// - Returns: Whether the kernel has taken all.
  @discardableResult func send(_ text: String) -> Bool {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// No more is sent; what comes can be read.
  func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Waits for something to read; `nil` at the end, or where the connection is reset.
  func receive(upTo size: Int = 64 << 10) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: size)
    let count = recv(descriptor, &buffer, size, 0)
    return count > 0 ? Array(buffer[..<count]) : nil
  }

  /// Reads until a text has come or the connection ends.
  func receive(until end: String) -> String {
    var bytes: [UInt8] = []
    while !String(decoding: bytes, as: UTF8.self).contains(end), let more = receive() {
      bytes += more
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Reads to the connection's end.
  func receiveAll() -> String {
    var bytes: [UInt8] = []
    while let more = receive() { bytes += more }
    return String(decoding: bytes, as: UTF8.self)
  }
}

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
