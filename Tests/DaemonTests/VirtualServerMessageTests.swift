// What the log says of a change of the virtual servers.
import LoadBalancing
import Testing

@testable import ulb

@Suite struct VirtualServerMessageTests {
  private static let first = IPAddress("10.0.0.1")!
  private static let servers = ["10.0.0.2", "10.0.0.3", "10.0.0.4"].map {
    RealServer(IPAddress($0)!)
  }

  private func virtualServer(
    named name: String? = nil, address: IPAddress = first, _ realServers: [RealServer] = servers,
    adjust: (inout VirtualServer) -> Void = { _ in }
  ) -> VirtualServer {
    var result = VirtualServer(
      name: name, address: address, ports: [5683], realServers: realServers)
    adjust(&result)
    return result
  }

  private func messages(_ before: [VirtualServer], _ after: [VirtualServer]) -> [String?] {
    VirtualServerChange.changes(from: before, to: after).map(\.message)
  }

  /// As it was before there were several.
  @Test func theCommandLinesIsNotNamed() {
    let servers = Self.servers
    for (list, text) in [
      (Array(servers.dropLast()), "2 real server(s); removed 10.0.0.4"),
      (servers + [RealServer(Self.first)], "4 real server(s); added 10.0.0.1"),
      (servers.reversed(), "3 real server(s); no server came or went"),
      (servers + [servers[0]], "4 real server(s); no server came or went"),
      (
        [servers[0], RealServer(Self.first)],
        "2 real server(s); added 10.0.0.1; removed 10.0.0.3, 10.0.0.4"
      ),
    ] {
      #expect(
        messages([virtualServer()], [virtualServer(list)]) == ["New config applied: \(text)."])
    }
    #expect(messages([virtualServer()], [virtualServer()]).isEmpty)
  }

  @Test func whatTheLineOfTheProgramSaysIsNotSaidTwice() {
    let changed = virtualServer { $0.ports = [1, 2] }
    #expect(messages([virtualServer()], [changed]) == [nil])
  }

  @Test func weightsAndStatesAreToldOfTheCommandLinesToo() throws {
    let changed = virtualServer {
      $0.realServers[0].weight = 3
      $0.realServers[1].state = .draining
    }
    let message = try #require(messages([virtualServer()], [changed]).first ?? nil)
    #expect(message.hasPrefix("New config applied: 3 real server(s); 10.0.0.2 "))
    #expect(message.contains("weight 3") && message.contains("10.0.0.3 now draining"))
  }

  @Test func eachOfTheOthersHasALineWithItsName() {
    let (before, after) = (
      [
        virtualServer(), virtualServer(named: "dns"), virtualServer(named: "web"),
        virtualServer(named: "coap"),
      ],
      [
        virtualServer(), virtualServer(named: "coap"),
        virtualServer(named: "web", Array(Self.servers.dropLast())) { $0.scheduler = .maglev },
        virtualServer(
          named: "lwm2m", address: IPAddress("fd60::10")!, [RealServer(IPAddress("fd70::2")!)]),
      ]
    )
    let changes = VirtualServerChange.changes(from: before, to: after)
    #expect(
      changes.map(\.message) == [
        "Virtual server dns went, and its associations with it.",
        "Virtual server web: scheduler maglev, was round-robin; removed 10.0.0.4.",
        "Virtual server lwm2m came with address fd60::10, port(s) [5683], 1 real server(s).",
      ])
    #expect(changes.map(\.virtualServer.label) == ["dns", "web", "lwm2m"])
  }

  @Test func aSingleOneGoesWithoutSaying() {
    #expect([virtualServer()].counted == "3 real server(s)")
    #expect(
      [virtualServer(), virtualServer(named: "dns", [])].counted
        == "2 virtual servers with 3 real server(s)")
  }
}
