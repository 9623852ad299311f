// The daemon's control socket, as far as associations are shared over it.
import Control
import HTTP
import JSONCoding
import LoadBalancing

/// Why the daemon cannot be asked, or does not answer as it should: one line.
struct DaemonFailure: Error, Equatable, CustomStringConvertible {
  let description: String
}

struct DaemonClient: Sendable {
  /// The path of the control socket.
  let socket: String

  private static let mediaType = "application/jsonl"

  /// The stream of changes, from a cursor on or from the beginning: the whole first.
  func changes(since cursor: ChangeCursor?) async throws(DaemonFailure) -> HTTPClientResponse.Body {
    let query = cursor.map { "?since=\($0)" } ?? ""
    let response = try await send(
      "GET", "/v1/associations/changes" + query, headers: [("Accept", Self.mediaType)])
    guard response.status == 200 else { throw await refusal(response) }
    return response.body
  }

  /// Hands over what others know.
  ///
  /// - Returns: why the daemon has taken nothing of it, where a line cannot be read by it: then it
  ///   never will be.
  func take(_ lines: [UInt8]) async throws(DaemonFailure) -> DaemonFailure? {
    let response = try await send(
      "POST", "/v1/associations", headers: [("Content-Type", Self.mediaType)], body: lines)
    switch response.status {
    case 200:
      // To the end, so that the daemon is asked one thing at a time.
      _ = try? await response.collect()
      return nil
    case 400, 413, 415, 422: return await refusal(response)
    default: throw await refusal(response)
    }
  }

  /// Tells how the sharing goes.
  func put(_ report: SyncReport) async throws(DaemonFailure) {
    let body: [UInt8]
    do {
      body = try JSON.encode(report)
    } catch {
      throw DaemonFailure(description: "the report cannot be written: \(error)")
    }
    let response = try await send(
      "PUT", "/v1/sync", headers: [("Content-Type", "application/json")], body: body,
      timeout: .seconds(2))
    guard (200..<300).contains(response.status) else { throw await refusal(response) }
  }

  private func send(
    _ method: String, _ target: String, headers: [(String, String)], body: [UInt8] = [],
    timeout: Duration = .seconds(10)
  ) async throws(DaemonFailure) -> HTTPClientResponse {
    do throws(HTTPClientError) {
      return try await HTTPClient(unixSocket: socket, timeout: timeout)
        .send(method, target, headers: headers, body: body)
    } catch {
      throw DaemonFailure(description: Self.text(error))
    }
  }

  private static func text(_ error: HTTPClientError) -> String {
    switch error {
    case .cannotConnect(_, .permissionDenied):
      "\(error); run as root or as a member of the socket's group"
    case .cannotConnect(_, .noSuchFileOrDirectory), .cannotConnect(_, .connectionRefused):
      "\(error); is ulb running, and is it the control socket of its interface?"
    default: "\(error)"
    }
  }

  private func refusal(_ response: HTTPClientResponse) async -> DaemonFailure {
    let body = (try? await response.collect(upTo: 1 << 16)) ?? []
    let detail = (try? JSON.decode(Problem.self, from: body))?.detail ?? ""
    let mend = response.status == 404 ? "; this ulb shares no associations: upgrade it" : ""
    return DaemonFailure(
      description:
        "\(socket) answers \(response.status)\(detail.isEmpty ? "" : ": \(detail)")\(mend)")
  }
}
