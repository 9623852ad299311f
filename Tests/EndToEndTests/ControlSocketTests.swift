// What an operator sees and does over the control socket, with ulb as a user runs it.
import Control
import Foundation
import HTTP
import JSONCoding
import TestSupport
import Testing

extension Daemon {
  /// Asks the daemon for something.
  func ask(
    _ method: String, _ target: String, headers: [(String, String)] = [], body: String = ""
  ) async throws -> (status: Int, body: [UInt8]) {
    let response = try await HTTPClient(unixSocket: control).send(
      method, target, headers: headers, body: Array(body.utf8))
    return (response.status, try await response.collect(upTo: 16 << 20))
  }

  func get<Value: Decodable>(_ type: Value.Type, _ target: String) async throws -> Value {
    let (status, body) = try await ask("GET", target)
    guard status == 200 else { throw Refusal(status, body) }
    return try JSON.decode(type, from: body)
  }

  /// Sends JSON.
  func send<Value: Decodable>(
    _ method: String, _ target: String, _ json: String, as type: Value.Type
  ) async throws -> Value {
    let (status, body) = try await ask(
      method, target, headers: [("Content-Type", "application/json")], body: json)
    guard status == 200 else { throw Refusal(status, body) }
    return try JSON.decode(type, from: body)
  }
}

/// An answer with another status than 200.
struct Refusal: Error, CustomStringConvertible {
  let status: Int
  let detail: String

  init(_ status: Int, _ body: [UInt8]) {
    self.status = status
    detail = (try? JSON.decode(Problem.self, from: body))?.detail ?? "no problem document"
  }

  var description: String { "\(status): \(detail)" }
}

@Suite struct ControlSocketTests {
  private let virtualServer = Topology.virtualServer(.ipv4)

  @Test func whatIsInForceAndWhatWasCountedIsTold() async throws {
    let service = try BalancedService(usingFile: true)
    let daemon = service.daemon
    #expect(try service.serversOfNewClients(6) == ["srv1", "srv2", "srv3", "srv1", "srv2", "srv3"])

    let status = try await daemon.get(Status.self, "/v1/status")
    #expect(status.interface == "lb0")
    #expect(status.mode == "native")
    #expect(status.pid == daemon.process.pid)
    #expect(status.configuration.configFile == service.configFile?.path)
    #expect(status.reload == nil)
    #expect(status.health == Health(problems: []))
    #expect(status.associations.map(\.clients.total) == [6])
    #expect(status.virtualServers.map(\.name) == [virtualServer])
    #expect(status.virtualServers.map(\.clients) == [6])
    #expect(status.virtualServers.map(\.up) == [3])

    let list = try await daemon.get(VirtualServerList.self, "/v1/virtual-servers")
    let servers = try #require(list.virtualServers.first).realServers
    #expect(servers.map(\.address) == (0..<3).map(service.address(ofServer:)))
    #expect(servers.map(\.clients) == [2, 2, 2])
    #expect(servers.map(\.ingress.packets) == [2, 2, 2])
    #expect(servers.map(\.egress.packets) == [2, 2, 2])
    #expect(servers.map(\.associationsCreated.byClient) == [2, 2, 2])
    let path = "/v1/virtual-servers/\(virtualServer)/real-servers"
    #expect(try await daemon.get(RealServerList.self, path).realServers == servers)
    #expect(
      try await daemon.get(RealServerDetail.self, "\(path)/\(servers[1].address)") == servers[1])

    let counters = try await daemon.get(Counters.self, "/v1/counters")
    func packets(_ event: String) -> UInt64? {
      counters.events.first { $0.event == event }?.packets
    }
    #expect(packets("INGRESS_NEW_NAT") == 6)
    #expect(packets("EGRESS_REUSED_NAT") == 6)
    #expect(counters.daemon.compilations == 1)

    let (code, metrics) = try await daemon.ask("GET", "/metrics")
    #expect(code == 200)
    #expect(
      String(decoding: metrics, as: UTF8.self).contains(
        #"ulb_packets_total{interface="lb0",event="INGRESS_NEW_NAT",verdict="send"} 6"#))

    let (missing, problem) = try await daemon.ask("GET", "/v1/virtual-servers/nobody")
    #expect(missing == 404)
    #expect(
      Refusal(missing, problem).detail
        == "there is no virtual server 'nobody'; there is \(virtualServer)")
  }

  @Test func aRealServerIsDrainedAndComesBack() async throws {
    let service = try BalancedService(servers: 2)
    let daemon = service.daemon
    let clients = [try service.newClient(), try service.newClient()]
    #expect(try clients.map { try service.server(answering: $0) } == ["srv1", "srv2"])

    let address = service.address(ofServer: 0)
    let path = "/v1/virtual-servers/\(virtualServer)/real-servers/\(address)"
    let drained = try await daemon.send(
      "PATCH", path, #"{"state":"draining"}"#, as: RealServerDetail.self)
    #expect(drained.state == .draining)
    #expect(drained.isOverridden)
    #expect(drained.configured == RealServerSetting(state: .up, weight: 1))
    #expect(try service.serversOfNewClients(2) == ["srv2", "srv2"])
    // Its clients stay, until it is down.
    #expect(try clients.map { try service.server(answering: $0) } == ["srv1", "srv2"])
    _ = try await daemon.send("PATCH", path, #"{"state":"down"}"#, as: RealServerDetail.self)
    #expect(try clients.map { try service.server(answering: $0) } == ["srv2", "srv2"])
    #expect(try await daemon.get(Status.self, "/v1/status").virtualServers.map(\.down) == [1])

    let back = try await daemon.send(
      "PATCH", path, #"{"state":null,"weight":2}"#, as: RealServerDetail.self)
    #expect(back.state == .up)
    #expect(back.weight == 2)
    #expect(try service.serversOfNewClients(3).count { $0 == "srv1" } == 2)
    for (body, part) in [
      (#"{"weight":257}"#, "'weight' is 257; use 0 to 256"),
      (#"{"sate":"up"}"#, "'sate' is unknown"),
      (#"{"state":"upp"}"#, "'state'"), ("[]", "no JSON object"), ("{", "no JSON object"),
      (String(repeating: "[", count: 10_000), "no JSON object"),
    ] {
      let (status, answer) = try await daemon.ask(
        "PATCH", path, headers: [("Content-Type", "application/json")], body: body)
      #expect(status == 400)
      #expect(Refusal(status, answer).detail.contains(part), "\(Refusal(status, answer))")
    }
    #expect(try await daemon.ask("PATCH", path, body: "{}").status == 415)
    let long = #"{"state":"up\#(String(repeating: " ", count: 16 << 10))"}"#
    let (status, answer) = try await daemon.ask(
      "PATCH", path, headers: [("Content-Type", "application/json")], body: long)
    #expect(status == 413)
    #expect(Refusal(status, answer).detail.contains("16,384 bytes"), "\(Refusal(status, answer))")
  }

  @Test func aReloadIsAnsweredWithWhatHasChanged() async throws {
    let service = try BalancedService(servers: 2, usingFile: true)
    let (daemon, file) = (service.daemon, try #require(service.configFile))
    func reload() async throws -> Reload {
      let (status, body) = try await daemon.ask("POST", "/v1/reload")
      guard status == 200 else { throw Refusal(status, body) }
      return try JSON.decode(Reload.self, from: body)
    }
    #expect(try await reload().result == .unchanged)

    let one = ConfigFile.text([service.address(ofServer: 1)])
    let (status, body) = try await daemon.ask(
      "POST", "/v1/check", headers: [("Content-Type", "text/plain")], body: one)
    #expect(status == 200)
    let change = "New config applied: 1 real server(s); removed \(service.address(ofServer: 0))."
    #expect(try JSON.decode(Reload.self, from: body).changes == [change])
    #expect(try service.serversOfNewClients(2) == ["srv1", "srv2"])
    let (code, long) = try await daemon.ask(
      "POST", "/v1/check", headers: [("Content-Type", "text/plain")],
      body: String(repeating: "#", count: 1 << 20 + 1))
    #expect(code == 413)
    #expect(Refusal(code, long).detail.contains("`ulb --check`"), "\(Refusal(code, long))")

    try file.replace(withText: one)
    // Those who ask at once have the same reading.
    let answers = try await withThrowingTaskGroup(of: Reload.self) { group in
      for _ in 0..<8 { group.addTask { try await reload() } }
      return try await group.reduce(into: [Reload]()) { $0.append($1) }
    }
    #expect(answers.contains { $0.result == .applied && $0.changes == [change] })
    #expect(try service.serversOfNewClients(2) == ["srv2", "srv2"])
    #expect(Set(answers.map(\.at)).count <= 2)

    try file.replace(withText: one + "nonsense\n")
    let refusal = await #expect(throws: Refusal.self) { try await reload() }
    #expect(refusal?.status == 422)
    #expect(refusal?.detail.contains("line 3") == true, "\(String(describing: refusal))")
    let after = try await daemon.get(Status.self, "/v1/status")
    #expect(after.reload?.result == .refused)
    #expect(after.health.problems.count == 1)
    let counters = try await daemon.get(Counters.self, "/v1/counters").daemon
    #expect(counters.reloadsApplied == 1)
    #expect(counters.reloadsRefused >= 1)
  }

  @Test func clientsAreFoundMovedAndForgotten() async throws {
    let service = try BalancedService(servers: 2)
    let daemon = service.daemon
    let clients = try (0..<4).map { _ in try service.newClient() }
    let names = try clients.map { try service.server(answering: $0) }
    #expect(names == ["srv1", "srv2", "srv1", "srv2"])
    let addresses = (0..<2).map(service.address(ofServer:))
    func path(_ client: UDPSocket) -> String { "/v1/associations/\(client.endpoint)" }
    func page(_ query: String) async throws -> AssociationPage {
      try await daemon.get(AssociationPage.self, "/v1/associations?\(query)")
    }

    let found = try await daemon.get(ClientAssociations.self, path(clients[0]))
    #expect(found.associations.map(\.realServer) == [addresses[0]])
    #expect(found.associations.map(\.virtualServer) == [virtualServer])
    let first = try await page("real_server=\(addresses[1])&limit=1&count=true")
    #expect(first.count == 2)
    let second = try await page(
      "real_server=\(addresses[1])&limit=1&cursor=\(try #require(first.next))")
    #expect(second.next == nil)
    #expect(
      Set((first.associations + second.associations).map(\.client))
        == [clients[1].endpoint.description, clients[3].endpoint.description])
    #expect(try await page("class=resident&count=true&limit=0").count == 0)
    #expect(try await page("order=idle").associations.count == 4)
    let (status, lines) = try await daemon.ask(
      "GET", "/v1/associations", headers: [("Accept", "application/jsonl")])
    #expect(status == 200)
    let entries = try lines.split(separator: UInt8(ascii: "\n")).map {
      try JSON.decode(AssociationEntry.self, from: $0)
    }
    #expect(
      try await page("").associations.map(\.client).sorted() == entries.map(\.client).sorted())

    // The second time it is there already, and not counted.
    for _ in 0..<2 {
      let moved = try await daemon.send(
        "PUT", path(clients[0]), #"{"real_server":"\#(addresses[1])"}"#,
        as: ClientAssociations.self)
      #expect(moved.associations.map(\.realServer) == [addresses[1]])
    }
    #expect(try service.server(answering: clients[0]) == "srv2")
    let (refused, body) = try await daemon.ask(
      "PUT", path(clients[0]), headers: [("Content-Type", "application/json")],
      body: #"{"real_server":"10.99.0.1"}"#)
    #expect(refused == 422)
    #expect(Refusal(refused, body).detail.contains("10.99.0.1 is no real server"))

    #expect(try await daemon.ask("DELETE", "/v1/associations").status == 400)
    func forget(_ target: String) async throws -> UInt64 {
      let (status, body) = try await daemon.ask("DELETE", target)
      guard status == 200 else { throw Refusal(status, body) }
      return try JSON.decode(Forgotten.self, from: body).forgotten
    }
    #expect(try await forget(path(clients[2])) == 1)
    #expect(try await forget(path(clients[2])) == 0)
    #expect(try await forget("/v1/associations?real_server=\(addresses[1])") == 3)
    #expect(try await page("count=true&limit=0").count == 0)
    let counters = try await daemon.get(Counters.self, "/v1/counters").associations
    #expect(counters.map(\.forgottenByRequest) == [4])
    #expect(counters.map(\.movedByRequest) == [1])
  }

  @Test func eventsComeToWhoListens() async throws {
    let service = try BalancedService(servers: 1, options: ["-l", "DEBUG"])
    let response = try await HTTPClient(unixSocket: service.daemon.control).send(
      "GET", "/v1/events?event=INGRESS_NEW_NAT")
    #expect(response.status == 200)
    let client = try service.newClient()
    #expect(try service.server(answering: client) == "srv1")
    var text = ""
    for try await piece in response.body {
      text += String(decoding: piece, as: UTF8.self)
      if text.contains("event: packet") { break }
    }
    #expect(text.hasPrefix("event: ready\ndata: {}\n\nevent: packet\ndata: {"), "\(text)")
    #expect(text.contains(#""event":"INGRESS_NEW_NAT""#))
    #expect(text.contains(#""source_port":\#(client.endpoint.port)"#))
    #expect(!text.contains("INGRESS_REUSED_NAT"))
  }

  @Test func theClientThatSomebodyFollowsIsReportedWhateverTheLevel() async throws {
    let service = try BalancedService(servers: 1, options: ["-l", "CRITICAL"])
    let daemon = service.daemon
    let (followed, other) = (try service.newClient(), try service.newClient())
    let task = Task {
      let response = try await HTTPClient(unixSocket: daemon.control).send(
        "GET", "/v1/events?client=\(followed.endpoint)")
      var text = ""
      for try await piece in response.body {
        text += String(decoding: piece, as: UTF8.self)
        if text.contains("EGRESS_REUSED_NAT") { break }
      }
      return text
    }
    func follows() async throws -> [String] {
      try await daemon.get(Status.self, "/v1/status").followedClients
    }
    #expect(
      try await waitUntilAnswered { try await follows() == [followed.endpoint.description] })
    #expect(try service.server(answering: other) == "srv1")
    #expect(try service.server(answering: followed) == "srv1")
    let text = try await task.value
    #expect(text.contains(#""event":"INGRESS_NEW_NAT""#), "\(text)")
    #expect(text.contains(#""level":"DEBUG""#))
    #expect(!text.contains(":\(other.endpoint.port)"))
    // Who listened has gone, and the program with it.
    #expect(try await waitUntilAnswered { try await follows() == [] })
    #expect(try service.server(answering: followed) == "srv1")
    #expect(try await daemon.get(Counters.self, "/v1/counters").daemon.swaps == 2)
    // Nothing of it was for the log.
    #expect(!daemon.process.transcript.contains("NAT"), "\(daemon.process.transcript)")
    let many = (1...9).map { "client=10.50.0.2:\($0)" }.joined(separator: "&")
    #expect(try await daemon.ask("GET", "/v1/events?\(many)").status == 400)
    let networks = (1...17).map { "network=10.\($0).0.0/16" }.joined(separator: "&")
    #expect(try await daemon.ask("GET", "/v1/events?\(networks)").status == 400)
  }

  @Test func theSocketIsItsOwnersAndGoesWithTheDaemon() async throws {
    let service = try BalancedService(servers: 1)
    let daemon = service.daemon
    let attributes = try FileManager.default.attributesOfItem(atPath: daemon.control)
    #expect(attributes[.posixPermissions] as? Int == 0o660)
    // A second daemon is refused while the first lives.
    let arguments = BalancedService.arguments(.ipv4, servers: [service.address(ofServer: 0)])
    let second = try Daemon.run(
      arguments + ["--control", daemon.control], in: service.topology.director)
    #expect(second.status == 1)
    #expect(
      second.standardError
        == "ulb: error: another process listens on \(daemon.control); stop it, or choose another path"
    )
    for (option, value, part) in [
      ("--control_group", "no-such-group", "there is no group 'no-such-group'"),
      ("--control", "/proc/x/control.sock", "cannot listen on /proc/x"),
    ] {
      let refused = try Daemon.run(
        arguments + [option, value] + (option == "--control" ? [] : ["--control", "/tmp/x.sock"]),
        in: service.topology.director)
      #expect(refused.status == 1)
      #expect(refused.standardError.contains(part), "\(refused.standardError)")
    }

    // Whose connection is open does not hold it up.
    let response = try await HTTPClient(unixSocket: daemon.control).send("GET", "/v1/events")
    var pieces = response.body.makeAsyncIterator()
    #expect(try await pieces.next()?.starts(with: "event: ready".utf8) == true)
    #expect(try daemon.stop() == 0)
    // Some lines of the log at most, and the end.
    var isOver = false
    for _ in 0..<100 where !isOver { isOver = (try? await pieces.next()) == nil }
    #expect(isOver)
    #expect(!FileManager.default.fileExists(atPath: daemon.control))
  }
}
