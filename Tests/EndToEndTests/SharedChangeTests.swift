// What one director tells of its clients, and another takes over, with ulb as a user runs it.
import Control
import Foundation
import HTTP
import JSONCoding
import LoadBalancing
import TestSupport
import Testing

@Suite struct SharedChangeTests {
  private let label = Topology.virtualServer(.ipv4)

  /// Lines of a stream, as they come.
  private struct Lines {
    private var pieces: HTTPClientResponse.Body.AsyncIterator
    private var text = ""

    init(_ daemon: Daemon, since cursor: String? = nil) async throws {
      let query = cursor.map { "?since=\($0)" } ?? ""
      let response = try await HTTPClient(unixSocket: daemon.control).send(
        "GET", "/v1/associations/changes" + query,
        headers: [("Accept", "application/jsonl")])
      #expect(response.status == 200)
      #expect(response.header("Content-Type") == "application/jsonl")
      pieces = response.body.makeAsyncIterator()
    }

    /// The next line; `nil` at the end.
    mutating func next() async throws -> String? {
      while true {
        if let end = text.firstIndex(of: "\n") {
          defer { text = String(text[text.index(after: end)...]) }
          return String(text[..<end])
        }
        guard let piece = try await pieces.next() else { return nil }
        text += String(decoding: piece, as: UTF8.self)
      }
    }

    /// The next line that is no cursor's.
    mutating func nextChange() async throws -> AssociationChange? {
      while let line = try await next() {
        if line.hasPrefix(#"{"cursor""#) { continue }
        return try AssociationChangeReader.read(Array(line.utf8)).first
      }
      return nil
    }

    /// The next cursor to go on from: while the whole is told there is none.
    mutating func nextCursor() async throws -> String? {
      while let line = try await next() {
        if line.hasPrefix(#"{"cursor":""#), line.hasSuffix(#""}"#), !line.hasSuffix(#".0"}"#) {
          return String(line.dropFirst(11).dropLast(2))
        }
      }
      return nil
    }
  }

  private func post(
    _ daemon: Daemon, _ body: String, _ type: String = "application/jsonl"
  ) async throws -> (status: Int, body: [UInt8]) {
    try await daemon.ask(
      "POST", "/v1/associations", headers: [("Content-Type", type)], body: body)
  }

  @Test func changesAreToldAndAnotherGoesOn() async throws {
    let service = try BalancedService(servers: 2)
    let daemon = service.daemon
    var lines = try await Lines(daemon)
    let first = try #require(try await lines.next())
    #expect(first.hasSuffix(#".0","reset":true}"#))
    let cursor = try #require(try await lines.nextCursor())

    let client = try service.newClient()
    #expect(try service.server(answering: client) == "srv1")
    guard case .association(let told) = try await lines.nextChange() else {
      Issue.record("no client is told of")
      return
    }
    #expect(told.client.description == "\(client.endpoint)")
    #expect(told.clientClass == .answered && told.virtualServer == label)
    #expect(told.realServer.description == service.address(ofServer: 0))
    // A sign of life comes, though nothing changes.
    let last = try #require(try await lines.nextCursor())
    #expect(try await lines.nextCursor() == last)

    let path = "/v1/virtual-servers/\(label)/real-servers/\(service.address(ofServer: 0))"
    _ = try await daemon.send("PATCH", path, #"{"weight":7}"#, as: RealServerDetail.self)
    guard case .override(let override) = try await lines.nextChange() else {
      Issue.record("no override is told")
      return
    }
    #expect(override.weight == 7 && override.state == nil && override.virtualServer == label)
    #expect(try await daemon.ask("DELETE", "/v1/associations/\(told.client)").status == 200)
    guard case .gone(let gone) = try await lines.nextChange() else {
      Issue.record("nobody has gone")
      return
    }
    #expect(gone.client == told.client && gone.reason == .forgotten)

    // Who goes on from a cursor is told all of it, and who has another one the whole.
    var again = try await Lines(daemon, since: cursor)
    #expect(try await again.nextCursor() == cursor)
    #expect(try await again.nextChange() == .association(told))
    #expect(try await again.nextChange() == .override(override))
    #expect(try await again.nextChange() == .gone(gone))
    var whole = try await Lines(daemon, since: "1.1")
    #expect(try await whole.next() == first)
    #expect(try await whole.nextChange() == .override(override))

    // The end of the daemon is that of the streams.
    #expect(try daemon.stop() == 0)
    #expect(try await whole.nextChange() == nil)
    #expect(try await lines.nextChange() == nil)
  }

  @Test(arguments: AddressFamily.allCases)
  func whatOthersTellIsTakenOver(_ family: AddressFamily) async throws {
    let service = try BalancedService(family, servers: 2)
    let daemon = service.daemon
    let label = Topology.virtualServer(family)
    let clients = [try service.newClient(), try service.newClient()]
    var lines = try await Lines(daemon)
    _ = try await lines.nextCursor()
    let realServer = service.address(ofServer: 1)
    let now = UInt64(Date().timeIntervalSince1970 * 1000)
    let text = clients.map { client in
      #"{"at":\#(now),"class":"resident","client":"\#(client.endpoint)","#
        + #""real_server":"\#(realServer)","virtual_server":"\#(label)"}"# + "\n"
    }.joined()
    let (status, body) = try await post(daemon, text)
    #expect(status == 200)
    var expected = TakenOverLines(
      associations: 2, forgotten: 0, known: 0, older: 0, overrides: 0, refused: 0)
    #expect(try JSON.decode(TakenOverLines.self, from: body) == expected)
    let again = try await post(daemon, text, "application/x-ndjson").body
    (expected.associations, expected.known) = (0, 2)
    #expect(try JSON.decode(TakenOverLines.self, from: again) == expected)
    // Their packets go where they went elsewhere, and the first of each is the first that is told.
    for client in clients {
      #expect(try service.server(answering: client) == "srv2")
      guard case .association(let told) = try await lines.nextChange() else {
        Issue.record("no use is told")
        return
      }
      #expect(told.client.description == "\(client.endpoint)" && told.clientClass == .resident)
    }
    #expect(try daemon.stop() == 0)
  }

  @Test func anotherDirectorsOverridesAreInForceAndLogged() async throws {
    let service = try BalancedService(servers: 2)
    let daemon = service.daemon
    let address = service.address(ofServer: 0)
    let (status, body) = try await post(
      daemon,
      #"{"at":1764428400123,"real_server":"\#(address)","state":"draining","#
        + #""virtual_server":"\#(label)","weight":null}"#)
    #expect(status == 200)
    #expect(try JSON.decode(TakenOverLines.self, from: body).overrides == 1)
    #expect(try service.serversOfNewClients(3) == ["srv2", "srv2", "srv2"])
    try daemon.process.waitForLine(containing: "By another director: ", after: 0)
    #expect(try await daemon.get(Status.self, "/v1/status").virtualServers.map(\.draining) == [1])
    #expect(try daemon.stop() == 0)
  }

  @Test func whatIsNoChangeIsRefusedWhole() async throws {
    let service = try BalancedService(servers: 1)
    let daemon = service.daemon
    let good =
      #"{"at":1,"class":"resident","client":"10.50.0.9:1","real_server":"10.70.1.2","#
      + #""virtual_server":"\#(label)"}"# + "\n"
    let (status, body) = try await post(daemon, good + good + "{}\n" + good)
    #expect(status == 400)
    #expect(Refusal(status, body).detail.hasPrefix("line 3 of the body is no change; "))
    #expect(try await daemon.get(Status.self, "/v1/status").associations[0].clients.total == 0)
    #expect(try await post(daemon, good, "application/json").status == 415)
    let many = String(repeating: good, count: (1 << 20) / good.utf8.count + 1)
    #expect(try await post(daemon, many).status == 413)
    for since in ["", "1", "a.b", "1.2.3"] {
      let target = "/v1/associations/changes?since=\(since)"
      #expect(try await daemon.ask("GET", target).status == 400, "\(since)")
    }
    let streams = [
      try await Lines(daemon), try await Lines(daemon), try await Lines(daemon),
      try await Lines(daemon),
    ]
    #expect(try await daemon.ask("GET", "/v1/associations/changes").status == 429)
    withExtendedLifetime(streams) {}
    #expect(try daemon.stop() == 0)
  }
}
