// What a new configuration changes of the virtual servers, and how the log says it.

import Testing

@testable import LoadBalancing

@Suite struct VirtualServerChangeTests {
  static func server(
    _ name: String?, _ address: String = "10.40.0.1", _ servers: [RealServer] = addresses(2),
    adjust: (inout VirtualServer) -> Void = { _ in }
  ) -> VirtualServer {
    var server = VirtualServer(
      name: name, address: IPAddress(address)!, ports: [5683], realServers: servers)
    adjust(&server)
    return server
  }

  static func addresses(_ count: Int) -> [RealServer] {
    PictureTests.addresses(count).map { RealServer($0) }
  }

  /// Of one virtual server.
  static func summary(_ before: VirtualServer, _ after: VirtualServer) -> String? {
    let changes = VirtualServerChange.changes(from: [before], to: [after])
    #expect(changes.count <= 1)
    return changes.first?.summary
  }

  @Test func whoStaysAsItIsHasNoChange() {
    let list = [Self.server(nil), Self.server("a"), Self.server("b")]
    #expect(VirtualServerChange.changes(from: list, to: list) == [])
    #expect(VirtualServerChange.changes(from: list, to: [list[0], list[2], list[1]]) == [])
  }

  @Test func virtualServersComeAndGoByTheirNames() {
    let (first, a, b) = (Self.server(nil), Self.server("a"), Self.server("b", "fd60::1", []))
    let c = Self.server("c", "10.40.0.3") { $0.scheduler = .maglev }
    let changes = VirtualServerChange.changes(from: [first, a, b], to: [first, c, a])
    #expect(changes == [.went(b), .came(c)])
    #expect(changes.map(\.virtualServer.label) == ["b", "c"])
    #expect(
      changes.map(\.summary) == [
        "went, and its associations with it",
        "came with address 10.40.0.3, port(s) [5683], scheduler maglev, 2 real server(s)",
      ])
    #expect(changes.allSatisfy { $0.realServerSummary == nil })
    #expect(changes[1].added == PictureTests.addresses(2))
    #expect(VirtualServerChange.went(a).removed == PictureTests.addresses(2))
  }

  @Test func inAnotherFamilyItIsAnotherOneButForTheCommandLines() {
    let (before, after) = (Self.server("a"), Self.server("a", "fd60::1"))
    #expect(
      VirtualServerChange.changes(from: [before], to: [after]) == [.went(before), .came(after)])
    let (first, other) = (Self.server(nil), Self.server(nil, "fd60::1"))
    #expect(
      VirtualServerChange.changes(from: [first], to: [other]) == [.changed(from: first, to: other)])
  }

  @Test func addressPortsAndSchedulerAreToldWithWhatTheyWere() {
    let before = Self.server("a")
    #expect(
      Self.summary(before, Self.server("a", "10.40.0.2")) == "address 10.40.0.2, was 10.40.0.1")
    #expect(
      Self.summary(before, Self.server("a") { $0.ports = [5683, 5684] })
        == "port(s) [5683, 5684], was port(s) [5683]")
    #expect(
      Self.summary(before, Self.server("a") { $0.ports = Array(1...40_001) })
        == "40,001 ports, was port(s) [5683]")
    #expect(
      Self.summary(
        before, Self.server("a", "10.40.0.2", Self.addresses(1)) { $0.scheduler = .maglev })
        == "address 10.40.0.2, was 10.40.0.1; scheduler maglev, was round-robin; removed 10.41.0.1")
  }

  @Test func realServersAreToldAsTheyWereWithoutVirtualServers() {
    func summary(_ before: [RealServer], _ after: [RealServer]) -> String? {
      VirtualServerChange.changes(
        from: [Self.server(nil, "10.40.0.1", before)], to: [Self.server(nil, "10.40.0.1", after)]
      ).first?.realServerSummary
    }
    let all = Self.addresses(40_000)
    #expect(summary([], []) == nil)
    #expect(summary([], Self.addresses(2)) == "added 10.41.0.0, 10.41.0.1")
    #expect(summary(all, Array(all.prefix(39_990))) == "removed 10 servers")
    #expect(
      summary(Self.addresses(9), Array(all.dropFirst()))
        == "added 39,991 servers; removed 10.41.0.0")
    #expect(summary(Self.addresses(2), Self.addresses(2).reversed()) == "no server came or went")
    // One that is there twice comes and goes once.
    #expect(summary([all[0]], [all[0], all[1], all[1]]) == "added 10.41.0.1")
    #expect(summary([all[0], all[0]], [all[0]]) == "no server came or went")
  }

  @Test func weightsAndStatesAreTold() {
    func server(_ number: Int, _ weight: Int, _ state: RealServer.State = .up) -> RealServer {
      RealServer(PictureTests.addresses(20)[number], weight: weight, state: state)
    }
    let before = Self.server("a", "10.40.0.1", [server(0, 1), server(1, 3), server(2, 1)])
    func summary(_ after: [RealServer]) -> String? {
      Self.summary(before, Self.server("a", "10.40.0.1", after))
    }
    #expect(
      summary([server(0, 3), server(1, 3), server(2, 1, .draining)])
        == "10.41.0.0 now up with weight 3, 10.41.0.2 now draining")
    #expect(
      summary([server(0, 0), server(1, 3, .down), server(3, 2)])
        == "added 10.41.0.3; removed 10.41.0.2; "
        + "10.41.0.0 now draining, 10.41.0.1 now down with weight 3")
    #expect(
      summary([server(0, 1), server(1, 1), server(2, 1)]) == "10.41.0.1 now up with weight 1")
    #expect(
      Self.summary(
        Self.server("a", "10.40.0.1", (0..<9).map { server($0, 1) }),
        Self.server("a", "10.40.0.1", (0..<9).map { server($0, 2) }))
        == "9 servers with another weight or state")
  }
}
