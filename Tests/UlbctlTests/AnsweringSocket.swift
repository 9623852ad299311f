// A control socket that answers what a test tells it to, and ulbctl run against it.
import Control
import Foundation
import HTTP
import JSONCoding
import Synchronization
import TestSupport
import Testing

@testable import ulbctl

final class AnsweringSocket: Sendable {
  let path: String
  private let server: HTTPServer
  private let directory: TemporaryDirectory
  private let asked: Log

  /// What was asked for.
  private final class Log: Sendable {
    let requests = Mutex<[String]>([])
  }

  /// Answers as the daemon of ``Sample`` where nothing else is said.
  ///
  /// - Parameters:
  ///   - answers: by method and target: `GET /v1/status`.
  ///   - path: where it listens; nothing for a place of its own.
  init(_ answers: [String: HTTPResponse] = [:], at path: String? = nil) throws {
    directory = try TemporaryDirectory()
    self.path = path ?? directory.path(of: "control.sock")
    let answers = [
      "GET /v1/status": HTTPResponse.json(Sample.status()),
      "GET /v1/virtual-servers": .json(VirtualServerList(virtualServers: Sample.virtualServers)),
      "GET /v1/counters": .json(Sample.counters),
    ].merging(answers) { $1 }
    let asked = Log()
    self.asked = asked
    server = HTTPServer { request in
      let query = request.query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
      let target = "\(request.method) \(request.path)" + (query.isEmpty ? "" : "?\(query)")
      let body = request.body.isEmpty ? "" : " " + String(decoding: request.body, as: UTF8.self)
      asked.requests.withLock { $0.append(target + body) }
      return answers[target] ?? HTTPResponse(status: 404)
    }
    try server.start(on: .unix(path: self.path))
  }

  /// Methods, targets and bodies, but those of readings that only look.
  var changes: [String] { asked.requests.withLock { $0.filter { !$0.hasPrefix("GET ") } } }
  var requests: [String] { asked.requests.withLock { $0 } }

  func stop() async { await server.stop() }
}

extension HTTPResponse {
  static func json(_ value: some Encodable) -> HTTPResponse {
    HTTPResponse(
      status: 200, headers: [("Content-Type", "application/json")],
      body: .bytes(try! JSON.encode(value)))
  }

  static func problem(_ status: Int, _ detail: String) -> HTTPResponse {
    HTTPResponse(
      status: status, headers: [("Content-Type", Problem.mediaType)],
      body: .bytes(try! JSON.encode(Problem(status: status, title: "Problem", detail: detail))))
  }

  /// Events that come at once, and then none: the stream goes on, or ends.
  static func events(_ events: [(String, String)], ends: Bool) -> HTTPResponse {
    let pieces = events.map { Array("event: \($0.0)\ndata: \($0.1)\n\n".utf8) }
    let stream = AsyncStream<[UInt8]> { continuation in
      for piece in pieces { continuation.yield(piece) }
      if ends { continuation.finish() }
    }
    return HTTPResponse(
      status: 200, headers: [("Content-Type", "text/event-stream")], body: .stream(stream))
  }
}

/// Runs ulbctl to its end. On a thread of its own, as the socket answers on those of tasks.
func ulbctl(
  _ arguments: String..., at socket: AnsweringSocket? = nil
) async throws -> CompletedProcess { try await ulbctl(arguments, at: socket) }

func ulbctl(
  _ arguments: [String], at socket: AnsweringSocket? = nil
) async throws -> CompletedProcess {
  let words = arguments + (socket.map { ["--socket", $0.path] } ?? [])
  return try await elsewhere {
    try CompletedProcess(
      ChildProcess([Package.operatorCommand] + words))
  }
}

/// Does what waits on a thread of its own.
func elsewhere<Value: Sendable>(
  _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
  try await withCheckedThrowingContinuation { continuation in
    Foundation.Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
  }
}
