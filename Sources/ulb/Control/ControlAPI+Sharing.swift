// What directors share: the changes of this one as they come, and those of others taken over.
import Control
import DataPlane
import HTTP
import LoadBalancing

extension ControlAPI {
  /// What JSON lines are called.
  static let lineTypes = ["application/jsonl", "application/x-ndjson"]

  static let sharing: [Endpoint] = [
    Endpoint("GET", "/v1/associations/changes", query: ["since"]) { api, request in
      let type = try request.preferred(lineTypes)
      let cursor = try request.value(
        "since", "a cursor as a line before has told it", ChangeCursor.init)
      let changes = try api.snapshot().changes
      guard !request.isHead else { return .bytes([], type) }
      return HTTPResponse(
        status: 200, headers: [("Content-Type", type), ("Cache-Control", "no-store")],
        body: .stream(try api.changeStreams.begin(changes, since: cursor)))
    },
    Endpoint("POST", "/v1/associations") { api, request in
      _ = try request.preferred(["application/json"])
      let text = try request.text(lineTypes)
      // Off the loop, as is the beginning of a comparison.
      let changes = try read(text)
      try api.snapshot().changes.begin()
      let counts = try await api.mailbox.begin { daemon, reply in
        daemon.takeOver(changes) { reply.resume($0) }
      }
      return .json(TakenOverLines(counts))
    },
  ]

  private static func read(_ text: [UInt8]) throws(Problem) -> [AssociationChange] {
    do {
      return try AssociationChangeReader.read(text)
    } catch {
      throw .badRequest(
        "line \(error.line) of the body is no change; send lines as "
          + "GET /v1/associations/changes has them, without those of cursors")
    }
  }
}

extension TakenOverLines {
  init(_ counts: TakenOver) {
    self.init(
      associations: UInt64(counts.associations), forgotten: UInt64(counts.forgotten),
      known: UInt64(counts.known), older: UInt64(counts.older),
      overrides: UInt64(counts.overrides), refused: UInt64(counts.refused))
  }
}
