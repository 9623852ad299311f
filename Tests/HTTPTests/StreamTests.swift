// Answers without an end: pulled as fast as they are read, and told when nobody reads any more.
import Foundation
import HTTP
import TestSupport
import Testing

@Suite struct StreamTests {
  static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

  /// Pieces without an end, and notes of how many were asked for.
  private struct Endless: AsyncSequence, Sendable {
    typealias Element = [UInt8]
    typealias Failure = Never
    let notes: Notes
    let size: Int

    struct AsyncIterator: AsyncIteratorProtocol {
      let notes: Notes
      let size: Int

      mutating func next(isolation actor: isolated (any Actor)?) async -> [UInt8]? {
        notes.add("piece")
        return [UInt8](repeating: 65, count: size)
      }

      mutating func next() async -> [UInt8]? { await next(isolation: nil) }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(notes: notes, size: size) }
  }

  /// A stream that says something once, then nothing, and notes when it has ended.
  private static func idle(_ notes: Notes) -> HTTPServer.Handler {
    { _ in
      let (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self)
      continuation.yield(Array("hello".utf8))
      continuation.onTermination = { _ in notes.add("ended") }
      return HTTPResponse(status: 200, body: .stream(Kept(stream: stream, owner: continuation)))
    }
  }

  /// Keeps the continuation, so that nothing but the server ends the stream.
  private struct Kept: AsyncSequence, Sendable {
    let stream: AsyncStream<[UInt8]>
    let owner: AsyncStream<[UInt8]>.Continuation

    func makeAsyncIterator() -> AsyncStream<[UInt8]>.AsyncIterator { stream.makeAsyncIterator() }
  }

  @Test(arguments: Place.allCases) func aStreamIsChunked(place: Place) async throws {
    try await withServer(
      place,
      handler: { request in
        let pieces = request.method == "GET" ? ["one", "", "two"] : []
        return HTTPResponse(
          status: 200,
          body: .stream(
            AsyncStream { continuation in
              for piece in pieces { continuation.yield(Array(piece.utf8)) }
              continuation.finish()
            }))
      },
      test: { server in
        let client = try server.connect()
        client.send(Self.get)
        let reply = client.receive(until: "\r\n0\r\n\r\n")
        #expect(reply.contains("Transfer-Encoding: chunked\r\n"))
        #expect(reply.hasSuffix("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"))
        // The connection goes on; HEAD has the head alone, and HTTP/1.0 no chunks.
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.0\r\n\r\n")
        let rest = client.receiveAll().components(separatedBy: "\r\n\r\n")
        try #require(rest.count == 3)
        #expect(rest[1].hasPrefix("HTTP/1.0 200 OK") && !rest[1].contains("chunked"))
        #expect(rest[2] == "onetwo")
      })
  }

  /// Who never reads costs what the kernel keeps for a socket, and a piece.
  @Test(arguments: Place.allCases) func aStreamIsPulledAsItIsRead(place: Place) async throws {
    let notes = Notes()
    try await withServer(
      place,
      handler: { _ in
        HTTPResponse(status: 200, body: .stream(Endless(notes: notes, size: 16 << 10)))
      },
      test: { server in
        let client = try server.port(receiveBuffer: 64 << 10)
        client.send(Self.get)
        // The sequence stands still when nothing more is asked for in a while.
        var asked = -1
        while notes.all.count != asked {
          asked = notes.all.count
          try await Task.sleep(for: .milliseconds(200))
        }
        #expect((1...512).contains(asked))
        var read = 0
        while read < 16 << 20, let bytes = client.receive() { read += bytes.count }
        #expect(notes.all.count > asked + 500)
      })
    let asked = notes.all.count
    try await Task.sleep(for: .milliseconds(100))
    #expect(notes.all.count == asked)
  }

  /// An idle stream learns at once that its reader has gone.
  @Test(arguments: Place.allCases) func aStreamIsToldThatItsReaderIsGone(place: Place) async throws
  {
    let notes = Notes()
    let before = try openDescriptors()
    try await withServer(place, handler: Self.idle(notes)) { server in
      do {
        let client = try server.connect()
        client.send(Self.get)
        #expect(client.receive(until: "hello").contains("hello"))
        #expect(notes.all == [])
      }
      #expect(waitUntil { notes.all == ["ended"] })
    }
    #expect(try waitUntil { try openDescriptors() <= before })
  }

  /// Over a Unix socket, whose other end tells when it is gone, a reader may close its half.
  @Test func aHalfClosedReaderOfAUnixSocketIsThere() async throws {
    let notes = Notes()
    try await withServer(handler: Self.idle(notes)) { server in
      var client: RawClient? = try server.connect()
      client?.send(Self.get)
      client?.endSending()
      #expect(client?.receive(until: "hello").contains("hello") == true)
      #expect(client?.isHungUp == false)
      #expect(notes.all == [])
      client = nil
      #expect(waitUntil { notes.all == ["ended"] })
    }
  }

  /// A stream that is not read at all is told that it is over, like one that is left.
  @Test func aStreamThatIsNotWantedIsTold() async throws {
    var limits = HTTPServer.Limits()
    limits.streams = 0
    let notes = Notes()
    try await withServer(
      .unix, limits, handler: Self.idle(notes),
      test: { server in
        let client = HTTPClient(unixSocket: server.path)
        let bare = try await client.send("HEAD", "/")
        #expect(bare.status == 200)
        #expect(waitUntil { notes.all == ["ended"] })
        let refused = try await client.send("GET", "/")
        #expect(refused.status == 503)
        #expect(waitUntil { notes.all == ["ended", "ended"] })
      })
  }

  /// A stream that fails is not taken for one that has ended.
  @Test func aStreamThatBreaksOffIsNotWhole() async throws {
    try await withServer(
      handler: { _ in
        HTTPResponse(
          status: 200,
          body: .throwingStream(
            AsyncThrowingStream { continuation in
              continuation.yield(Array("half".utf8))
              continuation.finish(throwing: TimedOut("the rest"))
            }))
      },
      test: { server in
        let reply = try server.exchange(Self.get)
        #expect(reply.hasSuffix("4\r\nhalf\r\n"))
      })
  }

  @Test func aHandlerIsToldThatItsClientIsGone() async throws {
    let notes = Notes()
    try await withServer(
      handler: { request in
        notes.add("asked")
        do { try await Task.sleep(for: .seconds(600)) } catch { notes.add("cancelled") }
        return HTTPResponse(status: 200)
      },
      test: { server in
        do {
          let client = try server.connect()
          client.send(Self.get)
          #expect(waitUntil { notes.all == ["asked"] })
        }
        #expect(waitUntil { notes.all == ["asked", "cancelled"] })
      })
  }

  @Test func oneStreamMoreIsTurnedAway() async throws {
    var limits = HTTPServer.Limits()
    limits.streams = 2
    let notes = Notes()
    try await withServer(.unix, limits, handler: Self.idle(notes)) { server in
      var clients = try (0..<2).map { _ in try server.connect() }
      for client in clients {
        client.send(Self.get)
        #expect(client.receive(until: "hello").contains("hello"))
      }
      let late = try server.connect()
      late.send(Self.get)
      #expect(late.receive(until: "}").hasPrefix("HTTP/1.1 503 "))
      clients.removeLast()
      #expect(
        waitUntil {
          late.send(Self.get)
          return late.receive(until: "0").hasPrefix("HTTP/1.1 200 ")
        })
    }
  }

  @Test func aStopEndsWhatRuns() async throws {
    let notes = Notes()
    let idle = Self.idle(notes)
    let server = try TestServer(
      .unix, .init(),
      handler: { request in
        if request.path == "/stream" { return await idle(request) }
        notes.add("asked")
        try? await Task.sleep(for: .milliseconds(100))
        return await TestServer.echo(request)
      })
    let reader = try server.connect()
    reader.send(Self.get.replacing("/ ", with: "/stream "))
    #expect(reader.receive(until: "hello").contains("hello"))
    let unasked = try server.connect()
    let asking = try server.connect()
    asking.send(Self.get)
    #expect(waitUntil { notes.all == ["asked"] })
    async let stopped: Void = server.server.stop()
    // What is being answered is answered; a stream is not closed as if it were whole.
    #expect(asking.receiveAll().hasPrefix("HTTP/1.1 200 OK"))
    #expect(unasked.receiveAll() == "")
    #expect(!reader.receiveAll().contains("0\r\n\r\n"))
    await stopped
    #expect(notes.all.sorted() == ["asked", "ended"])
    #expect(throws: SystemError.self) { try server.connect() }
    await server.server.stop()
    withExtendedLifetime((reader, unasked, asking)) {}
  }

  /// A stream whose source ends because of the stop, be it a moment later, is told to be whole.
  @Test func aStopLetsStreamsEnd() async throws {
    var limits = HTTPServer.Limits()
    limits.stopTime = .seconds(60)
    let (pieces, source) = AsyncStream.makeStream(of: [UInt8].self)
    source.yield(Array("hello".utf8))
    let server = try TestServer(
      .unix, limits, handler: { _ in HTTPResponse(status: 200, body: .stream(pieces)) })
    let (reader, other) = (try server.connect(), try server.connect())
    reader.send(Self.get)
    #expect(reader.receive(until: "hello").contains("hello"))
    async let stopped: Void = server.server.stop()
    // By then the server has closed what waits for nothing.
    #expect(other.receiveAll() == "")
    source.yield(Array("good-bye".utf8))
    source.finish()
    let rest = reader.receiveAll()
    #expect(rest.contains("good-bye") && rest.hasSuffix("0\r\n\r\n"), "\(rest)")
    await stopped
  }

  /// A handler that heeds nothing does not keep a stop from returning.
  @Test func aStopDoesNotWaitForWhoDoesNotEnd() async throws {
    var limits = HTTPServer.Limits()
    limits.stopTime = .milliseconds(50)
    let (gate, continuation) = AsyncStream.makeStream(of: Void.self)
    let notes = Notes()
    let server = try TestServer(
      .unix, limits,
      handler: { _ in
        notes.add("asked")
        // A task of its own is not cancelled with the handler's.
        await Task { for await _ in gate {} }.value
        notes.add("over")
        return HTTPResponse(status: 200)
      })
    let client = try server.connect()
    client.send(Self.get)
    #expect(waitUntil { notes.all == ["asked"] })
    await server.server.stop()
    #expect(client.receiveAll() == "")
    #expect(notes.all == ["asked"])
    continuation.finish()
    #expect(waitUntil { notes.all == ["asked", "over"] })
  }
}

extension RawClient {
  /// Whether the connection is over in both directions.
  var isHungUp: Bool {
    var state = pollfd(fd: descriptor, events: 0, revents: 0)
    return poll(&state, 1, 0) > 0
  }
}

extension TestServer {
  /// A connection whose kernel keeps little for it.
  func port(receiveBuffer: Int32) throws -> RawClient {
    guard let port = server.port else { return try connect() }
    return try RawClient(port: port, receiveBuffer: receiveBuffer)
  }
}
