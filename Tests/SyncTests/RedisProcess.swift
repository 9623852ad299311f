// A Redis server, or a Sentinel, of a test's own: in a folder of its own, and killed with its last owner.
import Foundation
import Redis
import TestSupport

final class RedisProcess: Sendable {
  let directory: TemporaryDirectory
  /// The Unix socket.
  let path: String
  private let arguments: [String]
  private let process: Running

  private final class Running: @unchecked Sendable {
    private let lock = NSLock()
    private var child: ChildProcess?

    func set(_ child: ChildProcess?) { lock.withLock { self.child = child } }

    var current: ChildProcess? { lock.withLock { child } }
  }

  /// Starts one and waits until it answers.
  ///
  /// - Parameter settings: as on redis-server's command line; FOLDER stands for the server's folder.
  init(_ settings: [String] = [], in directory: TemporaryDirectory? = nil) throws {
    self.directory = try directory ?? TemporaryDirectory()
    path = self.directory.path(of: "redis-\(UUID().uuidString.prefix(8)).sock")
    process = Running()
    let folder = self.directory.path
    arguments =
      [
        "redis-server", "--unixsocket", path, "--dir", folder, "--save", "", "--port", "0",
        "--daemonize", "no",
      ] + settings.map { $0.replacing("FOLDER", with: folder) }
    try start()
  }

  /// - Parameter waits: until it answers with more than that it reads its data set.
  func start(waits: Bool = true) throws {
    let child = try ChildProcess(arguments)
    process.set(child)
    guard waits else { return }
    try child.waitForLine("its readiness") {
      $0.contains("Ready to accept connections") || $0.contains("ready to accept connections at")
    }
    let path = path
    guard waitUntil({ FileManager.default.fileExists(atPath: path) }) else {
      throw TimedOut("the socket of \(child.transcript)")
    }
  }

  func send(signal: Int32) { process.current?.send(signal: signal) }

  func kill() throws {
    send(signal: SIGKILL)
    try process.current?.waitForExit()
  }

  var transcript: String { process.current?.transcript ?? "" }

  /// What a command prints.
  @discardableResult
  func command(_ words: String...) throws -> String {
    try runSuccessfully(["redis-cli", "-s", path] + words).joined(separator: "\n")
  }

  var server: RedisServer { RedisServer(.unix(path: path)) }
}

/// A TCP port of the loopback address that nobody has.
func freePort() throws -> Int {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  defer { close(descriptor) }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
  var length = socklen_t(MemoryLayout<sockaddr_in>.size)
  let result = withUnsafeMutablePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
    }
  }
  guard result == 0 else { throw SystemError("a free port") }
  return Int(UInt16(bigEndian: address.sin_port))
}

/// An authority, and a certificate of it for `localhost` and 127.0.0.1, made in a folder.
func makeCertificates(in directory: TemporaryDirectory) throws {
  func path(_ name: String) -> String { directory.path(of: name) }
  func openssl(_ arguments: String...) throws { try runSuccessfully(["openssl"] + arguments) }
  try openssl(
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
    "2", "-subj", "/CN=test authority", "-keyout", path("ca.key"), "-out", path("ca.crt"))
  try openssl(
    "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
    "/CN=localhost", "-keyout", path("redis.key"), "-out", path("redis.csr"))
  try "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
    .write(toFile: path("names"), atomically: false, encoding: .utf8)
  try openssl(
    "x509", "-req", "-days", "2", "-in", path("redis.csr"), "-CA", path("ca.crt"), "-CAkey",
    path("ca.key"), "-CAcreateserial", "-extfile", path("names"), "-out", path("redis.crt"))
}
