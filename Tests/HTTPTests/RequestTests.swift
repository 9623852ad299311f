// Requests as they come over a socket, whole and in pieces, and what is answered.
import Foundation
import HTTP
import TestSupport
import Testing

@Suite struct RequestTests {
  static let get = "GET /a/b?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"
  static let lastGet = "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
  static let post =
    "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
  static let chunked =
    "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    + "3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"

  @Test(arguments: Place.allCases) func aResponseIsFramedAndDated(place: Place) async throws {
    try await withServer(place) { server in
      let reply = try server.exchange(Self.post)
      #expect(reply.hasPrefix("HTTP/1.1 200 OK\r\n"))
      #expect(reply.contains("\r\nX-Is: echo\r\n"))
      #expect(reply.contains("\r\nContent-Length: 17\r\n"))
      #expect(reply.contains("\r\nConnection: close\r\n"))
      let date = try #require(reply.firstMatch(of: /\r\nDate: (.{25} GMT)\r\n/)?.1)
      let format = DateFormatter()
      format.locale = Locale(identifier: "en_US_POSIX")
      format.timeZone = TimeZone(identifier: "GMT")
      format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
      let seconds = try #require(format.date(from: String(date))).timeIntervalSinceNow
      #expect(abs(seconds) < 60)
      #expect(reply.hasSuffix("\r\n\r\nPOST [\"p\"]  hello"))
    }
  }

  /// A request that is cut at any byte is the same request.
  @Test(arguments: [post, chunked]) func itMayBeCutAtEachByte(request: String) async throws {
    try await withServer { server in
      let expected = try server.exchange(request).split(separator: "\r\n\r\n").last
      #expect(expected?.hasSuffix("hello") == true)
      for cut in 1..<request.utf8.count {
        let client = try server.connect()
        client.send(String(request.prefix(cut)))
        // What was sent has been taken when the kernel has nothing left of it for the server.
        #expect(try waitUntil { try client.unreadByPeer() == 0 })
        client.send(String(request.dropFirst(cut)))
        #expect(client.receiveAll().split(separator: "\r\n\r\n").last == expected)
      }
      let slow = try server.connect()
      for byte in request { slow.send(String(byte)) }
      #expect(slow.receiveAll().split(separator: "\r\n\r\n").last == expected)
    }
  }

  @Test func requestsInOnePieceAreAnsweredInTheirOrder() async throws {
    try await withServer { server in
      let texts = (0..<300).map { "GET /\($0) HTTP/1.1\r\nHost: h\r\n\r\n" }
      let reply = try server.exchange(texts.joined() + Self.lastGet)
      let answered = reply.matches(of: /GET \["(\w+)"\]/).map { String($0.1) }
      #expect(answered == (0..<300).map(String.init) + ["last"])
    }
  }

  /// A body is read in larger pieces than requests are: of these no more may come along than are kept.
  @Test func requestsBehindALongBodyAreAnswered() async throws {
    try await withServer { server in
      let body = String(repeating: "x", count: 50_000)
      let post = "POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: \(body.count)\r\n\r\n" + body
      let texts = (0..<300).map { "GET /\($0) HTTP/1.1\r\nHost: h\r\n\r\n" }
      let reply = try server.exchange(post + texts.joined() + Self.lastGet)
      #expect(reply.matches(of: /POST \["first"\]  x+/).first?.output.count == 16 + body.count)
      let answered = reply.matches(of: /GET \["(\w+)"\]/).map { String($0.1) }
      #expect(answered == (0..<300).map(String.init) + ["last"])
    }
  }

  @Test func aHalfClosedConnectionIsAnswered() async throws {
    try await withServer { server in
      let client = try server.connect()
      client.send(Self.get + Self.get)
      client.endSending()
      let reply = client.receiveAll()
      #expect(reply.matches(of: /200 OK/).count == 2)
      #expect(!reply.contains("400"))
    }
  }

  /// More than is kept of later requests while one is answered ends the connection after it.
  @Test func aFloodOfRequestsInAClosedConnectionIsBounded() async throws {
    try await withServer(
      handler: { request in
        try? await Task.sleep(for: .milliseconds(50))
        return await TestServer.echo(request)
      },
      test: { server in
        let client = try server.connect()
        client.send(String(repeating: "GET / HTTP/1.1\r\nHost: h\r\n\r\n", count: 4000))
        client.endSending()
        let count = client.receiveAll().matches(of: /200 OK/).count
        #expect((1...300).contains(count))
      })
  }

  @Test func headHasNoBody() async throws {
    try await withServer { server in
      let reply = try server.exchange(
        Self.get.replacing("GET", with: "HEAD") + Self.lastGet)
      let parts = reply.components(separatedBy: "\r\n\r\n")
      #expect(parts[0].contains("Content-Length: 22"))
      #expect(parts[1].hasPrefix("HTTP/1.1 200 OK"))
    }
  }

  @Test func http10EndsWithTheConnection() async throws {
    try await withServer { server in
      let reply = try server.exchange("GET / HTTP/1.0\r\n\r\n")
      #expect(reply.hasPrefix("HTTP/1.0 200 OK\r\n"))
      #expect(reply.contains("Connection: close"))
      let client = try server.connect()
      client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
      #expect(client.receive(until: "\r\n\r\n").contains("Connection: keep-alive"))
    }
  }

  /// curl offers HTTP/2 in this way; the offer is not taken.
  @Test func anOfferOfAnotherProtocolIsAnsweredInThisOne() async throws {
    try await withServer { server in
      let reply = try server.exchange(
        "GET /u HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
          + "HTTP2-Settings: AAMAAABk\r\n\r\nmore")
      #expect(reply.hasPrefix("HTTP/1.1 200 OK"))
      #expect(reply.contains("Connection: close"))
      #expect(reply.hasSuffix("GET [\"u\"]  "))
    }
  }

  @Test func aBodyThatWaitsToBeWantedIsWanted() async throws {
    try await withServer { server in
      let client = try server.connect()
      client.send(
        "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
          + "Connection: close\r\n\r\n")
      #expect(client.receive(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
      client.send("ok")
      #expect(client.receiveAll().hasSuffix("ok"))
    }
  }

  static let broken: [(String, Int)] = [
    ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\r\n\r\n", 400),
    ("GET /\r\n\r\n", 505),
    ("NONSENSE / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET /%4 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET /?a=%f HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nA\0: b\r\n\r\n", 400),
  ]

  @Test(arguments: broken) func whatIsBrokenIsRefused(request: String, status: Int) async throws {
    try await withServer { server in
      let client = try server.connect()
      client.send(request)
      client.endSending()
      let reply = client.receiveAll()
      #expect(reply.hasPrefix("HTTP/1.1 \(status) "))
      #expect(reply.contains("Content-Type: application/problem+json\r\n"))
      let body = try #require(reply.components(separatedBy: "\r\n\r\n").last)
      let problem = try #require(
        try JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any])
      #expect(problem["status"] as? Int == status)
      #expect(try server.exchange(Self.post).hasSuffix("hello"))
    }
  }

  /// Random bytes, and requests with random changes: each connection ends, and the server stays.
  @Test func nothingThatIsSentEndsTheServer() async throws {
    var numbers = SeededNumbers(seed: 7)
    try await withServer { server in
      for round in 0..<400 {
        var bytes = Array((round % 2 == 0 ? Self.chunked : Self.get + Self.post).utf8)
        for _ in 0...Int.random(in: 0..<8, using: &numbers) {
          let place = Int.random(in: 0..<bytes.count, using: &numbers)
          switch Int.random(in: 0..<3, using: &numbers) {
          case 0: bytes[place] = UInt8.random(in: 0...255, using: &numbers)
          case 1: bytes.insert(UInt8.random(in: 0...127, using: &numbers), at: place)
          default: bytes.remove(at: place)
          }
        }
        let client = try server.connect()
        client.send(String(decoding: bytes, as: UTF8.self))
        client.endSending()
        _ = client.receiveAll()
      }
      #expect(try server.exchange(Self.post).hasSuffix("hello"))
    }
  }

  /// A header that could be read as two would let who has chosen it write the response.
  @Test func aResponseWithALineBreakInAHeaderIsNotSent() async throws {
    try await withServer(
      handler: { request in
        HTTPResponse(status: 200, headers: [("X", request.parameter("x") ?? "")])
      },
      test: { server in
        let text = "GET /?x=a%0d%0aSet-Cookie:b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        let replies = try [text, text.replacing("%0d%0a", with: "")].map(server.exchange)
        #expect(replies[0] == "")
        #expect(replies[1].contains("aSet-Cookie:b"))
      })
  }

  @Test func targetsAreDecoded() throws {
    func request(_ target: String) -> HTTPRequest? { HTTPRequest(method: "GET", target: target) }
    #expect(request("/")?.segments == [])
    #expect(request("/a/")?.segments == ["a", ""])
    #expect(request("//a")?.segments == ["", "a"])
    #expect(request("/v1/%5Bfd50::2%5D:5683")?.segments == ["v1", "[fd50::2]:5683"])
    #expect(request("/a%2Fb+c?d")?.segments == ["a/b+c"])
    #expect(request("/a%2Fb?c")?.path == "/a%2Fb")
    #expect(request("http://h/a?b=c")?.segments == ["a"])
    #expect(request("http://h?b=c")?.parameter("b") == "c")
    #expect(request("*")?.path == "*")
    #expect(
      request("/?a=1&b=x+y%2B&a=2&&c")?.query.map { "\($0.name):\($0.value)" }
        == ["a:1", "b:x y+", "a:2", "c:"])
    for target in ["", "a", "/ä", "/a b", "/a#b", "/%", "/%e4"] { #expect(request(target) == nil) }
    let named = HTTPRequest(
      method: "GET", target: "/", headers: [("Accept", "a"), ("accept", "b")])
    #expect(named?.header("ACCEPT") == "a")
    #expect(named?.header("Host") == nil)
  }
}

extension RawClient {
  /// Bytes that were sent and that the other side has not read yet (SIOCOUTQ, unix(7)).
  func unreadByPeer() throws -> Int32 {
    var count: Int32 = 0
    guard ioctl(descriptor, UInt(TIOCOUTQ), &count) == 0 else { throw SystemError("ioctl") }
    return count
  }
}
