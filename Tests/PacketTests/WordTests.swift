// Words of the association table that are no association, and who takes their places over.
import LoadBalancing
import Testing

@testable import DataPlane

@Suite("Words that lead nowhere", .serialized)
struct WordTests {
  /// Two clients whose words have another slot now: one is to write, the other to be written to.
  private struct Pair {
    let director: Director
    let clients: [Int]
    private(set) var places: [Buckets.Place] = []

    init(_ director: Director, slot: UInt16) throws {
      self.director = director
      let count = director.buckets.entries.count
      clients = [count, count + 1]
      try director.admit(clients)
      for client in clients {
        let entry = try #require(director.entry(of: client))
        director.buckets[entry.place] = entry.tag | UInt64(slot)
        places.append(entry.place)
      }
      _ = director.events()
    }

    /// Packets of either direction make new associations, where the words are.
    func expectTakenOver() throws {
      let addresses = director.addresses
      let requests = clients.map { addresses.request(client: $0) }
      let reply = addresses.reply(server: 2, client: clients[1])
      let before = director.buckets.entries
      for datagram in requests + [reply] {
        let late = Case.changed(datagram) { $0.lifetime = 1 }
        #expect(try director.run(late) == .drop(late))
      }
      #expect(director.buckets.entries.map(\.word) == before.map(\.word))
      _ = director.events()

      let turn = Int(director.dataPlane.roundPosition()) % 3 + 1
      let given = addresses.server(turn)
      try director.expect(.sent("by a client", .ingressNewNAT, requests[0], to: given))
      try director.expect(
        .sent("by a server", .egressNewNAT, reply, from: addresses.virtualServer))
      let after = director.buckets.entries
      #expect(after.map(\.place) == before.map(\.place))
      for (client, (place, server)) in zip(clients, zip(places, [turn, 2])) {
        let entry = director.buckets.entry(at: place)
        #expect(entry?.slot == UInt16(server - 1))
        #expect(entry?.client == addresses.identity(of: client))
      }
      try director.expect(.sent("known", .ingressReusedNAT, requests[0], to: given))
      try director.expect(
        .sent("known", .ingressReusedNAT, requests[1], to: addresses.server(2)))
    }
  }

  /// One and two buckets, and as many as are not both anyone's.
  static let sizes: [UInt32] = [7, 8, 64]

  @Test("no packet follows a pending one", arguments: AddressFamily.allCases, sizes)
  func pending(family: AddressFamily, capacity: UInt32) throws {
    let director = try Director(family, level: .trace, maxAssociations: capacity)
    try Pair(director, slot: Buckets.pending).expectTakenOver()
  }

  /// With as many servers as there can be, all numbers but that of a pending word are slots.
  @Test("a slot beyond the last is no server's", arguments: AddressFamily.allCases, [3, 65535])
  func beyondTheLast(family: AddressFamily, maxServers: UInt32) throws {
    let director = try Director(family, level: .trace, maxServers: maxServers)
    let count = SlotPlan.capacity(maxRealServers: maxServers)
    let slots = [count, count + 1, 2 * count, 2 * count + 1, 0x7fff, 0x8000, 0xfffe, 0xffff]
    for slot in Set(slots.compactMap { UInt16(exactly: $0) }) where slot >= count {
      try Pair(director, slot: slot).expectTakenOver()
    }
  }

  @Test("a slot that was never used is no server's", arguments: AddressFamily.allCases)
  func neverUsed(family: AddressFamily) throws {
    let director = try Director(family, level: .trace, maxServers: 3)
    for slot in 3..<6 as Range<UInt16> { try Pair(director, slot: slot).expectTakenOver() }
  }

  @Test("the slot of a server that left is no server's", arguments: AddressFamily.allCases, sizes)
  func left(family: AddressFamily, capacity: UInt32) throws {
    let addresses = Addresses(family: family)
    let director = try Director(
      family, servers: addresses.servers(1..<5), level: .trace, maxAssociations: capacity)
    try director.dataPlane.apply(addresses.servers(1..<4))
    try Pair(director, slot: 3).expectTakenOver()
    // Its own word is as good as new when it returns.
    let pair = try Pair(director, slot: 3)
    try director.dataPlane.apply(addresses.servers(1..<5))
    for client in pair.clients {
      try director.expect(
        .sent(
          "back", .ingressReusedNAT, addresses.request(client: client), to: addresses.server(4)))
    }
  }

  /// The daemon makes a word pending while a packet that has not seen it makes another for the same
  /// client: it finds that out later, and packets must until then.
  @Test(
    "an association goes before a pending word, wherever they are",
    arguments: AddressFamily.allCases, [7, 8] as [UInt32])
  func both(family: AddressFamily, capacity: UInt32) throws {
    let director = try Director(family, maxAssociations: capacity)
    let addresses = director.addresses
    let buckets = director.buckets
    try director.admit([0])
    let entry = try #require(buckets.entries.first)
    let places = (0..<buckets.count).flatMap { bucket in
      (0..<Buckets.places).map { Buckets.Place(bucket: bucket, index: $0) }
    }
    let request = addresses.request(client: 0)
    let replies = [2, 3].map { addresses.reply(server: $0, client: 0) }
    for real in places {
      for pending in places where pending != real {
        buckets.clear()
        buckets[pending] = entry.tag | UInt64(Buckets.pending)
        buckets[real] = entry.tag | 1
        let outcomes = try [request, replies[0], replies[1]].map { try director.run($0) }
        // Where it leads nowhere, it is what is taken over.
        buckets[real] = entry.tag | 9
        let next = try director.run(replies[1])
        guard
          outcomes == [
            .send(request.sent(to: addresses.server(2))),
            .send(replies[0].sent(from: addresses.virtualServer)), .drop(replies[1]),
          ],
          next == .send(replies[1].sent(from: addresses.virtualServer)),
          buckets[real] == entry.tag | 2, buckets[pending] == entry.tag | UInt64(Buckets.pending)
        else {
          Issue.record("\(real), pending \(pending)")
          return
        }
      }
    }
  }
}
