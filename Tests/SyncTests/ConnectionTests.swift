// The ways to Redis: TLS, passwords, Sentinels, and what is said where one is closed.
import Foundation
import Redis
import TestSupport
import Testing

@testable import Sync

@Suite struct ConnectionTests {
  @Test func commandsAreAnsweredInTheirOrder() async throws {
    let redis = try RedisProcess()
    let connection = try await RedisConnection.connect(to: redis.server)
    let binary: [UInt8] = [0, 13, 10, 255, 0]
    let answers = try await connection.send([
      RedisCommand("SET", "key", RedisWord(binary)), RedisCommand("GET", "key"),
      RedisCommand("GET", "none"), RedisCommand("INCR", "number"), RedisCommand("INCR", "key"),
      RedisCommand("EVAL", "return {1, 'two', {false}}", "0"), RedisCommand("SET", "", ""),
      RedisCommand("GET", ""),
    ])
    #expect(answers[0].text == "OK")
    #expect(answers[1] == .bytes(binary))
    #expect(answers[2] == .null)
    #expect(answers[3] == .integer(1))
    #expect(answers[4].error?.hasPrefix("ERR ") == true)
    #expect(answers[5] == .array([.integer(1), .bytes(Array("two".utf8)), .array([.null])]))
    #expect(answers[7] == .bytes([]))
    // One that is long, in pieces.
    let long = RedisWord([UInt8](repeating: 7, count: 3_000_000))
    let echo = try await connection.send(RedisCommand("ECHO", long))
    #expect(echo.bytes == long.bytes)
    connection.close()
  }

  @Test func failuresAreLines() async throws {
    let redis = try RedisProcess(["--requirepass", "secret"])
    func failure(_ server: RedisServer) async -> RedisError? {
      do throws(RedisError) {
        let connection = try await RedisConnection.connect(to: server)
        try await connection.send(RedisCommand("GET", "key"))
        return nil
      } catch {
        return error
      }
    }
    #expect(
      await failure(redis.server)?.description
        == "\(redis.path) answers: NOAUTH Authentication required.; set password_file")
    var wrong = redis.server
    wrong.password = "wrong"
    #expect(await failure(wrong)?.description.contains("WRONGPASS") == true)
    var right = redis.server
    right.password = "secret"
    #expect(await failure(right) == nil)
    right.database = 99
    #expect(await failure(right)?.description.contains("DB index") == true)
    let nowhere = RedisServer(.tcp(host: "127.0.0.1", port: try freePort()))
    #expect(await failure(nowhere) == .cannotConnect(nowhere.name, .connectionRefused))
    #expect(await failure(RedisServer(.unix(path: "/nowhere"))) != nil)
  }

  @Test func whatTakesTooLongEndsTheConnection() async throws {
    let redis = try RedisProcess()
    let connection = try await RedisConnection.connect(to: redis.server)
    redis.send(signal: SIGSTOP)
    await #expect(throws: RedisError.timedOut(redis.path)) {
      _ = try await connection.send([RedisCommand("PING")], timeout: .milliseconds(200))
    }
    redis.send(signal: SIGCONT)
    await #expect(throws: RedisError.timedOut(redis.path)) {
      _ = try await connection.send([RedisCommand("PING")])
    }
  }

  @Test func theServersCertificateIsVerified() async throws {
    let directory = try TemporaryDirectory()
    try makeCertificates(in: directory)
    let port = try freePort()
    let redis = try RedisProcess(
      [
        "--tls-port", "\(port)", "--bind", "127.0.0.1 127.0.0.2", "--tls-cert-file",
        "FOLDER/redis.crt",
        "--tls-key-file", "FOLDER/redis.key", "--tls-ca-cert-file", "FOLDER/ca.crt",
        "--tls-auth-clients", "yes",
      ], in: directory)
    func answer(_ host: String, _ change: (inout RedisServer.TLS) -> Void) async -> String {
      var server = RedisServer(.tcp(host: host, port: port))
      var tls = RedisServer.TLS()
      tls.authorities = directory.path(of: "ca.crt")
      tls.certificate = directory.path(of: "redis.crt")
      tls.key = directory.path(of: "redis.key")
      change(&tls)
      server.tls = tls
      do throws(RedisError) {
        let connection = try await RedisConnection.connect(to: server)
        return try await connection.send(RedisCommand("PING")).text ?? ""
      } catch {
        return error.description
      }
    }
    #expect(await answer("127.0.0.1") { _ in } == "PONG")
    #expect(await answer("localhost") { _ in } == "PONG")
    // It is for no other address, unless a name of it is given.
    let other = await answer("127.0.0.2") { _ in }
    #expect(
      other == "no TLS with 127.0.0.2:\(port): the server's certificate is for another name; see "
        + "server_name")
    #expect(await answer("127.0.0.2") { $0.serverName = "localhost" } == "PONG")
    #expect(await answer("127.0.0.2") { $0.serverName = "elsewhere" } == other)
    let unknown = await answer("127.0.0.1") { $0.authorities = nil }
    #expect(
      unknown == "no TLS with 127.0.0.1:\(port): the server's certificate is not signed by who is "
        + "trusted; see ca_file")
    let missing = await answer("127.0.0.1") { $0.authorities = "/nowhere" }
    #expect(
      missing
        == "no TLS with 127.0.0.1:\(port): /nowhere cannot be read, or has no certificate as PEM")
    let mixed = await answer("127.0.0.1") { $0.key = directory.path(of: "ca.key") }
    #expect(
      mixed == "no TLS with 127.0.0.1:\(port): \(directory.path(of: "ca.key")) is not the key of "
        + directory.path(of: "redis.crt"))
    let withoutKey = await answer("127.0.0.1") { $0.key = directory.path(of: "redis.crt") }
    #expect(
      withoutKey.hasSuffix("redis.crt cannot be read, or has no key without a passphrase as PEM"))
    // With no certificate of one's own, and without TLS.
    let anonymous = await answer("127.0.0.1") { ($0.certificate, $0.key) = (nil, nil) }
    // It ends the connection with a reason, which the kernel may lose where something was sent meanwhile.
    #expect(
      [
        "no TLS with 127.0.0.1:\(port): the server wants a certificate; see certificate_file and "
          + "key_file", "127.0.0.1:\(port) has closed the connection",
      ].contains(anonymous), "\(anonymous)")
    await #expect(throws: RedisError.self, "a TLS port has answered without TLS") {
      let plain = try await RedisConnection.connect(
        to: RedisServer(.tcp(host: "127.0.0.1", port: port)))
      try await plain.send(RedisCommand("PING"))
    }
    withExtendedLifetime(redis) {}
  }

  /// Of any length, and until the server says goodbye.
  @Test func whatIsSaidOverTLSArrives() async throws {
    let directory = try TemporaryDirectory()
    try makeCertificates(in: directory)
    let (port, plainPort) = (try freePort(), try freePort())
    let redis = try RedisProcess(
      [
        "--tls-port", "\(port)", "--port", "\(plainPort)", "--bind", "127.0.0.1",
        "--tls-cert-file", "FOLDER/redis.crt", "--tls-key-file", "FOLDER/redis.key",
        "--tls-ca-cert-file", "FOLDER/ca.crt", "--tls-auth-clients", "no",
      ], in: directory)
    var server = RedisServer(.tcp(host: "127.0.0.1", port: port))
    server.tls = RedisServer.TLS()
    server.tls?.authorities = directory.path(of: "ca.crt")
    let connection = try await RedisConnection.connect(to: server)
    for length in [0, 1, 16_383, 16_384, 16_385, 300_000] {
      let word = RedisWord((0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) })
      #expect(try await connection.send(RedisCommand("ECHO", word)).bytes == word.bytes)
    }
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for number in 0..<50 {
        group.addTask {
          let text = String(repeating: "\(number) ", count: 300 * number)
          return try await connection.send(RedisCommand("ECHO", RedisWord(text))).text == text
        }
      }
      for try await isSame in group { #expect(isSame) }
    }
    try redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await #expect(throws: RedisError.connectionLost(connection.name)) {
      _ = try await connection.send([RedisCommand("PING")])
    }
    // Who is no TLS server.
    var plain = server
    plain.place = .tcp(host: "127.0.0.1", port: plainPort)
    await #expect(throws: RedisError.self) {
      _ = try await RedisConnection.connect(to: plain, timeout: .milliseconds(500))
    }
  }

  @Test func directorsShareOverTLSAsAUser() async throws {
    let directory = try TemporaryDirectory()
    try makeCertificates(in: directory)
    let port = try freePort()
    let redis = try RedisProcess(
      [
        "--tls-port", "\(port)", "--bind", "127.0.0.1", "--tls-cert-file", "FOLDER/redis.crt",
        "--tls-key-file", "FOLDER/redis.key", "--tls-ca-cert-file", "FOLDER/ca.crt",
        "--tls-auth-clients", "no",
      ], in: directory)
    try redis.command("ACL", "SETUSER", "lb", "on", ">secret", "~ulb:*", "+@all")
    let file = directory.path(of: "password")
    try "secret\n".write(toFile: file, atomically: false, encoding: .utf8)
    let settings = [
      "redis = rediss://127.0.0.1:\(port)/1", "ca_file = \(directory.path(of: "ca.crt"))",
      "server_name = localhost", "username = lb", "password_file = \(file)",
    ]
    let a = try SharedDirector("a", settings)
    let b = try SharedDirector("b", settings)
    a.director.associate("10.50.0.2:5683", "10.70.1.2")
    try await b.wait("the client") { $0.count == 1 }
    #expect(try redis.command("-n", "1", "EXISTS", "ulb:{ulb}:id") == "1")
    for one in [a, b] { try await one.stop() }
  }

  @Test func aWrongPasswordIsOneLine() async throws {
    let redis = try RedisProcess(["--requirepass", "secret"])
    let directory = try TemporaryDirectory()
    let file = directory.path(of: "password")
    try "wrong\n".write(toFile: file, atomically: false, encoding: .utf8)
    let a = try SharedDirector("a", ["redis = unix://\(redis.path)", "password_file = \(file)"])
    try await a.wait("the refusal") { $0.report?.redis.error?.contains("WRONGPASS") == true }
    // It has tried several times by then.
    try await Task.sleep(for: .seconds(2))
    #expect(a.process.standardError.count == 1)
    let line = try #require(a.process.standardError.first)
    #expect(
      line.hasPrefix("ulb-sync: warning: Redis is away: \(redis.path) answers: WRONGPASS "),
      "\(line)")
    #expect(line.contains("; see username and password_file; "))
    #expect(!line.contains("wrong"))
    try redis.command("-a", "secret", "--no-auth-warning", "CONFIG", "SET", "requirepass", "wrong")
    try await a.wait("the connection") { $0.report?.redis.state == .connected }
    try await a.stop()
  }

  @Test func aRedisThatReadsItsDataSetIsWaitedFor() async throws {
    // So slow that it is seen, and so that it answers meanwhile.
    let redis = try RedisProcess([
      "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024",
      "--enable-debug-command", "yes",
    ])
    let a = try SharedDirector("a", redis)
    try await a.wait("the connection") { $0.report?.redis.state == .connected }
    try redis.command("DEBUG", "POPULATE", "10000")
    try redis.command("SAVE")
    try redis.kill()
    try redis.start(waits: false)
    try await a.wait("the loading") { $0.report?.redis.state == .loading }
    try await a.wait("its end") { $0.report?.redis.state == .connected }
    #expect(a.warnings.count == 1)
    try await a.stop()
  }

  @Test func aSentinelNamesTheNewMaster() async throws {
    let ports = try (0..<3).map { _ in try freePort() }
    let first = try RedisProcess(["--port", "\(ports[0])", "--bind", "127.0.0.1"])
    let second = try RedisProcess([
      "--port", "\(ports[1])", "--bind", "127.0.0.1", "--replicaof", "127.0.0.1 \(ports[0])",
    ])
    let directory = try TemporaryDirectory()
    let file = directory.path(of: "sentinel.conf")
    try """
    port \(ports[2])
    bind 127.0.0.1
    dir \(directory.path)
    sentinel monitor lb 127.0.0.1 \(ports[0]) 1
    sentinel down-after-milliseconds lb 1000
    sentinel failover-timeout lb 10000
    """.write(toFile: file, atomically: false, encoding: .utf8)
    let sentinel = try ChildProcess(["redis-server", file, "--sentinel"])
    try sentinel.waitForLine(containing: "+slave slave 127.0.0.1:\(ports[1])")
    let settings = ["sentinel = 127.0.0.1:\(ports[2])", "sentinel_master = lb"]
    let a = try SharedDirector("a", settings)
    let b = try SharedDirector("b", settings)
    a.director.associate("10.50.0.2:5683", "10.70.1.2")
    try await b.wait("the client") { $0.count == 1 }
    try await a.wait("the master") { $0.report?.redis.server == "127.0.0.1:\(ports[0])" }
    try first.kill()
    try await a.wait("the other master") {
      $0.report?.redis.server == "127.0.0.1:\(ports[1])" && $0.report?.redis.state == .connected
    }
    a.director.associate("10.50.0.3:5683", "10.70.1.2")
    try await b.wait("what came after it") { $0.count == 2 }
    try await a.stop()
    try await b.stop()
    withExtendedLifetime((first, second, sentinel)) {}
  }
}
