// The resources of the control socket: which there are, and who answers for them. Knows no socket.
import Control
import DataPlane
import HTTP
import JSONCoding
import LoadBalancing

/// Answers requests, on any thread. What changes anything is handed to the loop; what only reads is
/// answered from what the loop has published and from the tables, whatever the loop is doing.
final class ControlAPI: Sendable {
  /// What answers for a path.
  struct Endpoint: Sendable {
    let method: String
    /// With placeholders: `/v1/virtual-servers/{name}`.
    let path: String
    /// The names that a query may have.
    let query: [String]
    fileprivate let segments: [Substring]
    fileprivate let answer: @Sendable (ControlAPI, APIRequest) async throws -> HTTPResponse

    init(
      _ method: String, _ path: String, query: [String] = [],
      _ answer: @escaping @Sendable (ControlAPI, APIRequest) async throws -> HTTPResponse
    ) {
      self.method = method
      self.path = path
      self.query = query
      self.answer = answer
      segments = path.split(separator: "/")
    }

    /// What stands for the placeholders; `nil` where it is another path.
    fileprivate func parameters(_ path: [String]) -> [String]? {
      guard path.count == segments.count else { return nil }
      var parameters: [String] = []
      for (own, given) in zip(segments, path) {
        if own.hasPrefix("{") {
          parameters.append(given)
        } else if own != given {
          return nil
        }
      }
      return parameters
    }
  }

  let mailbox: LoopMailbox<Daemon>
  let published = Published<DaemonSnapshot>()
  let censuses: CensusTaker
  let hub = EventHub()
  let sync = LastSyncReport()
  let changeStreams = ChangeStreams()

  init() throws(WakeupError) {
    mailbox = try LoopMailbox()
    censuses = CensusTaker { [published] in published.value?.dataPlane.census() }
  }

  /// All that there is.
  static let endpoints: [Endpoint] = reading + changing + associations + sharing + listening

  /// Never fails: a refusal is a `Problem`.
  func respond(to request: HTTPRequest) async -> HTTPResponse {
    do {
      return try await answer(request)
    } catch let problem as Problem {
      return .problem(problem)
    } catch is LoopMailbox<Daemon>.Closed {
      return .problem(.unavailable("the daemon is stopping; ask again when it has started"))
    } catch {
      return .problem(
        Problem(status: 500, title: "Internal Server Error", detail: "\(error)".onOneLine))
    }
  }

  private func answer(_ request: HTTPRequest) async throws -> HTTPResponse {
    let fitting = Self.endpoints.compactMap { endpoint in
      endpoint.parameters(request.segments).map { (endpoint: endpoint, parameters: $0) }
    }
    // A path without placeholders is meant before one with them.
    let fewest = fitting.map(\.parameters.count).min()
    let found = fitting.filter { $0.parameters.count == fewest }
    guard !found.isEmpty else {
      throw Problem.notFound(
        "there is no \(request.path.shortened().onOneLine); GET /openapi.json says what there is")
    }
    let isHead = request.method == "HEAD"
    let method = isHead ? "GET" : request.method
    guard let (endpoint, parameters) = found.first(where: { $0.endpoint.method == method }) else {
      var allowed = found.map(\.endpoint.method)
      if allowed.contains("GET") { allowed.append("HEAD") }
      let list = allowed.joined(separator: ", ")
      let refusal = Problem.methodNotAllowed(
        "\(request.path.shortened().onOneLine) does not know "
          + "\(request.method.shortened().onOneLine); use \(list)")
      var response = HTTPResponse.problem(refusal)
      response.headers.append(("Allow", list))
      return response
    }
    if let unknown = request.query.first(where: { !endpoint.query.contains($0.name) }) {
      let known =
        endpoint.query.isEmpty ? "it takes none" : "use \(endpoint.query.joined(separator: ", "))"
      throw Problem.badRequest(
        "the query's \(unknown.name.shortened().onOneLine)= is unknown to "
          + "\(request.path.shortened().onOneLine); \(known)")
    }
    return try await endpoint.answer(
      self, APIRequest(http: request, parameters: parameters, isHead: isHead))
  }

  /// The daemon as it is now.
  func snapshot() throws(Problem) -> DaemonSnapshot {
    guard let snapshot = published.value else {
      throw .unavailable("the daemon is starting; ask again in a second")
    }
    return snapshot
  }

  /// Does something on the loop.
  func onLoop<Value: Sendable>(
    _ work: @escaping @Sendable (Daemon) throws -> Value
  ) async throws -> Value {
    _ = try snapshot()
    return try await mailbox.submit(work)
  }
}

extension HTTPResponse {
  static func problem(_ problem: Problem) -> HTTPResponse {
    json(problem, status: problem.status, mediaType: Problem.mediaType)
  }

  /// - Parameter value: of texts and numbers alone, which cannot fail.
  static func json(
    _ value: some Encodable, status: Int = 200, mediaType: String = "application/json"
  ) -> HTTPResponse {
    let bytes = (try? JSON.encode(value)) ?? Array("{}".utf8)
    return .bytes(bytes, mediaType, status: status)
  }

  static func bytes(_ bytes: [UInt8], _ mediaType: String, status: Int = 200) -> HTTPResponse {
    HTTPResponse(
      status: status, headers: [("Content-Type", mediaType), ("Cache-Control", "no-store")],
      body: .bytes(bytes))
  }
}
