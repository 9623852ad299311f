// Associations come into a table that packets use: no client is sent to two real servers.
import BCC
import LoadBalancing
import Synchronization
import TestSupport
import Testing

@testable import DataPlane

@Suite("Late insertion under traffic", .serialized)
struct LateInsertionTrafficTests {
  /// Clients send and send again while associations of theirs are put into the table.
  private func keepsServers<Key: ClientKey>(
    _ family: AddressFamily, maxAssociations: UInt32, _ type: Key.Type
  ) throws {
    try #require(usableCPUs.count >= 2, "this test needs two CPUs")
    let director = try Director(family, maxAssociations: maxAssociations)
    let addresses = director.addresses
    let table = director.dataPlane.associations
    let servers = addresses.servers(1..<4)
    let (rounds, clients) = (6, 1_000)
    let frames = (0..<rounds * clients).map { addresses.request(client: $0).bytes }
    let keys = (0..<rounds * clients).map {
      Key(Client(address: addresses.client($0 % 60000), port: 40000 + UInt16($0 / 60000)))
    }
    let meeting = Meeting(of: 2)
    let settledRounds = Atomic(0)
    let program = director.dataPlane.program
    // In another order than that of the turns.
    func slot(of client: Int) -> UInt16 { UInt16(client / 5 % 3) }

    /// All that each client is sent to. Every second one sends at the instant at which it is
    /// inserted, and again until that is settled, and all do after.
    func packets() throws -> [Set<IPAddress>] {
      var served = [Set<IPAddress>](repeating: [], count: keys.count)
      func send(_ client: Int) throws {
        let outcome = Director.Outcome(try program.testRun(frame: frames[client]))
        if let server = outcome.destination(family) { served[client].insert(server) }
      }
      for round in 0..<rounds {
        let clients = round * clients..<(round + 1) * clients
        for client in clients {
          meeting.wait(step: client)
          if client.isMultiple(of: 2) { try send(client) }
        }
        while settledRounds.load(ordering: .acquiring) <= round {
          for client in clients where client.isMultiple(of: 2) { try send(client) }
        }
        for client in clients { try send(client) }
      }
      return served
    }

    func daemon() throws -> [Set<IPAddress>] {
      var insertion = LateInsertion<Key>(table)
      for round in 0..<rounds {
        for client in round * clients..<(round + 1) * clients {
          meeting.wait(step: client)
          _ = insertion.reserve(Entry(client: keys[client], slot: slot(of: client), age: 0))
        }
        _ = insertion.settle()
        settledRounds.store(round + 1, ordering: .releasing)
      }
      return []
    }

    let served = try onCPUs(Array(usableCPUs.prefix(2)), [packets, daemon])[0]
    for (client, sentTo) in served.enumerated() {
      #expect(sentTo.count == 1, "client \(client)")
      if !client.isMultiple(of: 2) { #expect(sentTo == [servers[Int(slot(of: client))]]) }
    }
    // Nobody has two, and nothing is left half done.
    var found: [Client: UInt16] = [:]
    table.forEach(Key.self, inBuckets: 0..<table.bucketCount) { entry in
      #expect(found.updateValue(entry.slot, forKey: entry.client.client) == nil)
    }
    #expect(found.count == served.count)
    for (client, key) in keys.enumerated() {
      let slot = try #require(found[key.client])
      #expect(served[client] == [servers[Int(slot)]])
    }
  }

  @Test(
    "who sends while it is inserted is sent to one real server", arguments: AddressFamily.allCases)
  func keepsServers(family: AddressFamily) throws {
    switch family {
    case .ipv4: try keepsServers(family, maxAssociations: 65536, IPv4ClientKey.self)
    case .ipv6: try keepsServers(family, maxAssociations: 65536, IPv6ClientKey.self)
    }
  }
}
