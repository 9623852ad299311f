// What was counted, from one program to the next and from one process to the next.
import BCC
import CLayout
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

private func address(_ text: String) -> IPAddress { IPAddress(text)! }

private func virtualServer(_ name: String, _ text: String, _ realServers: String...)
  -> VirtualServer
{
  VirtualServer(
    name: name, address: address(text), ports: [5683],
    realServers: realServers.map { RealServer(address($0)) })
}

private let first = virtualServer("first", "10.40.0.10", "10.40.0.2", "10.40.0.11")
private let others = [
  virtualServer("second", "10.40.0.20", "10.40.0.21"),
  virtualServer("third", "10.40.0.30", "10.40.0.31"),
]

@Suite("Counters from one to the next", .serialized)
struct CounterHandoverTests {
  private func configuration(
    _ others: [VirtualServer] = [], maxAssociations: UInt32 = 64,
    maxRealServers: UInt32 = 4, level: LogLevel = .critical
  ) -> Configuration {
    var configuration = Configuration.sample(level: level, maxAssociations: maxAssociations)
    configuration.interface = "one"
    configuration.maxRealServers = maxRealServers
    configuration.virtualServers += others
    return configuration
  }

  /// What was counted of each real server of a virtual server.
  private func counts(
    _ dataPlane: DataPlane, ofVirtualServer index: Int = 0
  ) throws -> [IPAddress: RealServerCounts] {
    let snapshot = dataPlane.snapshot()
    let realServers = dataPlane.configuration.virtualServers[index].realServers
    return try Dictionary(
      uniqueKeysWithValues: realServers.map {
        let slot = try #require(snapshot.slot(of: $0.address, ofVirtualServer: index))
        return ($0.address, snapshot.counts(of: slot))
      })
  }

  @Test("a copy in two steps takes what is counted before it, between them and on the other side")
  func copy() throws {
    let (former, next) = try compiling {
      (try DataPlane(configuration()), try DataPlane(configuration(maxRealServers: 16)))
    }
    /// Of all real servers, and of the event.
    func packets(_ dataPlane: DataPlane) throws -> [UInt64] {
      let own = try counts(dataPlane).values.reduce(0) { $0 + $1.ingress.packets }
      return [own, dataPlane.snapshot().count(of: .ingressReusedNAT).packets]
    }
    try next.send(1...3)
    try next.send(1...1)
    for _ in 0..<2 { try former.send(1...6) }
    var copy = RealServerCounterCopy(
      from: former.service.counters(besides: SharedTables()), to: next.service.counters,
      next.service.plan)
    copy.begin()
    #expect(try packets(next) == [16, 7])
    try former.send(1...6)
    try next.send(1...1)
    #expect(try packets(next) == [17, 8])
    copy.finish()
    #expect(try packets(next) == [23, 14])
    copy.finish()
    #expect(try packets(next) == [23, 14])
    #expect(try packets(former) == [18, 12])
  }

  @Test("counts that begin anew are zero, whatever each CPU has counted")
  func reset() throws {
    // Blocks of two entries: the daemon's, and those of two CPUs.
    let table = try array(of: traffic.self, 6)
    let memory = try MappedTable<traffic>(table)
    let counters = try CounterTable<traffic>(table, count: 2)
    for (cpu, packets) in [1_000, 2_000].enumerated() as EnumeratedSequence<[UInt64]> {
      memory[2 * (1 + cpu) + 1].pointee.packets += packets
    }
    #expect(counters[1].packets == 3_000 && counters.total(0..<2) == [3_000, 0])
    counters.reset(1)
    #expect(counters[1].packets == 0)
    memory[5].pointee.packets += 2
    counters.add(0, traffic(packets: 5, bytes: 60))
    #expect(counters[1].packets == 2 && counters[0].packets == 5)
    #expect(counters.total(0..<2) == [7, 60])
  }

  @Test(
    "a restart goes on, with the same options, another -ma, one virtual server fewer, and both",
    arguments: [64, 128] as [UInt32], [true, false])
  func restart(maxAssociations: UInt32, keepsFirst: Bool) throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      let former = try store.start(configuration([first]))
      // In turn: three are with the first real server, two with the other.
      try former.send(1...5)
      try former.send(1...1)
      try former.send(1...3, to: first.address)
      try former.send(1...2, to: first.address)
      let before = former.snapshot()
      let own = try counts(former)
      let ofFirst = try counts(former, ofVirtualServer: 1)
      #expect(own.values.map(\.ingress.packets).sorted() == [2, 4])
      #expect(ofFirst.values.map(\.ingress.packets).sorted() == [2, 3])
      former.detach()
      var options = configuration(keepsFirst ? [first] : [], maxAssociations: maxAssociations)
      options.realServers.reverse()
      let next = try store.start(options)
      #expect(
        store.reports.contains("The association table of the process before is taken over.")
          == (maxAssociations == 64))
      let after = next.snapshot()
      #expect(try counts(next) == own)
      if keepsFirst { #expect(try counts(next, ofVirtualServer: 1) == ofFirst) }
      #expect(after.eventCounts() == before.eventCounts())
      #expect(after.count(of: .ingressNewNAT) == TrafficCount(packets: 8, bytes: 8 * 42))
      #expect(after.associationCounts(of: .ipv4).created == CreationCount(byClient: 8))
      #expect(after.associationCounts(of: .ipv4) == before.associationCounts(of: .ipv4))
      #expect(after.countingSince == before.countingSince)
      #expect(store.names.count == 14, "\(store.names)")
      try next.send(1...1)
      let total = try counts(next).values.reduce(0) { $0 + $1.ingress.packets }
      #expect(total == 7 && next.snapshot().count(of: .ingressReusedNAT).packets == 4)
    }
  }

  @Test("what the former program counts until the other is in its place is there, and once")
  func late() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      let former = try store.start(configuration([first]))
      try former.send(1...4)
      let program = former.program
      former.detach()
      let handover = try store.handover(configuration())
      try former.send(1...4)
      // When the table of before is let go of, the next program serves and this one is under way.
      store.onForget = { try? program.send(1...2) }
      try handover.commit()
      store.onForget = nil
      let late = UInt64(2 * store.forgotten)
      #expect(store.forgotten > 0)
      let next = handover.dataPlane
      let total = try counts(next).values.reduce(0) { $0 + $1.ingress.packets }
      #expect(total == 8 + late)
      #expect(next.snapshot().count(of: .ingressReusedNAT).packets == 4 + late)
      try program.send(1...4)
      #expect(try counts(next).values.reduce(0) { $0 + $1.ingress.packets } == total)
    }
  }

  /// Packets of the program of before are under way when the virtual server has left.
  @Test("the next real server of a slot that is freed begins at zero", arguments: [false, true])
  func freed(isRestart: Bool) throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      var dataPlane = try store.start(configuration([first]))
      try dataPlane.send(1...4, to: first.address)
      let program = dataPlane.program
      let slots = dataPlane.service.plan.slots(of: 1, .ipv4)
      #expect(slots.count == 2)
      store.onForget = { try? program.send(1...4, to: first.address) }
      // Each needs counters with other slots.
      if isRestart {
        dataPlane.detach()
        dataPlane = try store.start(configuration())
      } else {
        try compiling { _ = try dataPlane.apply(configuration(others)) }
      }
      store.onForget = nil
      #expect(store.forgotten > 0)
      #expect(dataPlane.service.plan.slots(of: 1, .ipv4) == [])
      let events = dataPlane.snapshot().eventCounts()
      #expect(events[.ingressReusedNAT]?.packets == UInt64(4 * store.forgotten))
      var next = dataPlane.configuration
      next.virtualServers[0].realServers += (1...2 as ClosedRange<UInt8>).map {
        RealServer(IPAddress(octets: [10, 41, 0, $0]))
      }
      try dataPlane.apply(next)
      #expect(dataPlane.service.plan.slots(of: 0, .ipv4).filter(slots.contains) == slots)
      #expect(dataPlane.snapshot().eventCounts() == events)
      #expect(try counts(dataPlane).values.allSatisfy { $0 == RealServerCounts() })
    }
  }

  @Test("tables of a process that did not count are taken over, and counting begins")
  func without() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      let former = try store.start(configuration())
      try former.send(1...3)
      let since = former.snapshot().countingSince
      former.detach()
      for name in store.names where name.contains("counters") { store.forget(name) }
      #expect(store.names.count == 11, "\(store.names)")
      let next = try store.start(configuration())
      #expect(store.reports.contains("The association table of the process before is taken over."))
      #expect(try counts(next).values.allSatisfy { $0 == RealServerCounts() })
      let snapshot = next.snapshot()
      #expect(snapshot.eventCounts().values.allSatisfy { $0 == TrafficCount() })
      #expect(snapshot.associationCounts(of: .ipv4) == AssociationCounts())
      #expect(snapshot.census().clients(of: .ipv4) == 3)
      let now = snapshot.countingSince
      #expect((now.seconds, now.nanoseconds) > (since.seconds, since.nanoseconds))
      #expect(store.names.count == 14, "\(store.names)")
      try next.send(1...3)
      #expect(next.snapshot().count(of: .ingressReusedNAT).packets == 3)
    }
  }

  @Test("what the process before has lost of events is not this one's")
  func lost() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      // Nobody is there to take a packet, which is an event; more than the ring buffer has room for.
      var options = configuration(level: .error)
      options.realServers = []
      func fill(_ dataPlane: DataPlane) throws { for _ in 0..<40 { try dataPlane.send(1...200) } }
      let former = try store.start(options)
      try fill(former)
      let lost = former.snapshot().eventsLost
      #expect(lost > 0)
      former.detach()
      let next = try store.start(options)
      #expect(next.snapshot().eventsLost == lost)
      #expect(next.lostEvents() == 0)
      try fill(next)
      #expect(next.snapshot().eventsLost > lost)
      #expect(next.lostEvents() == next.snapshot().eventsLost - lost)
    }
  }

  @Test("the next process follows nobody")
  func followed() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      let client = Client(address: IPAddress(octets: [10, 50, 0, 1]), port: 40_000)
      let former = try store.start(configuration())
      try compiling { try former.follow([client]) }
      try former.send(1...2)
      #expect(former.consumeEvents { _ in } == 1)
      #expect(store.names.count == 14, "\(store.names)")
      former.detach()
      let next = try store.start(configuration())
      try next.send(1...2)
      #expect(next.followed == [] && next.consumeEvents { _ in } == 0)
    }
  }
}

extension DataPlane {
  fileprivate func send(
    _ clients: ClosedRange<UInt8>, to virtualServer: IPAddress = address("10.40.0.1")
  ) throws { try program.send(clients, to: virtualServer) }
}

extension Program {
  /// Runs a request of each client: 42 octets, without checksums.
  fileprivate func send(
    _ clients: ClosedRange<UInt8>, to virtualServer: IPAddress = address("10.40.0.1")
  ) throws {
    let macs: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]
    let udp: [UInt8] = [0x9c, 0x40, 0x16, 0x33, 0, 8, 0, 0]
    for client in clients {
      let ip: [UInt8] = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 50, 0, client]
      _ = try testRun(frame: macs + [8, 0] + ip + virtualServer.octets + udp)
    }
  }
}
