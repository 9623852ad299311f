// Several virtual servers: what becomes of their numbers, slots and associations where they come, go
// and change, while one process runs and from one to the next.
import BCC
import CLayout
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

private func address(_ text: String) -> IPAddress { IPAddress(text)! }

/// The command line's virtual server of ``Configuration/sample(_:level:debug:ports:maxAssociations:)``
/// and others.
private func configuration(
  maxAssociations: UInt32 = 64, _ others: VirtualServer...
) -> Configuration {
  var configuration = Configuration.sample(maxAssociations: maxAssociations)
  configuration.interface = "one"
  configuration.maxRealServers = 4
  configuration.virtualServers += others
  return configuration
}

private func virtualServer(
  _ name: String, _ text: String, ports: [UInt16] = [5683], scheduler: Scheduler = .roundRobin,
  _ realServers: String...
) -> VirtualServer {
  VirtualServer(
    name: name, address: address(text), ports: ports, scheduler: scheduler,
    realServers: realServers.map { RealServer(address($0)) })
}

private let first = virtualServer("first", "10.40.0.10", ports: [1], "10.40.0.2", "10.40.0.11")
private let second = virtualServer("second", "2001:db8::10", "2001:db8::11", "2001:db8::12")

/// Clients of each family, who are the same for each virtual server.
private func clients(_ family: AddressFamily, of realServer: IPAddress) -> [Client: IPAddress] {
  let clients = (0..<10).map { number in
    family == .ipv4 ? IPv4ClientKey(number).client : IPv6ClientKey(number).client
  }
  return Dictionary(uniqueKeysWithValues: clients.map { ($0, realServer) })
}

extension DataPlane {
  /// Gives each virtual server ten clients, all of its first real server.
  fileprivate func giveClients() {
    for server in configuration.virtualServers {
      let realServer = server.realServers[0].address
      #expect(restore(clients(server.family, of: realServer), of: server.name).count == 10)
    }
  }

  /// The real server of each virtual server's clients; `nil` where there are not ten of one.
  fileprivate var serversOfClients: [String: IPAddress?] {
    var all: [String: [IPAddress]] = [:]
    for (client, server) in servers() {
      all[client.virtualServer ?? "", default: []].append(server)
    }
    return all.mapValues { $0.count == 10 && Set($0).count == 1 ? $0[0] : nil }
  }

  fileprivate func number(of name: String?) -> UInt8? {
    service.plan.served.first { $0.virtualServer.name == name }?.number
  }

  fileprivate func realServer(_ slot: UInt32) throws -> real_server_v4? {
    let table = try TypedTable<UInt32, real_server_v4>(tables.service[.realServers, .ipv4])
    return table.lookup(2 * slot + service.bank(.ipv4))
  }

  fileprivate func slot(of address: IPAddress) throws -> UInt32? {
    let table = try TypedTable<ip_address_v4, UInt32>(tables.service[.slotOfAddress, .ipv4])
    return table.lookup(IPv4Layout.key(address))
  }
}

extension Service {
  fileprivate func bank(_ family: AddressFamily) -> UInt32 { associations[family]!.control.bank }
}

@Suite("Virtual servers that come, go and change", .serialized)
struct VirtualServerTests {
  private func start(_ configuration: Configuration) throws -> DataPlane {
    let dataPlane = try compiling { try DataPlane(configuration) }
    dataPlane.giveClients()
    return dataPlane
  }

  @discardableResult
  private func apply(
    _ next: Configuration, to dataPlane: DataPlane, isRecompiled: Bool = true
  ) throws -> DataPlane.Change {
    let change = try compiling { try dataPlane.apply(next) }
    #expect(change.isRecompiled == isRecompiled)
    #expect(dataPlane.configuration == next)
    return change
  }

  @Test("clients of several virtual servers, of both families, are told apart")
  func several() throws {
    let dataPlane = try start(configuration(first, second))
    #expect(
      dataPlane.serversOfClients == [
        "": address("10.40.0.2"), "first": address("10.40.0.2"), "second": address("2001:db8::11"),
      ])
    #expect([nil, "first", "second"].map { dataPlane.number(of: $0) } == [0, 1, 2])
    #expect(try dataPlane.listInTables() == dataPlane.configuration.realServers)
    #expect(try dataPlane.listInTables(1) == first.realServers.map(\.address))
    #expect(try dataPlane.listInTables(2, .ipv6) == second.realServers.map(\.address))
    let reader = dataPlane.readAssociations()
    #expect(reader.virtualServers.map(\.name) == [nil, "first", "second"])
    #expect(
      reader.virtualServers.map(\.address)
        == dataPlane.configuration.virtualServers.map(\.address))
  }

  @Test("one that comes or goes takes nobody's clients but its own")
  func comesAndGoes() throws {
    let dataPlane = try start(configuration(first))
    try apply(configuration(first, second), to: dataPlane)
    #expect(Set(dataPlane.serversOfClients.keys) == ["", "first"])
    dataPlane.restore(clients(.ipv6, of: second.realServers[0].address), of: "second")
    try apply(configuration(second), to: dataPlane)
    #expect(
      dataPlane.serversOfClients
        == ["": address("10.40.0.2"), "second": address("2001:db8::11")])
    try apply(configuration(), to: dataPlane)
    #expect(dataPlane.serversOfClients == ["": address("10.40.0.2")])
    #expect(dataPlane.tables.families == [.ipv4])
    // Its family begins anew.
    try apply(configuration(second), to: dataPlane)
    #expect(Set(dataPlane.serversOfClients.keys) == [""])
  }

  @Test("a number is given anew when none of its associations is left")
  func numbers() throws {
    let dataPlane = try start(configuration(first))
    let other = virtualServer("other", "10.40.0.20", ports: [1], "10.40.0.2")
    // Both at once: the one that comes does not have the number of the one that goes.
    try apply(configuration(other), to: dataPlane)
    #expect(dataPlane.number(of: "other") == 2)
    #expect(Set(dataPlane.serversOfClients.keys) == [""])
    for key in 0..<10 {
      #expect(dataPlane.associations().find(IPv4ClientKey(key), of: 1) == nil)
    }
    try apply(configuration(other, first), to: dataPlane)
    #expect(dataPlane.number(of: "first") == 1)
    #expect(Set(dataPlane.serversOfClients.keys) == [""])
    // Slots are free again, too.
    let slots = dataPlane.service.plan.slots(of: .ipv4)
    #expect(slots.compactMap { $0 }.count == 5 && slots[5...].allSatisfy { $0 == nil })
  }

  @Test("who keeps its name keeps its clients: with another address, ports, scheduler")
  func changes() throws {
    let dataPlane = try start(configuration(first, second))
    let all = dataPlane.serversOfClients
    var next = first
    next.address = address("10.40.0.77")
    try apply(configuration(next, second), to: dataPlane)
    #expect(dataPlane.serversOfClients == all)
    let slot = try #require(
      dataPlane.service.plan.slot(of: address("10.40.0.11"), 1, .ipv4))
    #expect(
      try dataPlane.realServer(UInt32(slot))?.server.checksum_delta
        == Checksum.delta(from: next.address, to: address("10.40.0.11")))
    next.ports = [7, 8]
    try apply(configuration(next, second), to: dataPlane)
    #expect(dataPlane.serversOfClients == all)
    next.scheduler = .maglev
    try apply(configuration(second, next), to: dataPlane)
    #expect(dataPlane.serversOfClients == all && dataPlane.number(of: "first") == 1)
    let turns = try dataPlane.listInTables(1)
    #expect(turns.count == Maglev.entries)
    #expect(turns == Maglev.table(of: next.realServers).map { next.realServers[$0].address })
    // In another family it is another one.
    let other = virtualServer("first", "2001:db8::20", ports: [1], "2001:db8::11")
    try apply(configuration(second, other), to: dataPlane)
    #expect(Set(dataPlane.serversOfClients.keys) == ["", "second"])
    // The command line's is what it is, whatever its address.
    var commandLine = configuration(second, other)
    commandLine.virtualServer = address("10.40.0.99")
    try apply(commandLine, to: dataPlane)
    #expect(Set(dataPlane.serversOfClients.keys) == ["", "second"])
  }

  @Test("another list, weight or state is in force without a program, as far as there is room")
  func lists() throws {
    let dataPlane = try start(configuration(first, second))
    var next = dataPlane.configuration
    next.virtualServers[1].realServers[0].weight = 3
    try apply(next, to: dataPlane, isRecompiled: false)
    let (light, heavy) = (address("10.40.0.11"), address("10.40.0.2"))
    #expect(try dataPlane.listInTables(1) == [heavy, heavy, heavy, light])
    next.virtualServers[1].realServers[0].state = .draining
    next.virtualServers[2].realServers[1].state = .down
    try apply(next, to: dataPlane, isRecompiled: false)
    #expect(try dataPlane.listInTables(1) == [light])
    #expect(try dataPlane.listInTables(2, .ipv6) == [address("2001:db8::11")])
    #expect(dataPlane.serversOfClients.count == 3)
    next.virtualServers[1].realServers[0] = RealServer(heavy, weight: 250)
    next.virtualServers[1].realServers[1].weight = 249
    try apply(next, to: dataPlane)
    #expect(try dataPlane.listInTables(1).count == 499)
    next.virtualServers[1].realServers[0].weight = 256
    next.virtualServers[1].realServers[1].weight = 255
    try apply(next, to: dataPlane, isRecompiled: false)
    #expect(try dataPlane.listInTables(1).count == 511)
    next.virtualServers[1].realServers[1].state = .down
    next.virtualServers[1].realServers[0].weight = 0
    try apply(next, to: dataPlane, isRecompiled: false)
    #expect(try dataPlane.listInTables(1) == [])
    // A list that is what it was changes nothing.
    #expect(try apply(next, to: dataPlane, isRecompiled: false).virtualServers == [])
  }

  @Test("turns go on where they were, whatever is compiled anew")
  func positions() throws {
    let dataPlane = try start(configuration(first, second))
    try dataPlane.service.positions.write(0, 1)
    try dataPlane.service.positions.write(1, 1)
    let other = virtualServer("other", "10.40.0.20", "10.40.0.2")
    try apply(configuration(other, second, first), to: dataPlane)
    #expect((0..<4).map { dataPlane.roundPosition(ofVirtualServer: $0) } == [1, 0, 0, 1])
    try dataPlane.setRoundPositions(of: [
      SavedVirtualServer(
        name: "second", address: second.address, roundPosition: 1, realServers: []),
      SavedVirtualServer(
        name: "second", address: first.address, roundPosition: 9, realServers: []),
      SavedVirtualServer(name: "nobody", address: first.address, roundPosition: 9, realServers: []),
    ])
    #expect((0..<4).map { dataPlane.roundPosition(ofVirtualServer: $0) } == [1, 0, 1, 1])
  }

  @Test("a real server behind two virtual servers is found as either's, as long as it is listed")
  func ring() throws {
    let dataPlane = try start(configuration(first))
    let shared = address("10.40.0.2")
    func ring() throws -> [UInt32] {
      var ring: [UInt32] = []
      var next = try dataPlane.slot(of: shared)
      while let slot = next, !ring.contains(slot) {
        ring.append(slot)
        #expect(try dataPlane.realServer(slot)?.address == shared.words.0)
        next = try dataPlane.realServer(slot).map { UInt32($0.server.next) }
      }
      #expect(next == ring.first)
      return ring
    }
    let both = try ring()
    #expect(try both.map { try dataPlane.realServer($0)?.server.virtual_server } == [0, 1])
    // The slot that the address leads to is one that serves.
    var next = dataPlane.configuration
    next.realServers.removeFirst()
    try apply(next, to: dataPlane, isRecompiled: false)
    #expect(try ring() == both.reversed())
    // It stays so where both serve.
    next.realServers.insert(shared, at: 0)
    try apply(next, to: dataPlane, isRecompiled: false)
    #expect(try ring() == both.reversed())
    next.virtualServers[1].realServers[0].state = .down
    try apply(next, to: dataPlane, isRecompiled: false)
    #expect(try ring() == both)
    // Of one that has left, none stands there.
    try apply(configuration(), to: dataPlane)
    #expect(try ring().count == 1)
  }

  @Test("saved associations come back to those that have the name, and the family")
  func restored() throws {
    let dataPlane = try compiling { try DataPlane(configuration(first, second)) }
    let (v4, v6) = (IPv4ClientKey(1).client, IPv6ClientKey(1).client)
    let saved = [
      SavedVirtualServer(
        name: "second", address: address("2001:db8::99"), roundPosition: 0,
        realServers: [address("2001:db8::12"), address("2001:db8::98")]),
      SavedVirtualServer(
        name: "first", address: address("2001:db8::98"), roundPosition: 0,
        realServers: [address("2001:db8::12")]),
      SavedVirtualServer(
        name: nil, address: .unspecified(.ipv4), roundPosition: 0,
        realServers: [address("10.40.0.3")]),
    ]
    let restored = dataPlane.restore(
      [
        Association(client: v6, virtualServer: 0, realServer: 0),
        Association(client: v6, virtualServer: 0, realServer: 1),
        Association(client: v6, virtualServer: 0, realServer: 2),
        Association(client: v6, virtualServer: 1, realServer: 0),
        Association(client: v4, virtualServer: 0, realServer: 0),
        Association(client: v4, virtualServer: 2, realServer: 0),
        Association(client: v4, virtualServer: 3, realServer: 0),
      ], of: saved)
    #expect(restored == Restored(count: 2, unserved: 3, unlisted: 2))
    #expect(
      dataPlane.servers() == [
        ServedClient(of: "second", v6): address("2001:db8::12"),
        ServedClient(v4): address("10.40.0.3"),
      ])
  }

  @Test("a virtual server without an address is not known beside others")
  func unspecified() throws {
    var configuration = configuration(second)
    configuration.virtualServer = .unspecified(.ipv4)
    let dataPlane = try compiling { try DataPlane(configuration) }
    #expect(dataPlane.tables.families == [.ipv6])
    #expect(dataPlane.service.plan.served.map(\.number) == [1])
    configuration.virtualServers.removeLast()
    try apply(configuration, to: dataPlane)
    #expect(dataPlane.tables.families == [.ipv4])
    #expect(dataPlane.service.plan.served.map(\.number) == [0])
  }
}

@Suite("Virtual servers from one process to the next", .serialized)
struct VirtualServerHandoverTests {
  private static let takenOver = "The association table of the process before is taken over."

  /// A daemon that ends, and its clients, whom the store keeps.
  private func begin(_ store: Store, _ configuration: Configuration) throws -> [String: IPAddress?]
  {
    let dataPlane = try store.start(configuration)
    dataPlane.giveClients()
    dataPlane.detach()
    return dataPlane.serversOfClients
  }

  @Test("all of it is taken over, and nothing piles up")
  func restart() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      let all = try begin(store, configuration(first, second))
      for _ in 0..<2 {
        let names = store.names
        #expect(names.count == 22)
        let next = try store.start(configuration(first, second))
        #expect(store.reports.first == Self.takenOver)
        #expect(next.serversOfClients == all)
        #expect(store.names.count == 22)
        // Association tables and counters stay as they are kept, the service tables are the program's.
        #expect(Set(store.names).intersection(names).count == 13)
        next.detach()
      }
    }
  }

  @Test("what has changed meanwhile is changed as in a running daemon")
  func changed() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      let all = try begin(store, configuration(first, second))
      var moved = first
      moved.address = address("10.40.0.77")
      let other = virtualServer("other", "10.40.0.20", "10.40.0.2")
      var next = try store.start(configuration(other, moved))
      #expect(store.reports.first == Self.takenOver)
      #expect(next.serversOfClients == all.filter { $0.key != "second" })
      #expect(["first", "other"].map { next.number(of: $0) } == [1, 3])
      #expect(store.names.count == 14)
      next.detach()
      next = try store.start(configuration(other))
      #expect(next.serversOfClients == all.filter { $0.key == "" })
      for key in 0..<10 { #expect(next.associations().find(IPv4ClientKey(key), of: 1) == nil) }
      next.detach()
      next = try store.start(configuration(other, first, second))
      #expect(next.serversOfClients == all.filter { $0.key == "" })
      #expect(next.number(of: "other") == 3 && store.names.count == 22)
    }
  }

  @Test("tables of another size are copied, those of each family")
  func copied() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      let all = try begin(store, configuration(first, second))
      for maxAssociations: UInt32 in [128, 64] {
        // Their numbers are in no order.
        let next = try store.start(
          configuration(maxAssociations: maxAssociations, second, first))
        #expect(store.reports.contains("30 association(s) copied into the new tables."))
        #expect(next.serversOfClients == all)
        #expect(["first", "second"].map { next.number(of: $0) } == [1, 2])
        #expect(store.names.count == 22)
        next.detach()
      }
      let last = try store.start(configuration(maxAssociations: 100, first))
      #expect(last.serversOfClients == all.filter { $0.key != "second" })
    }
  }

  @Test("what a running daemon has changed is what the next one finds")
  func afterChanges() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      let dataPlane = try store.start(configuration(first))
      dataPlane.giveClients()
      _ = try compiling { try dataPlane.apply(configuration(first, second)) }
      #expect(store.names.count == 22)
      dataPlane.restore(clients(.ipv6, of: second.realServers[1].address), of: "second")
      _ = try compiling { try dataPlane.apply(configuration(second)) }
      let names = store.names
      #expect(names.count == 22)
      var impossible = configuration(second)
      impossible.ports = [9]
      impossible.kernelHeaders = .directory("/nonexistent")
      #expect(throws: DataPlaneError.self) { try dataPlane.apply(impossible) }
      #expect(store.names == names)
      var listed = configuration(second)
      listed.virtualServers[1].realServers.removeFirst()
      try dataPlane.apply(listed)
      #expect(store.names == names)
      let all = dataPlane.serversOfClients
      #expect(all == ["": address("10.40.0.2"), "second": address("2001:db8::12")])
      dataPlane.detach()
      let next = try store.start(listed)
      #expect(next.serversOfClients == all)
      next.detach()
      let single = try store.start(configuration())
      #expect(single.serversOfClients == all.filter { $0.key == "" })
      #expect(store.names.count == 14)
    }
  }

  @Test("a program that cannot be swapped in is not kept")
  func notSwapped() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      let dataPlane = try store.start(configuration(first))
      let (names, id) = (store.names, try dataPlane.program.info().id)
      try wire.ip(["link", "delete", "dev", "one"])
      for _ in 0..<2 {
        #expect(throws: DataPlaneError.self) {
          _ = try compiling { try dataPlane.apply(configuration(first, second)) }
        }
        #expect(store.names == names)
        #expect(try dataPlane.program.info().id == id)
        #expect(dataPlane.configuration == configuration(first))
      }
    }
  }

  /// It had swapped the program in, and not yet forgotten whom the one that left had.
  @Test("clients of one that left just before its daemon was killed are forgotten")
  func killedBeforeTheSweep() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      let dataPlane = try store.start(configuration(first))
      let slot = try #require(dataPlane.service.plan.slot(of: address("10.40.0.11"), 1, .ipv4))
      _ = try compiling { try dataPlane.apply(configuration()) }
      let entry = Entry<IPv4ClientKey>(7, virtualServer: 1, slot: slot)
      let owners = SlotOwners([UInt8](repeating: 1, count: 16))
      let count = [entry].withUnsafeBufferPointer {
        dataPlane.associations().insert($0, owners: owners)
      }
      #expect(count == 1)
      dataPlane.detach()
      let next = try store.start(configuration(first))
      #expect(next.number(of: "first") == 2)
      #expect(next.associations().find(entry.client, of: 1) == nil)
      #expect(next.servers() == [:])
    }
  }

  @Test("the next process takes a real server for no other where slots are few")
  func slots() throws {
    let (wire, store) = (try Wire(), Store())
    try wire.run {
      var configuration = configuration(first)
      configuration.maxRealServers = 2
      let dataPlane = try store.start(configuration)
      dataPlane.giveClients()
      dataPlane.detach()
      // Each takes the slots of those before.
      for number in 0..<8 as Range<UInt8> {
        configuration.virtualServers[1].realServers = [0, 1].map {
          RealServer(IPAddress(octets: [10, 41, number, $0]))
        }
        let next = try store.start(configuration)
        var expected = ["": address("10.40.0.2")]
        // Whoever has left is remembered until another needs the slot.
        if number < 2 { expected["first"] = address("10.40.0.2") }
        #expect(next.serversOfClients == expected)
        next.detach()
      }
    }
  }
}
