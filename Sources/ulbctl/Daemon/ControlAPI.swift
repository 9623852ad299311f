// Asks the daemon over its control socket. Knows no screen.
import Control
import HTTP
import JSONCoding

struct ControlAPI: Sendable {
  let daemon: DaemonFinder.Daemon
  private let finder: DaemonFinder
  private var client: HTTPClient

  /// The most that is taken of an answer that is no stream, in bytes.
  private static let mostOctets = 256 << 20

  /// - Parameter timeout: how long an answer may take to begin; nothing for as long as it takes.
  init(
    _ daemon: DaemonFinder.Daemon, finder: DaemonFinder = DaemonFinder(),
    timeout: Duration? = .seconds(30)
  ) {
    self.daemon = daemon
    self.finder = finder
    client = HTTPClient(unixSocket: daemon.socket, timeout: timeout)
  }

  /// - Throws: ``Failure``, of `refused` with what the daemon says.
  func get<Answer: Decodable>(_ target: Target) async throws(Failure) -> Answer {
    try decode(try await octets("GET", target))
  }

  func decode<Answer: Decodable>(_ octets: some Sequence<UInt8>) throws(Failure) -> Answer {
    do {
      return try JSON.decode(Answer.self, from: octets)
    } catch {
      throw Failure(
        .refused,
        "the answer of \(daemon.socket) was not understood: is the daemon of another version than "
          + "this ulbctl (ulbctl --version)?")
    }
  }

  /// An answer as it came.
  func octets(
    _ method: String, _ target: Target, accept: String = "application/json",
    body: (some Encodable)? = [UInt8]?.none
  ) async throws(Failure) -> [UInt8] {
    var octets: [UInt8] = []
    if let body {
      do { octets = try JSON.encode(body) } catch { throw Failure(.usage, "\(error)") }
    }
    return try await self.octets(
      method, target, accept: accept, text: octets,
      mediaType: body == nil ? nil : "application/json")
  }

  /// The same, with a body that is there already.
  func octets(
    _ method: String, _ target: Target, accept: String = "application/json", text: [UInt8],
    mediaType: String?
  ) async throws(Failure) -> [UInt8] {
    let response = try await send(
      method, target, accept: accept, body: text, mediaType: mediaType)
    do {
      return try await response.collect(upTo: Self.mostOctets)
    } catch {
      throw failure(error)
    }
  }

  /// Takes the pieces of an answer as they come.
  func forEachPiece(
    of target: Target, accept: String, _ body: ([UInt8]) throws -> Void
  ) async throws {
    let response = try await send("GET", target, accept: accept, body: [], mediaType: nil)
    do {
      for try await piece in response.body { try body(piece) }
    } catch let error as HTTPClientError {
      throw failure(error)
    }
  }

  /// - Returns: a good answer.
  private func send(
    _ method: String, _ target: Target, accept: String, body: [UInt8], mediaType: String?
  ) async throws(Failure) -> HTTPClientResponse {
    var headers = [("Accept", accept)]
    if let mediaType { headers.append(("Content-Type", mediaType)) }
    let response: HTTPClientResponse
    do {
      response = try await client.send(method, target.text, headers: headers, body: body)
    } catch {
      throw failure(error)
    }
    guard !(200...299).contains(response.status) else { return response }
    let octets = (try? await response.collect(upTo: 1 << 20)) ?? []
    if let problem = try? JSON.decode(Problem.self, from: octets) {
      throw Failure(.refused, problem.detail)
    }
    // What an HTTP server says by itself where it has no such page.
    let isUnknown = response.status == 404 || response.status == 405
    throw Failure(
      .refused,
      isUnknown
        ? "the daemon at \(daemon.socket) does not know \(method) \(target.text): it is of another "
          + "version than this ulbctl (ulbctl --version)"
        : "the daemon at \(daemon.socket) answers \(method) \(target.text) with status "
          + "\(response.status)")
  }

  /// Why there was no answer.
  func failure(_ error: HTTPClientError) -> Failure {
    switch error {
    case .cannotConnect(_, let errno): finder.failure(daemon.socket, errno)
    case .timedOut:
      Failure(.noDaemon, "the daemon at \(daemon.socket) does not answer; see its log")
    case .connectionLost:
      Failure(
        .noDaemon,
        "the daemon at \(daemon.socket) has closed the connection before its answer was complete: "
          + "has it been stopped?")
    default: Failure(.noDaemon, "\(error)")
    }
  }
}
