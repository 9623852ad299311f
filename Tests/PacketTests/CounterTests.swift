// What packets count of real servers and associations, and that no change of the program loses any.
// What they count of events, RowTests.swift tests with each row.
import BCC
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

extension Director {
  /// What was counted of a real server of the first virtual server.
  func counts(_ server: Int) throws -> RealServerCounts {
    let snapshot = dataPlane.snapshot()
    let slot = try #require(snapshot.slot(of: addresses.server(server), ofVirtualServer: 0))
    return snapshot.counts(of: slot)
  }

  /// How many clients a real server of the first virtual server has.
  func clients(_ server: Int) throws -> Int {
    let snapshot = dataPlane.snapshot()
    let slot = try #require(snapshot.slot(of: addresses.server(server), ofVirtualServer: 0))
    return snapshot.census().clients(of: slot)
  }

  var associationCounts: AssociationCounts {
    dataPlane.snapshot().associationCounts(of: addresses.family)
  }
}

@Suite("Counters", .serialized)
struct CounterTests {
  @Test(
    "packets and bytes of a real server, each way, and who wrote first",
    arguments: AddressFamily.allCases)
  func realServers(family: AddressFamily) throws {
    let director = try Director(family, level: .critical)
    let addresses = director.addresses
    let (request, reply) = (
      addresses.request(client: 1), addresses.reply(server: 1, client: 1)
    )
    for _ in 0..<3 { _ = try director.run(request) }
    for _ in 0..<2 { _ = try director.run(reply) }
    _ = try director.run(addresses.reply(server: 3, client: 7))
    // Neither was for a real server.
    _ = try director.run(addresses.reply(server: 2, client: 1))
    _ = try director.run(addresses.reply(server: 2, client: 1, port: 53))
    let size = UInt64(request.bytes.count)
    #expect(
      try director.counts(1)
        == RealServerCounts(
          ingress: TrafficCount(packets: 3, bytes: 3 * size),
          egress: TrafficCount(packets: 2, bytes: 2 * size), created: CreationCount(byClient: 1)))
    #expect(try director.counts(2) == RealServerCounts())
    #expect(
      try director.counts(3)
        == RealServerCounts(
          egress: TrafficCount(packets: 1, bytes: size),
          created: CreationCount(byRealServer: 1)))
    #expect(
      director.associationCounts
        == AssociationCounts(created: CreationCount(byClient: 1, byRealServer: 1)))
    #expect(try (1...3).map { try director.clients($0) } == [1, 0, 1])
    #expect(director.dataPlane.snapshot().census().clients(of: family) == 2)
    #expect(director.events() == [])
  }

  @Test(
    "a client that is taken over counts once, whoever writes first",
    arguments: AddressFamily.allCases)
  func takenOver(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    // One each, in turn.
    _ = try director.servers(of: 0..<6)
    try director.dataPlane.apply([1, 3].map(addresses.server))
    _ = try director.servers(of: 0..<3)
    #expect(try director.run(addresses.reply(server: 3, client: 4)).verdict == .send)
    let taken = director.associationCounts
    #expect(taken.created == CreationCount(byClient: 6, takenOver: 2))
    #expect(taken.forgottenNewcomers == 0)
    #expect(try director.counts(1).created == CreationCount(byClient: 2, takenOver: 1))
    #expect(try director.counts(3).created == CreationCount(byClient: 2, takenOver: 1))
    // The client of whom nothing was heard is with nobody in service.
    #expect(try director.clients(1) + director.clients(3) == 6)
  }

  @Test(
    "a client whose place another is given is forgotten", arguments: AddressFamily.allCases,
    [7, 64] as [UInt32])
  func forgotten(family: AddressFamily, maxAssociations: UInt32) throws {
    let director = try Director(family, maxAssociations: maxAssociations)
    let clients = 0..<400
    try director.admit(clients)
    let census = director.dataPlane.snapshot().census()
    let held = director.buckets.entries.count
    #expect(census.clients(of: family) == held)
    #expect(held <= director.dataPlane.snapshot().places(of: family))
    #expect(
      director.associationCounts
        == AssociationCounts(
          created: CreationCount(byClient: 400), forgottenNewcomers: UInt64(400 - held)))
  }

  @Test(
    "what the daemon has put down is no association", arguments: AddressFamily.allCases)
  func pending(family: AddressFamily) throws {
    let director = try Director(family)
    _ = try director.server(of: 1)
    let place = try #require(director.entry(of: 1)?.place)
    director.buckets[place] |= UInt64(Buckets.pending)
    #expect(director.dataPlane.snapshot().census().clients(of: family) == 0)
    _ = try director.server(of: 1)
    #expect(director.associationCounts.created == CreationCount(byClient: 2))
  }

  @Test(
    "what CPUs count at the same time is all there", arguments: AddressFamily.allCases)
  func concurrent(family: AddressFamily) throws {
    let director = try Director(family, servers: [Addresses(family: family).server(1)])
    let frames = (0..<2).map { director.addresses.request(client: $0).bytes }
    let program = director.dataPlane.program
    let rounds = 20_000
    let snapshot = director.dataPlane.snapshot()
    let slot = try #require(
      snapshot.slot(of: director.addresses.server(1), ofVirtualServer: 0))
    let work = frames.map { frame in
      { () throws -> UInt64 in
        var last: UInt64 = 0
        for round in 0..<rounds {
          _ = try program.testRun(frame: frame)
          guard round % 64 == 0 else { continue }
          // Read while it is counted, it never goes back.
          let packets = snapshot.counts(of: slot).ingress.packets
          if packets < last { return 0 }
          last = packets
        }
        return last
      }
    }
    let cpus = [usableCPUs[0], usableCPUs[min(1, usableCPUs.count - 1)]]
    #expect(try onCPUs(cpus, work).allSatisfy { $0 > 0 })
    let counts = snapshot.counts(of: slot)
    #expect(
      counts.ingress
        == TrafficCount(
          packets: UInt64(2 * rounds), bytes: UInt64(2 * rounds * frames[0].count)))
    let events = snapshot.eventCounts()
    #expect(events[.ingressNewNAT]?.packets == 2)
    #expect(events[.ingressReusedNAT]?.packets == UInt64(2 * rounds - 2))
  }

  @Test("a slot's next real server begins at zero", arguments: AddressFamily.allCases)
  func reusedSlot(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let director = try Director(family, servers: addresses.servers(1..<3), maxServers: 2)
    for _ in 0..<3 { _ = try director.servers(of: 0..<4) }
    _ = try director.run(addresses.reply(server: 1, client: 0))
    let total = director.associationCounts
    let events = director.dataPlane.snapshot().eventCounts()
    #expect(events[.ingressReusedNAT]?.packets == 8 && events[.egressReusedNAT]?.packets == 1)
    let before = try director.counts(1)
    #expect(before.ingress.packets == 6 && before.created.byClient == 2)
    // There are four slots: the fifth server is given that of the first.
    try director.dataPlane.apply(addresses.servers(3..<5))
    let reused = try director.dataPlane.apply(addresses.servers(5..<6))
    #expect(reused.count == 1)
    #expect(try director.counts(5) == RealServerCounts())
    #expect(director.associationCounts == total)
    #expect(director.dataPlane.snapshot().eventCounts() == events)
    _ = try director.server(of: 9)
    #expect(try director.counts(5).ingress.packets == 1)
  }

  @Test("a real server that leaves and returns goes on", arguments: AddressFamily.allCases)
  func returns(family: AddressFamily) throws {
    let director = try Director(family)
    _ = try director.servers(of: 0..<3)
    let before = try director.counts(1)
    try director.dataPlane.apply([2, 3].map(director.addresses.server))
    #expect(try director.counts(1) == before)
    try director.dataPlane.apply([1, 2, 3].map(director.addresses.server))
    #expect(try director.counts(1) == before && before.ingress.packets == 1)
  }

  @Test(
    "a program that is compiled anew goes on counting, also with other slots",
    arguments: AddressFamily.allCases, [false, true])
  func exchange(family: AddressFamily, hasOtherSlots: Bool) throws {
    let director = try Director(family)
    let (dataPlane, addresses) = (director.dataPlane, director.addresses)
    _ = try director.servers(of: 0..<4)
    _ = try director.servers(of: 0..<1)
    let former = dataPlane.snapshot()
    let counts = try (1...3).map { try director.counts($0) }
    var next = dataPlane.configuration
    if hasOtherSlots {
      // Two virtual servers need twice as many slots.
      next.virtualServers.append(
        VirtualServer(
          name: "other", address: addresses.stranger, ports: [53],
          realServers: [RealServer(addresses.server(1))]))
    } else {
      next.logLevel = .info
    }
    try compiling { _ = try dataPlane.apply(next) }
    let snapshot = dataPlane.snapshot()
    #expect(try (1...3).map { try director.counts($0) } == counts)
    #expect(counts[0].ingress.packets == 3)
    #expect(snapshot.eventCounts() == former.eventCounts())
    #expect(snapshot.countingSince == former.countingSince)
    #expect(director.associationCounts.created.byClient == 4)
    if hasOtherSlots {
      let other = try #require(snapshot.slot(of: addresses.server(1), ofVirtualServer: 1))
      #expect(snapshot.counts(of: other) == RealServerCounts())
    }
    _ = try director.server(of: 0)
    #expect(try director.counts(1).ingress.packets == 4)
    #expect(dataPlane.snapshot().count(of: .ingressReusedNAT).packets == 2)
  }

  @Test("events of virtual servers and real servers that leave stay counted")
  func leaving() throws {
    let (v4, v6) = (Addresses(family: .ipv4), Addresses(family: .ipv6))
    let director = try Director(.ipv4)
    let dataPlane = director.dataPlane
    var both = dataPlane.configuration
    both.virtualServers.append(
      VirtualServer(
        name: "other", address: v6.virtualServer, ports: [Addresses.ports[0]],
        realServers: [RealServer(v6.server(1))]))
    let alone = dataPlane.configuration
    for round in 1...2 as ClosedRange<UInt64> {
      try compiling { _ = try dataPlane.apply(both) }
      for datagram in [
        v4.request(client: 1), v6.request(client: 1), v6.reply(server: 1, client: 1),
      ] {
        for _ in 0..<3 { #expect(try director.run(datagram).verdict == .send) }
      }
      try compiling { _ = try dataPlane.apply(alone) }
      let snapshot = dataPlane.snapshot()
      // The IPv4 client is new once, that of the virtual server that left each time.
      #expect(snapshot.count(of: .ingressNewNAT).packets == 1 + round)
      #expect(snapshot.count(of: .ingressReusedNAT).packets == 6 * round - 1 - round)
      #expect(snapshot.count(of: .egressReusedNAT).packets == 3 * round)
      #expect(try director.counts(1).ingress.packets == 3 * round)
    }
  }

  @Test("a virtual server of no program has no real server that is counted")
  func unserved() throws {
    let director = try Director(.ipv4)
    var next = director.dataPlane.configuration
    next.virtualServers.append(
      VirtualServer(
        name: "other", address: director.addresses.stranger, ports: [53], realServers: []))
    next.virtualServer = .unspecified(.ipv4)
    try compiling { _ = try director.dataPlane.apply(next) }
    let snapshot = director.dataPlane.snapshot()
    #expect(snapshot.slot(of: director.addresses.server(1), ofVirtualServer: 0) == nil)
    #expect(snapshot.families == [.ipv4])
    #expect(snapshot.places(of: .ipv6) == 0 && snapshot.census().clients(of: .ipv6) == 0)
  }
}
