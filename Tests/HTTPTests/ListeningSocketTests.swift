// Who may connect, and what is left of a socket.
import Foundation
import HTTP
import TestSupport
import Testing

@Suite struct ListeningSocketTests {
  private let directory: TemporaryDirectory
  private let path: String

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.path(of: "socket")
  }

  private func server() -> HTTPServer { HTTPServer(handler: TestServer.echo) }

  private func failure(_ socket: ListeningSocket) async -> HTTPServerError? {
    let server = server()
    do throws(HTTPServerError) {
      try server.start(on: socket)
      await server.stop()
      return nil
    } catch {
      return error
    }
  }

  /// What connecting as nobody, with a group or none, comes to: 0, or an error number.
  private func connect(group: String?) throws -> Int32 {
    let groups =
      group.map { ["--regid", "65534", "--groups", $0] } ?? ["--regid", "65534", "--clear-groups"]
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      ["setpriv", "--reuid", "65534"] + groups + [
        "/usr/bin/python3", "-c",
        "import socket,sys;sys.exit(socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1]))", path,
      ]
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus
  }

  @Test func onlyWhoIsInTheGroupMayConnect() async throws {
    let server = server()
    let before = umask(0o077)
    try server.start(on: .unix(path: path, mode: 0o660, group: "daemon"))
    umask(before)
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect((attributes[.posixPermissions] as? NSNumber)?.uint16Value == 0o660)
    #expect(attributes[.groupOwnerAccountName] as? String == "daemon")
    #expect(try connect(group: nil) == EACCES)
    #expect(try connect(group: "daemon") == 0)
    await server.stop()
  }

  @Test func aSocketIsRemovedWithItsServer() async throws {
    let nested = directory.path(of: "a/b/socket")
    let server = server()
    try server.start(on: .unix(path: nested))
    #expect(FileManager.default.fileExists(atPath: nested))
    await server.stop()
    #expect(try directory.contents() == [])
  }

  /// What has the path by then is somebody else's.
  @Test func anotherServersSocketIsNotRemoved() async throws {
    let server = server()
    try server.start(on: .unix(path: path))
    unlink(path)
    let other = self.server()
    try other.start(on: .unix(path: path))
    await server.stop()
    #expect(try directory.contents() == ["socket"])
    await other.stop()
    #expect(try directory.contents() == [])
  }

  @Test func whatADeadServerHasLeftIsReplaced() async throws {
    // A socket that is bound, and that nobody listens on any more.
    let dead = try #require(try? RawClient.boundAndClosed(path))
    #expect(dead == 0)
    #expect(await failure(.unix(path: path)) == nil)
  }

  @Test func whatIsInUseIsRefused() async throws {
    let server = server()
    try server.start(on: .unix(path: path))
    let refusal = try #require(await failure(.unix(path: path)))
    #expect(refusal == .inUse(path))
    #expect("\(refusal)".contains(path))
    #expect(throws: HTTPServerError.alreadyStarted) { try server.start(on: .unix(path: path)) }
    let reply = try await HTTPClient(unixSocket: path).send("GET", "/still")
    #expect(reply.status == 200)
    await server.stop()

    let tcp = self.server()
    try tcp.start(on: .tcp(address: "127.0.0.1", port: 0))
    let port = try #require(tcp.port)
    #expect(
      await failure(.tcp(address: "127.0.0.1", port: port))
        == .systemCall("bind", on: "127.0.0.1:\(port)", errno: .addressInUse))
    await tcp.stop()
  }

  @Test func whatCannotBeIsRefused() async throws {
    try Data("keep".utf8).write(to: URL(fileURLWithPath: path))
    #expect(await failure(.unix(path: path)) == .notASocket(path))
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "keep")
    let long = directory.path(of: String(repeating: "x", count: 200))
    #expect(await failure(.unix(path: long)) == .pathTooLong(long))
    #expect(await failure(.unix(path: "")) == .pathTooLong(""))
    let other = directory.path(of: "x/y")
    #expect(
      await failure(.unix(path: other, group: "no such group")) == .unknownGroup("no such group"))
    #expect(
      await failure(.unix(path: path + "/x"))
        == .systemCall("bind", on: path + "/x", errno: .notDirectory))
    #expect(try directory.contents() == ["socket"])
    #expect(await failure(.tcp(address: "localhost", port: 0)) == .invalidAddress("localhost"))
  }

  /// A group that cannot be looked up may be there.
  @Test func aGroupThatCannotBeLookedUpIsNotUnknown() {
    let server = server()
    // The whole process has no descriptor meanwhile: scripts/test runs one test at a time.
    var limit = rlimit()
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    getrlimit(kind, &limit)
    var none = rlimit(rlim_cur: 0, rlim_max: limit.rlim_max)
    setrlimit(kind, &none)
    defer { setrlimit(kind, &limit) }
    // Not root: nss-systemd(8) knows it without a file.
    let failure = HTTPServerError.systemCall("getgrnam_r", on: "adm", errno: .tooManyOpenFiles)
    #expect(throws: failure) { try server.start(on: .unix(path: path, group: "adm")) }
  }

  @Test func bothFamiliesAreListenedOn() async throws {
    let server = server()
    try server.start(on: .tcp(address: "::", port: 0))
    let port = Int(try #require(server.port))
    for host in ["127.0.0.1", "::1"] {
      #expect(try await HTTPClient(host: host, port: port).send("GET", "/").status == 200)
    }
    await server.stop()
    #expect(server.port == nil)
  }
}

extension RawClient {
  /// Leaves a socket's file behind that nobody listens on.
  static func boundAndClosed(_ path: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let status = withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard status == 0 else { throw SystemError("bind") }
    return status
  }
}
