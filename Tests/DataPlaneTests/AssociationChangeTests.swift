// What an operator does with associations: they are forgotten, and clients are led elsewhere.
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

private typealias Browsed = BrowsedAssociations

@Suite("Changes of associations")
struct AssociationChangeTests {
  @Test("what a filter lets through is forgotten, and nothing else")
  func forget() throws {
    for filter in [
      AssociationFilter(network: IPNetwork("10.50.1.0/24")),
      AssociationFilter(virtualServer: Browsed.third),
      AssociationFilter(virtualServer: Browsed.second, realServer: IPAddress("10.41.0.1")),
      AssociationFilter(client: Client("10.50.0.6:40000")),
      AssociationFilter(virtualServer: "nobody"),
    ] {
      let browsed = try Browsed()
      browsed.insert(browsed.many(600))
      let before = Set(browsed.pages(AssociationFilter(), .table, limit: 1_000).joined())
      let meant = Set(browsed.pages(filter, .table, limit: 1_000).joined())
      var forgetting = AssociationForgetting(browsed.service, filter)
      var count = 0
      while let piece = forgetting.next() { count += piece }
      #expect(count == meant.count)
      #expect(
        Set(browsed.pages(AssociationFilter(), .table, limit: 1_000).joined())
          == before.subtracting(meant))
    }
  }

  private func check<Key: ClientKey>(_ family: AddressFamily, _ type: Key.Type) throws {
    let tables = try SharedAssociations(family, maxAssociations: 64)
    tables.insert((0..<40).map { Entry<Key>($0, slot: 1, rank: 9) })
    // One that has a word, and one that has none.
    for (number, lead) in [(7, .moved), (50, .made)] as [(Int, AssociationTable.Lead)] {
      #expect(tables.table.lead(Key(number), of: 0, to: 3) == lead)
      #expect(tables.table.lead(Key(number), of: 0, to: 3) == .alreadyThere)
      #expect(tables.table.find(Key(number), of: 0)?.slot == 3)
    }
    // To be led is no use of it.
    #expect(tables.table.find(Key(7), of: 0)?.rank == 9)
    #expect(tables.table.find(Key(50), of: 0)?.rank == 0)
    let entries = tables.entries(Key.self)
    #expect(entries.count == 41 && entries.count { $0.slot == 1 } == 39)
    #expect(!entries.contains { $0.slot == AssociationTable.pendingSlot })
  }

  @Test("a client is led to another real server, be it known or not")
  func lead() throws {
    try check(.ipv4, IPv4ClientKey.self)
    try check(.ipv6, IPv6ClientKey.self)
  }

  @Test("a client of several virtual servers is led with the one that is meant")
  func leadOfOne() throws {
    let tables = try SharedAssociations(.ipv4, maxAssociations: 64)
    let client = IPv4ClientKey(1)
    for number in 0..<3 as Range<UInt8> {
      #expect(tables.table.lead(client, of: number, to: UInt16(number) + 1) == .made)
    }
    #expect(tables.table.lead(client, of: 1, to: 9) == .moved)
    #expect((0..<3).map { tables.table.find(client, of: $0)?.slot } == [1, 9, 3])
  }

  @Test("who was used least recently goes for a client that is led, but not one of just now")
  func leadWithoutRoom() throws {
    let tables = try SharedAssociations(.ipv4, maxAssociations: 8)
    // More than there are places in both buckets.
    tables.insert((0..<100).map { Entry<IPv4ClientKey>($0) })
    #expect(tables.entries(IPv4ClientKey.self).count == 14)
    #expect(tables.table.lead(IPv4ClientKey(500), of: 0, to: 3) == nil)
    #expect(tables.entries(IPv4ClientKey.self).count == 14)
    tables.advanceEpoch()
    var forgotten = 0
    #expect(
      tables.table.lead(IPv4ClientKey(500), of: 0, to: 3, forgotten: &forgotten) == .made)
    #expect(forgotten == 1)
    #expect(tables.table.find(IPv4ClientKey(500), of: 0)?.slot == 3)
    #expect(tables.entries(IPv4ClientKey.self).count == 14)

    let few = try SharedAssociations(.ipv4, maxAssociations: 3)
    for number in 0..<3 { few.use(IPv4ClientKey(number)) }
    #expect(few.table.lead(IPv4ClientKey(9), of: 0, to: 3, forgotten: &forgotten) == .made)
    #expect(forgotten == 2)
    #expect(few.table.find(IPv4ClientKey(0), of: 0) == nil)
    #expect(few.table.find(IPv4ClientKey(9), of: 0)?.rank == 0)
    #expect(few.table.find(IPv4ClientKey(1), of: 0)?.rank == 2)
  }

  @Test("a new client of a packet is not forgotten in the place of the oldest")
  func leadWhilePacketsComeIn() throws {
    let few = try SharedAssociations(.ipv4, maxAssociations: 3)
    for number in 0..<3 { few.use(IPv4ClientKey(number)) }
    let oldest = few.table.findHighest(few.table.hash(IPv4ClientKey(9)))
    // Its place is given to another one before it is forgotten.
    few.use(IPv4ClientKey(5))
    #expect(few.table.find(IPv4ClientKey(0)) == nil)
    #expect(!few.table.forgetHighest(oldest))
    #expect(few.table.find(IPv4ClientKey(5)) != nil)
    let next = few.table.findHighest(few.table.hash(IPv4ClientKey(9)))
    // Nobody is there any more.
    few.table.forget(IPv4ClientKey(1))
    #expect(!few.table.forgetHighest(next))
    #expect(few.entries(IPv4ClientKey.self).count == 2)
  }

  @Test("who is forgotten for a client that is led is counted")
  func counted() throws {
    let dataPlane = try compiling { try DataPlane(.sample(maxAssociations: 3)) }
    for number in 1...5 {
      try dataPlane.lead(IPv4ClientKey(number).client, to: dataPlane.configuration.realServers[0])
    }
    let counts = dataPlane.snapshot().associationCounts(of: .ipv4)
    #expect(counts == AssociationCounts(forgottenNewcomers: 2))
  }

  @Test("a data plane leads, refuses and forgets")
  func dataPlane() throws {
    var configuration = Configuration.sample()
    let (second, third) = (IPAddress("10.40.0.2")!, IPAddress("10.40.0.3")!)
    configuration.virtualServers += [
      VirtualServer(
        name: "a", address: IPAddress("10.40.0.9")!, ports: [1], realServers: [RealServer(third)]),
      VirtualServer(
        name: "b", address: IPAddress("10.40.0.10")!, ports: [2],
        realServers: [RealServer(third, state: .draining), RealServer(second, state: .down)]),
    ]
    let dataPlane = try compiling { try DataPlane(configuration) }
    let browser = dataPlane.associationBrowser(clock: { Browsed.now })
    let client = Client("10.50.0.2:5683")!
    func refusal(
      _ address: IPAddress, _ label: String? = nil, of client: Client = client
    ) -> AssociationRefusal? {
      do { try dataPlane.lead(client, to: address, ofVirtualServer: label) } catch {
        return error
      }
      return nil
    }
    #expect(refusal(third, "c") == .noVirtualServer("c"))
    #expect(
      refusal(third) == .ambiguous(realServer: third, virtualServers: ["10.40.0.1", "a", "b"]))
    #expect(refusal(second, "b") == .notInService(realServer: second, virtualServer: "b"))
    #expect(refusal(second, "a") == .unknown(realServer: second, virtualServer: "a"))
    #expect(
      refusal(second, of: Client("[fd50::1]:1")!)
        == .unknown(realServer: second, virtualServer: nil))
    for text in ["10.40.0.9:1", "127.0.0.1:1", "255.255.255.255:1"] {
      let client = Client(text)!
      #expect(refusal(third, "a", of: client) == .invalidClient(client))
    }
    let portless = Client(address: client.address, port: 0)
    #expect(refusal(third, "a", of: portless) == .invalidClient(portless))
    #expect(browser.associations(of: client) == [])

    #expect(refusal(third, "a") == nil && refusal(third, "b") == nil)
    let made = try dataPlane.lead(client, to: third, ofVirtualServer: "10.40.0.1")
    #expect(made.virtualServer == "10.40.0.1" && made.isChanged)
    let present = try dataPlane.lead(client, to: third, ofVirtualServer: "a")
    #expect(present.virtualServer == "a" && !present.isChanged)
    #expect(
      browser.associations(of: client).map(\.virtualServer) == ["10.40.0.1", "a", "b"])
    // What is in force changes, and the browser sees it.
    configuration.virtualServers.remove(at: 1)
    try compiling { _ = try dataPlane.apply(configuration) }
    #expect(browser.associations(of: client).map(\.virtualServer) == ["10.40.0.1", "b"])
    configuration.virtualServers[0].realServers.removeLast()
    try dataPlane.apply(configuration)
    #expect(browser.associations(of: client).map(\.realServer) == [third, third])
    #expect(refusal(third, "10.40.0.1") == .unknown(realServer: third, virtualServer: "10.40.0.1"))
    #expect(dataPlane.forget(client, ofVirtualServer: "b") == 1)
    #expect(dataPlane.forget(client, ofVirtualServer: "b") == 0)
    #expect(dataPlane.forget(client) == 1 && browser.count(AssociationFilter()) == 0)
  }
}

extension AssociationTable {
  /// Where nobody else is to be forgotten.
  fileprivate func lead<Key: ClientKey>(
    _ client: Key, of virtualServer: UInt8, to slot: UInt16
  ) -> Lead? {
    var forgotten = 0
    defer { #expect(forgotten == 0) }
    return lead(client, of: virtualServer, to: slot, forgotten: &forgotten)
  }
}
