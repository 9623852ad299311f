// The daemon inserts associations while packets of the same clients come in: whoever is first, no
// client is served by two real servers.
import BCC
import LoadBalancing
import Synchronization
import TestSupport
import Testing

@testable import DataPlane

@Suite("Late insertions", .serialized)
struct LateInsertionTests {
  /// Where the daemon has given a client nothing yet, a packet gives it what it would without.
  @Test(
    "a packet that comes before the second step decides", arguments: AddressFamily.allCases,
    [7, 8, 1000] as [UInt32])
  func packetsFirst(family: AddressFamily, capacity: UInt32) throws {
    switch family {
    case .ipv4: try packetsFirst(IPv4ClientKey.self, family, capacity)
    case .ipv6: try packetsFirst(IPv6ClientKey.self, family, capacity)
    }
  }

  private func packetsFirst<Key: ClientKey>(
    _: Key.Type, _ family: AddressFamily, _ capacity: UInt32
  ) throws {
    let director = try Director(family, maxAssociations: capacity)
    let addresses = director.addresses
    let clients = 0..<6
    var given: [IPAddress?] = []
    var insertion = LateInsertion<Key>(director.dataPlane.associations) {
      // One of three is asked by its client meanwhile, one is written to.
      given = clients.map { client in
        switch client % 3 {
        case 0: return try? director.server(of: client)
        case 1:
          let reply = addresses.reply(server: 2, client: client)
          let isSent = (try? director.run(reply).verdict) == .send
          return isSent ? addresses.server(2) : nil
        default: return addresses.server(3)
        }
      }
    }
    for client in clients {
      let entry = Entry(
        client: Key(addresses.identity(of: client)), virtualServer: 0, slot: 2, rank: 0)
      #expect(insertion.reserve(entry) == .reserved)
    }
    #expect(Set(director.buckets.entries.map(\.slot)) == [Buckets.pending])
    let places = director.buckets.entries.map(\.place)
    #expect(insertion.settle() == clients.count)
    #expect(given == [1, 2, 3, 2, 2, 3].map(addresses.server))
    #expect(director.buckets.entries.map(\.place) == places)
    director.expectSound(clients)
    #expect(try director.servers(of: clients) == given)
  }

  /// As many clients as `clients`, the packets of which one CPU runs while the other inserts them.
  private struct Stage<Key: ClientKey> {
    let director: Director
    let clients: Range<Int>

    func entry(_ client: Int) -> Entry<Key> {
      // Always the first server's.
      Entry(
        client: Key(director.addresses.identity(of: client)), virtualServer: 0, slot: 0, rank: 0)
    }
  }

  /// In step: each client's first packet comes while its place is being reserved.
  @Test(
    "no client is served by two, in step", arguments: AddressFamily.allCases,
    [64, 1 << 17] as [UInt32])
  func inStep(family: AddressFamily, capacity: UInt32) throws {
    switch family {
    case .ipv4: try inStep(IPv4ClientKey.self, family, capacity)
    case .ipv6: try inStep(IPv6ClientKey.self, family, capacity)
    }
  }

  private func inStep<Key: ClientKey>(_: Key.Type, _ family: AddressFamily, _ capacity: UInt32)
    throws
  {
    try #require(usableCPUs.count >= 2, "this test needs two CPUs")
    let stage = Stage<Key>(
      director: try Director(family, maxAssociations: capacity), clients: 0..<30_000)
    let run = stage.director.runner(.request)
    let meeting = Meeting(of: 2)
    let packets = {
      // The first packet and the next, which may find another word.
      try stage.clients.map { client in
        meeting.wait(step: client)
        // At once, or later: so each of the two is faster now and then, on any machine.
        let start = ContinuousClock.now + .microseconds(client % 40 * 5)
        while ContinuousClock.now < start {}
        return [try run(client), try run(client), try run(client)]
      }
    }
    let daemon = { () -> [[Int]] in
      var insertion = LateInsertion<Key>(stage.director.dataPlane.associations)
      var reserved = 0
      for client in stage.clients {
        meeting.wait(step: client)
        if insertion.reserve(stage.entry(client)) == .reserved { reserved += 1 }
        if client % 5_000 == 4_999 { _ = insertion.settle() }
      }
      return [[reserved]]
    }
    let results = try onCPUs(Array(usableCPUs.prefix(2)), [packets, daemon])
    #expect(results[0].allSatisfy { $0[0] != 0 && Set($0).count == 1 })
    // Each was faster now and then.
    let reserved = results[1][0][0]
    #expect(reserved > 100 && reserved < stage.clients.count)
    stage.director.expectSound(stage.clients)
    let remembered = stage.director.expectServers(results[0].map { $0[0] }, of: stage.clients)
    #expect(remembered == stage.director.buckets.entries.count)
  }

  /// Out of step: packets come at any time before, between and after the two.
  @Test("no client is served by two, out of step", arguments: AddressFamily.allCases)
  func outOfStep(family: AddressFamily) throws {
    switch family {
    case .ipv4: try outOfStep(IPv4ClientKey.self, family)
    case .ipv6: try outOfStep(IPv6ClientKey.self, family)
    }
  }

  private func outOfStep<Key: ClientKey>(_: Key.Type, _ family: AddressFamily) throws {
    try #require(usableCPUs.count >= 2, "this test needs two CPUs")
    let stage = Stage<Key>(
      director: try Director(family, maxAssociations: 1 << 17), clients: 0..<40_000)
    let run = stage.director.runner(.request)
    // The client that is to be inserted next.
    let next = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
    let packets = { () throws -> [Int] in
      var numbers = SeededNumbers(seed: 7)
      var served = [Int](repeating: 0, count: stage.clients.count)
      var moved = 0
      repeat {
        let near = next.load(ordering: .acquiring) + .random(in: -800..<800, using: &numbers)
        let client = min(max(near, 0), stage.clients.count - 1)
        let server = try run(client)
        if server == 0 || served[client] != 0 && served[client] != server { moved += 1 }
        served[client] = server
      } while !isOver.load(ordering: .acquiring)
      return served + [moved]
    }
    let daemon = { () -> [Int] in
      defer { isOver.store(true, ordering: .releasing) }
      var insertion = LateInsertion<Key>(stage.director.dataPlane.associations)
      var settled = 0
      for client in stage.clients {
        _ = insertion.reserve(stage.entry(client))
        next.store(client + 1, ordering: .releasing)
        if insertion.count == 500 { settled += insertion.settle() }
      }
      return [settled + insertion.settle()]
    }
    let results = try onCPUs(Array(usableCPUs.prefix(2)), [packets, daemon])
    #expect(results[0].last == 0)
    #expect(results[1][0] > stage.clients.count / 10)
    stage.director.expectSound(stage.clients)
    // The daemon's are all with its server; what packets were first with is as they have it.
    let served = results[0].dropLast().map { $0 == 0 ? 1 : $0 }
    #expect(Set(served) == [1, 2, 3])
    let remembered = stage.director.expectServers(served, of: stage.clients)
    #expect(remembered == stage.clients.count)
  }
}
