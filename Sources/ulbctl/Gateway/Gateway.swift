// The web gateway: what it answers. It reads, and changes nothing, so that it needs no right and may be
// shown to whom the daemon must not speak with.
import Control
import HTTP
import JSONCoding
import StatusPage

/// Answers for all daemons of the machine: their metrics, the status page, and the reading half of
/// each control API.
final class Gateway: Sendable {
  /// Daemons, and what their control sockets say.
  private let daemons: DaemonReader
  private let live: LiveStatus
  private let names: HostNames
  private let relays = Places(16)
  /// A daemon has few places for who listens to its events.
  private let eventRelays = Places(4)

  /// What of a daemon's API is only read.
  private static let readable: Set<String> = [
    "associations", "counters", "events", "status", "virtual-servers",
  ]

  /// - Parameter names: By which it may be asked.
  init(_ daemons: DaemonReader, names: HostNames = HostNames()) {
    self.daemons = daemons
    self.names = names
    live = LiveStatus(daemons)
  }

  func answer(_ request: HTTPRequest) async -> HTTPResponse {
    var response = await route(request)
    response.headers += [
      ("Content-Security-Policy", StatusPage.contentSecurityPolicy),
      ("X-Content-Type-Options", "nosniff"),
      ("X-Frame-Options", "DENY"),
      ("Referrer-Policy", "no-referrer"),
      ("Cross-Origin-Resource-Policy", "same-origin"),
      ("Cross-Origin-Opener-Policy", "same-origin"),
      // All of it is of this moment, the page of this version.
      ("Cache-Control", "no-store"),
    ]
    return response
  }

  private func route(_ request: HTTPRequest) async -> HTTPResponse {
    if let refusal = names.refusal(ofHost: request.header("Host")) {
      // In a browser's window somebody reads this.
      return HTTPResponse(
        status: 421, headers: [("Content-Type", "text/plain; charset=utf-8")],
        body: .bytes(Array((refusal + "\n").utf8)))
    }
    guard ["GET", "HEAD"].contains(request.method) else {
      var response = HTTPResponse.problem(
        405, "Method Not Allowed",
        "the gateway only reads; to change something use ulbctl on the machine")
      response.headers.append(("Allow", "GET, HEAD"))
      return response
    }
    if let file = StatusPage.file(at: request.path) {
      return HTTPResponse(
        status: 200, headers: [("Content-Type", file.mediaType)], body: .bytes(file.bytes))
    }
    switch request.segments {
    case ["metrics"]: return await metrics(request)
    case ["api", "daemons"]: return await list()
    case ["api", "stream"]:
      return HTTPResponse(
        status: 200, headers: [("Content-Type", "text/event-stream")], body: .stream(live))
    case let segments where segments.count > 2 && segments[0] == "api":
      return await relay(request, to: segments[1])
    default:
      return .problem(
        404, "Not Found", "there is nothing at this path; see /, /metrics and /api/daemons")
    }
  }

  /// Each metric once, with the samples of all daemons.
  private func metrics(_ request: HTTPRequest) async -> HTTPResponse {
    let format = MetricsFormat(accept: request.header("Accept"))
    let readings = await daemons.readAll()
    let text = Metrics.text(
      of: readings.map { Metrics.Daemon(interface: $0.name, reading: try? $0.result.get()) },
      as: format)
    return HTTPResponse(
      status: 200, headers: [("Content-Type", format.mediaType)], body: .bytes(text))
  }

  private func list() async -> HTTPResponse {
    let readings = await daemons.readAll()
    return .json(
      DaemonList(
        daemons: readings.map {
          switch $0.result {
          case .success: DaemonList.Daemon(interface: $0.name, up: true, error: nil)
          case .failure(let error):
            DaemonList.Daemon(interface: $0.name, up: false, error: error.description)
          }
        }))
  }

  /// Hands a request on to a daemon, and its answer back.
  private func relay(_ request: HTTPRequest, to interface: String) async -> HTTPResponse {
    let rest = request.segments.dropFirst(2)
    let resource = rest.dropFirst().first ?? ""
    let isReadable =
      Array(rest) == ["openapi.json"] || rest.first == "v1" && Self.readable.contains(resource)
    guard isReadable, !rest.contains(".."), !rest.contains("."),
      // Directors tell each other by another way.
      Array(rest) != ["v1", "associations", "changes"]
    else {
      return .problem(
        404, "Not Found",
        "the gateway has the reading half of each daemon's API: /api/\(interface)/v1/status, "
          + Self.readable.subtracting(["status"]).sorted().joined(separator: ", ")
          + " and openapi.json")
    }
    let isEvents = resource == "events"
    // To follow a client the daemon compiles another program: that is no reading.
    guard !isEvents || request.parameter("client") == nil else {
      return .problem(
        403, "Forbidden",
        "following a client changes the program that runs; use ulbctl trace on the machine")
    }
    // Before the daemons are looked for, which may have to read them.
    guard let place = (isEvents ? eventRelays : relays).take() else {
      return .problem(
        503, "Service Unavailable", "too many ask the daemons at once; try again in a moment")
    }
    guard let daemon = await daemons.daemon(called: interface) else {
      return .problem(
        404, "Not Found",
        "there is no daemon for \(interface); /api/daemons lists those of this machine")
    }
    do {
      let reply = try await HTTPClient(unixSocket: daemon.socket).send(
        request.method,
        Target(segments: rest, query: request.query.map { ($0.name, $0.value) }).text,
        headers: request.header("Accept").map { [("Accept", $0)] } ?? [])
      let kept = ["content-type", "allow", "retry-after"]
      let headers = reply.headers.filter { kept.contains($0.name.lowercased()) }
      return HTTPResponse(
        status: reply.status, headers: headers.map { ($0.name, $0.value) },
        body: .throwingStream(RelayedBody(body: reply.body, place: place)))
    } catch {
      return .problem(502, "Bad Gateway", daemons.text(error, of: daemon))
    }
  }
}

/// A daemon's answer on its way through.
private struct RelayedBody: AsyncSequence, Sendable {
  typealias Failure = any Error

  let body: HTTPClientResponse.Body
  let place: Places.Place

  struct AsyncIterator: AsyncIteratorProtocol {
    var pieces: HTTPClientResponse.Body.AsyncIterator
    let place: Places.Place

    mutating func next() async throws -> [UInt8]? { try await pieces.next() }

    mutating func next(isolation actor: isolated (any Actor)?) async throws -> [UInt8]? {
      try await pieces.next(isolation: actor)
    }
  }

  func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(pieces: body.makeAsyncIterator(), place: place)
  }
}

extension HTTPResponse {
  fileprivate static func json(_ value: some Encodable) -> HTTPResponse {
    do {
      return HTTPResponse(
        status: 200, headers: [("Content-Type", "application/json")],
        body: .bytes(try JSON.encode(value)))
    } catch {
      return .problem(500, "Internal Server Error", "the answer cannot be written: \(error)")
    }
  }

  fileprivate static func problem(_ status: Int, _ title: String, _ detail: String) -> HTTPResponse
  {
    let problem = Problem(status: status, title: title, detail: detail)
    return HTTPResponse(
      status: status, headers: [("Content-Type", Problem.mediaType)],
      body: .bytes((try? JSON.encode(problem)) ?? []))
  }
}
