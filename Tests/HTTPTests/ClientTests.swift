// The client against servers that are right, wrong, slow or not there.
import Foundation
import HTTP
import TestSupport
import Testing

@Suite struct ClientTests {
  private func failure(_ body: () async throws(HTTPClientError) -> Void) async -> HTTPClientError? {
    do throws(HTTPClientError) {
      try await body()
      return nil
    } catch {
      return error
    }
  }

  @Test func aRequestIsAnswered() async throws {
    try await withServer { server in
      let client = HTTPClient(unixSocket: server.path)
      let reply = try await client.send("PUT", "/a%20b?x=y", body: Array("body".utf8))
      #expect(reply.status == 200)
      #expect(reply.header("x-is") == "echo")
      #expect(
        String(decoding: try await reply.collect(), as: UTF8.self) == "PUT [\"a b\"] [x=y] body")
      let head = try await client.send("HEAD", "/")
      #expect(head.header("Content-Length") == "9")
      #expect(try await head.collect() == [])
    }
  }

  @Test func whoIsNotThereIsNamed() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path(of: "socket")
    let client = HTTPClient(unixSocket: path)
    #expect(
      await failure { () throws(HTTPClientError) in _ = try await client.send("GET", "/") }
        == .cannotConnect(path, .noSuchFileOrDirectory))
    _ = try RawClient.boundAndClosed(path)
    #expect(
      await failure { () throws(HTTPClientError) in _ = try await client.send("GET", "/") }
        == .cannotConnect(path, .connectionRefused))
    let long = HTTPClient(unixSocket: directory.path(of: String(repeating: "x", count: 200)))
    #expect(
      await failure { () throws(HTTPClientError) in _ = try await long.send("GET", "/") }
        == .cannotConnect(long.name, .fileNameTooLong))
    #expect(
      await failure { () throws(HTTPClientError) in
        _ = try await HTTPClient(host: "127.0.0.1", port: 1).send("GET", "/")
      } == .cannotConnect("127.0.0.1:1", .connectionRefused))
  }

  @Test func aSlowServerIsNotWaitedFor() async throws {
    try await withServer(
      handler: { _ in
        try? await Task.sleep(for: .seconds(600))
        return HTTPResponse(status: 200)
      },
      test: { server in
        let client = HTTPClient(unixSocket: server.path, timeout: .milliseconds(50))
        #expect(
          await failure { () throws(HTTPClientError) in _ = try await client.send("GET", "/") }
            == .timedOut(server.path))
      })
  }

  /// What is not read of a stream stays with the server; what is not wanted any more closes it.
  @Test func aStreamIsReadAsItIsAskedFor() async throws {
    let notes = Notes()
    try await withServer(
      handler: { request in
        let (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        continuation.onTermination = { _ in notes.add("ended") }
        for number in 0..<1000 { continuation.yield(Array("\(number)\n".utf8)) }
        if request.path == "/whole" { continuation.finish() }
        return HTTPResponse(status: 200, body: .stream(stream))
      },
      test: { server in
        let client = HTTPClient(unixSocket: server.path)
        let whole = try await client.send("GET", "/whole").collect()
        #expect(
          String(decoding: whole, as: UTF8.self) == (0..<1000).map { "\($0)\n" }.joined())
        #expect(notes.all == ["ended"])

        var text = ""
        for try await piece in try await client.send("GET", "/endless").body {
          text += String(decoding: piece, as: UTF8.self)
          if text.hasSuffix("999\n") { break }
        }
        #expect(waitUntil { notes.all == ["ended", "ended"] })

        let limited = try await client.send("GET", "/whole")
        #expect(
          await failure { () throws(HTTPClientError) in _ = try await limited.collect(upTo: 100) }
            == .tooLong(server.path, limit: 100))
      })
  }

  @Test func aCancelledReaderIsLetGo() async throws {
    let notes = Notes()
    try await withServer(
      handler: { _ in
        let (stream, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        continuation.onTermination = { _ in notes.add("ended") }
        continuation.yield([65])
        return HTTPResponse(status: 200, body: .stream(stream))
      },
      test: { server in
        let path = server.path
        let reader = Task {
          let reply = try await HTTPClient(unixSocket: path).send("GET", "/")
          for try await _ in reply.body { notes.add("read") }
        }
        #expect(waitUntil { notes.all == ["read"] })
        reader.cancel()
        let result = await reader.result
        #expect(throws: HTTPClientError.cancelled) { try result.get() }
        #expect(waitUntil { notes.all == ["read", "ended"] })
      })
  }

  /// The case's name alone.
  private static func name(_ error: HTTPClientError) -> String {
    Mirror(reflecting: error).children.first?.label ?? "\(error)"
  }

  @Test func aBrokenAnswerIsTold() async throws {
    let answers: [(String, String?)] = [
      ("SSH-2.0-OpenSSH_9.2\r\n", "notHTTP"),
      ("", "connectionLost"),
      ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "connectionLost"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", "connectionLost"),
      ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhel", nil),
      ("HTTP/1.0 200 OK\r\n\r\nhel", nil),
    ]
    for (answer, expected) in answers {
      let directory = try TemporaryDirectory()
      let path = directory.path(of: "socket")
      let listener = try RawClient.answering(path, with: answer)
      let error = await failure { () throws(HTTPClientError) in
        _ = try await HTTPClient(unixSocket: path).send("GET", "/").collect()
      }
      #expect(error.map(Self.name) == expected)
      listener.join()
    }
  }
}

/// A thread that answers one connection.
final class Answerer: Sendable {
  private let done = DispatchSemaphore(value: 0)

  fileprivate func end() { done.signal() }

  func join() { done.wait() }
}

extension RawClient {
  /// Listens on a path, and answers whatever comes with a text and the end.
  static func answering(_ path: String, with text: String) throws -> Answerer {
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let status = withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard status == 0, listen(listener, 1) == 0 else { throw SystemError("listen") }
    let answerer = Answerer()
    Thread.detachNewThread {
      let connection = accept(listener, nil, nil)
      var buffer = [UInt8](repeating: 0, count: 4096)
      _ = recv(connection, &buffer, buffer.count, 0)
      _ = Array(text.utf8).withUnsafeBytes {
        Foundation.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      close(connection)
      close(listener)
      answerer.end()
    }
    return answerer
  }
}
