// What a client may use of a server, and what it is told when it wants more.
import Foundation
import HTTP
import TestSupport
import Testing

@Suite struct LimitTests {
  static let get = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

  static let floods: [String] = [
    "GET /\(String(repeating: "a", count: 20_000)) HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nX: \(String(repeating: "a", count: 20_000))\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n\(String(repeating: "a", count: 20_000)): x\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n" + String(repeating: "X: y\r\n", count: 1000) + "\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\n" + String(repeating: "X: y\r\n", count: 1_000_000),
  ]

  @Test(arguments: Place.allCases, floods.indices)
  func aLongHeaderIsRefused(place: Place, flood: Int) async throws {
    try await withServer(place) { server in
      let reply = try server.exchange(Self.floods[flood])
      #expect(reply.hasPrefix("HTTP/1.1 431 "))
    }
  }

  @Test(arguments: Place.allCases)
  func aLongBodyIsRefusedBeforeItIsRead(place: Place) async throws {
    try await withServer(place) { server in
      for length in ["1048577", "1073741824", "9223372036854775808"] {
        let reply = try server.exchange(
          "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: \(length)\r\n\r\n")
        #expect(reply.hasPrefix("HTTP/1.1 413 "))
      }
    }
  }

  /// A client that sends all the same can read why it was in vain.
  @Test(arguments: Place.allCases) func aLongChunkedBodyIsRefused(place: Place) async throws {
    try await withServer(place) { server in
      let chunk = "10000\r\n" + String(repeating: "a", count: 0x10000) + "\r\n"
      let reply = try server.exchange(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
          + String(repeating: chunk, count: 40))
      #expect(reply.hasPrefix("HTTP/1.1 413 "))
    }
  }

  @Test func theLongestBodyIsTaken() async throws {
    try await withServer { server in
      let body = String(repeating: "b", count: 1 << 20)
      let reply = try server.exchange(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(1 << 20)\r\nConnection: close\r\n\r\n"
          + body)
      #expect(reply.hasSuffix(body))
    }
  }

  /// However many clients send bodies and take their time.
  @Test func allBodiesTogetherHaveALimit() async throws {
    var limits = HTTPServer.Limits()
    limits.bodyBytesTogether = 100_000
    let begun = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 40000\r\n\r\n"
    let body = String(repeating: "b", count: 40_000)
    try await withServer(.unix, limits) { server in
      func isTaken() throws -> Bool { try server.exchange(begun + body).hasSuffix(body) }
      var slow = try (0..<2).map { _ in try server.connect() }
      for client in slow {
        client.send(begun + body.dropLast())
        #expect(waitUntil { client.isAllRead })
      }
      #expect(try server.exchange(begun + body).hasPrefix("HTTP/1.1 503 "))
      // Who gives up gives back, and who is answered.
      slow.removeLast()
      #expect(try waitUntil { try isTaken() })
      for _ in 0..<5 { #expect(try isTaken()) }
      slow[0].send("b")
      #expect(slow[0].receiveAll().hasSuffix(body))
    }
  }

  @Test func oneConnectionMoreIsTurnedAway() async throws {
    var limits = HTTPServer.Limits()
    limits.connections = 4
    try await withServer(.unix, limits) { server in
      var clients = try (0..<4).map { _ in try server.connect() }
      for client in clients {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(client.receive(until: "GET").contains("200 OK"))
      }
      let late = try server.connect()
      late.send(Self.get)
      #expect(late.receiveAll().hasPrefix("HTTP/1.1 503 "))
      clients.removeLast()
      #expect(try waitUntil { try server.exchange(Self.get).contains("200 OK") })
    }
  }

  /// A handler goes on when its client has gone, and counts: else who asks and leaves, again and
  /// again, would fill the memory with them.
  @Test func handlersOfClientsThatHaveGoneCount() async throws {
    var limits = HTTPServer.Limits()
    (limits.connections, limits.stopTime) = (4, .milliseconds(100))
    let (asked, mayEnd) = (Notes(), Notes())
    let handler: HTTPServer.Handler = { request in
      guard request.path == "/slow" else { return await TestServer.echo(request) }
      asked.add(request.path)
      // A task of its own is deaf to the handler's cancellation.
      await Task {
        while mayEnd.all.isEmpty { try? await Task.sleep(for: .milliseconds(10)) }
      }.value
      return HTTPResponse(status: 200, body: .bytes([]))
    }
    try await withServer(.unix, limits, handler: handler) { server in
      let kept = try server.connect()
      kept.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(kept.receive(until: "GET").contains("200 OK"))
      let before = try openDescriptors()
      for number in 1...4 {
        try server.connect().send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(waitUntil { asked.all.count == number })
        #expect(try waitUntil { try openDescriptors() <= before })
      }
      kept.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(kept.receive(until: "later").hasPrefix("HTTP/1.1 503 "))
      #expect(try server.exchange(Self.get).hasPrefix("HTTP/1.1 503 "))
      mayEnd.add("now")
      #expect(try waitUntil { try server.exchange(Self.get).contains("200 OK") })
      kept.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(kept.receive(until: "GET").contains("200 OK"))
    }
  }

  /// None of thousands that come at once and stay takes the server away from who is on it already,
  /// or leaves a descriptor behind.
  @Test func aFloodOfConnectionsIsTurnedAway() async throws {
    let before = try openDescriptors()
    try await withServer { server in
      let first = try server.connect()
      first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(first.receive(until: "GET").contains("200 OK"))
      for _ in 0..<10 {
        let flood = try (0..<250).map { _ in try server.connect() }
        first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(first.receive(until: "GET").contains("200 OK"))
        _ = flood.count
      }
      #expect(try waitUntil { try server.exchange(Self.get).contains("200 OK") })
    }
    #expect(try waitUntil { try openDescriptors() <= before })
  }

  /// Where no descriptor is left, who is there is served, and who waits is when one is free again.
  @Test func withoutDescriptorsTheServerWaits() async throws {
    try await withServer { server in
      let first = try server.connect()
      first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(first.receive(until: "GET").contains("200 OK"))
      let late = try server.connectWithoutDescriptors()
      first.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
      #expect(first.receive(until: "GET").contains("200 OK"))
      late.send(Self.get)
      #expect(late.receiveAll().contains("200 OK"))
    }
  }

  static let slow: [(String, String)] = [
    ("", ""),
    ("GET / HT", "HTTP/1.1 408 "),
    ("GET / HTTP/1.1\r\nHost: h\r\n", "HTTP/1.1 408 "),
    ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel", "HTTP/1.1 408 "),
    ("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / H", "HTTP/1.1 200 "),
  ]

  @Test(arguments: slow) func whoIsSlowIsNotWaitedFor(text: String, answer: String) async throws {
    var limits = HTTPServer.Limits()
    (limits.headTime, limits.bodyTime, limits.idleTime) =
      (.milliseconds(100), .milliseconds(100), .milliseconds(100))
    try await withServer(.unix, limits) { server in
      let reply = try server.exchange(text)
      #expect(reply.hasPrefix(answer))
      #expect(answer.isEmpty == reply.isEmpty)
    }
  }

  /// A byte now and then does not count as progress.
  @Test func whoSendsByteByByteIsNotWaitedFor() async throws {
    var limits = HTTPServer.Limits()
    limits.headTime = .milliseconds(200)
    try await withServer(.unix, limits) { server in
      let client = try server.connect()
      client.send("GET / HTTP/1.1\r\nHost: h\r\n")
      #expect(
        waitUntil {
          client.send("X: y\r\n")
          var byte: UInt8 = 0
          return recv(client.descriptor, &byte, 1, Int32(MSG_DONTWAIT)) == 1
        })
      #expect(client.receiveAll().hasPrefix("TTP/1.1 408 "))
    }
  }

  @Test(arguments: Place.allCases) func whoDoesNotReadIsNotWaitedFor(place: Place) async throws {
    var limits = HTTPServer.Limits()
    limits.writeTime = .milliseconds(200)
    let notes = Notes()
    try await withServer(
      place, limits,
      handler: { _ in
        notes.add("asked")
        return HTTPResponse(status: 200, body: .bytes([UInt8](repeating: 65, count: 32 << 20)))
      },
      test: { server in
        let client = try server.connect()
        client.send(Self.get)
        #expect(waitUntil { client.isResetOrClosed })
        #expect(client.receiveAll().utf8.count < 32 << 20)
        #expect(notes.all == ["asked"])
      })
  }

  @Test func aResponseInManyPiecesIsWhole() async throws {
    let body = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7919 >> 5) }
    try await withServer(
      handler: { _ in HTTPResponse(status: 200, body: .bytes(body)) },
      test: {
        server in
        let client = HTTPClient(unixSocket: server.path)
        let received = try await client.send("GET", "/").collect()
        #expect(received == body)
      })
  }
}

extension TestServer {
  /// Connects when the process has no descriptor left for the server's side, and gives some back when
  /// the server has seen that.
  func connectWithoutDescriptors() throws -> RawClient {
    let path = path
    var fillers: [Int32] = []
    defer { for filler in fillers { close(filler) } }
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let full = limit
    limit.rlim_cur = rlim_t(try openDescriptors() + 64)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    defer {
      var full = full
      setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &full)
    }
    while true {
      let filler = dup(0)
      guard filler >= 0 else { break }
      fillers.append(filler)
    }
    close(fillers.removeLast())
    let client = try RawClient(unixSocket: path)
    // The connection is made, and waits to be accepted; the server's thread tries and must not spin.
    let start = clock()
    usleep(300_000)
    let used = clock() - start
    guard used < 150_000 else {
      throw SystemError("the server spins: \(used) µs of 300,000", code: 0)
    }
    return client
  }
}
