// Consistent hashing: shares, what a change moves, and that directors choose alike.

import TestSupport
import Testing

@testable import LoadBalancing

@Suite struct MaglevTests {
  /// As different addresses as they come, or one behind the other in a network.
  static func servers(
    _ weights: [Int], _ family: AddressFamily, areNeighbours: Bool,
    using generator: inout SeededNumbers
  ) -> [RealServer] {
    var octets = (0..<family.octetCount).map { _ in UInt8.random(in: 0...255, using: &generator) }
    return weights.enumerated().map { (index, weight) in
      if areNeighbours {
        octets[family.octetCount - 1] = UInt8(index & 255)
        octets[family.octetCount - 2] = UInt8(index >> 8)
      } else {
        octets = octets.map { _ in UInt8.random(in: 0...255, using: &generator) }
      }
      return RealServer(IPAddress(octets: octets), weight: weight)
    }
  }

  static func counts(_ table: [Int], of servers: [RealServer]) -> [Int] {
    var counts = [Int](repeating: 0, count: servers.count)
    for server in table { counts[server] += 1 }
    return counts
  }

  /// Worked out apart, in Python.
  @Test(
    arguments: [
      ("0.0.0.0", 0, 0, 0), ("10.188.7.5", 40000, 0xa145_bb10_7f5d_073e, 41286),
      ("255.255.255.255", 65535, 0x8123_0c63_d812_55aa, 33059),
      ("192.0.2.1", 5683, 0x3b3c_dbe2_587b_353e, 15165), ("::", 0, 0, 0),
      ("2001:db8::5", 40000, 0x0311_c811_2e40_01ff, 785),
      ("fd60::10", 5683, 0x536f_f8cb_4547_752a, 21360),
      ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 0xbd32_fed2_271a_3f00, 48435),
    ] as [(String, UInt16, UInt64, Int)])
  func aClientsHashIsTheSameOnEveryDirector(
    _ address: String, _ port: UInt16, _ hash: UInt64, _ entry: Int
  ) {
    let client = Client(address: IPAddress(address)!, port: port)
    #expect(Maglev.hash(of: client) == hash)
    #expect(Maglev.entry(of: client) == entry)
  }

  @Test(arguments: AddressFamily.allCases, [true, false])
  func newClientsAreSharedOutByWeight(_ family: AddressFamily, _ areNeighbours: Bool) {
    var generator = SeededNumbers(seed: 7)
    for weights in [
      [1, 1, 1], [1, 2], [4, 1, 1], [256, 1, 17, 100], Array(repeating: 5, count: 10),
      (0..<40).map { _ in Int.random(in: 0...256, using: &generator) },
    ] {
      let servers = Self.servers(
        weights, family, areNeighbours: areNeighbours, using: &generator)
      let table = Maglev.table(of: servers)
      #expect(table.count == Maglev.entries)
      let total = weights.reduce(0, +)
      for (count, weight) in zip(Self.counts(table, of: servers), weights) {
        #expect(abs(count * total - Maglev.entries * weight) <= 2 * total)
      }
      var counts = [Int](repeating: 0, count: servers.count)
      for _ in 0..<10_000 {
        let octets = (0..<family.octetCount).map { _ in
          UInt8.random(in: 0...255, using: &generator)
        }
        let client = Client(
          address: IPAddress(octets: octets), port: .random(in: 1...65535, using: &generator))
        counts[table[Maglev.entry(of: client)]] += 1
      }
      for (count, weight) in zip(counts, weights) {
        #expect(abs(count * total - 10_000 * weight) <= 300 * total)
      }
    }
  }

  @Test(
    arguments: [
      Array(repeating: 1, count: 10), [1, 1, 1, 1, 1, 1, 1, 1, 1, 10],
      [3, 1, 4, 1, 5, 9, 2, 6, 5, 3],
      [256, 1, 2, 3, 100, 7, 9, 50, 64, 33],
    ], AddressFamily.allCases)
  func aServerOfTenThatGoesMovesFewOfTheOthers(_ weights: [Int], _ family: AddressFamily) {
    var generator = SeededNumbers(seed: 11)
    for areNeighbours in [true, false] {
      let servers = Self.servers(
        weights, family, areNeighbours: areNeighbours, using: &generator)
      let before = Maglev.table(of: servers)
      for gone in servers.indices {
        var rest = servers
        rest[gone].state = .draining
        let after = Maglev.table(of: rest)
        let others = before.indices.filter { before[$0] != gone }
        let moved = others.count { before[$0] != after[$0] }
        #expect(moved * 100 <= others.count * 2)
        #expect(!after.contains(gone))
      }
    }
  }

  @Test(arguments: AddressFamily.allCases)
  func directorsWithTheSameServersChooseAlike(_ family: AddressFamily) {
    var generator = SeededNumbers(seed: 3)
    let weights = (0..<20).map { _ in Int.random(in: 1...9, using: &generator) }
    let servers = Self.servers(weights, family, areNeighbours: true, using: &generator)
    let addresses = Maglev.table(of: servers).map { servers[$0].address }
    for _ in 0..<3 {
      var other = servers.shuffled(using: &generator)
      // What is not up takes no part, and weights count beside each other alone.
      other.insert(RealServer(.unspecified(family), state: .down), at: 5)
      for index in other.indices { other[index].weight *= 3 }
      #expect(Maglev.table(of: other).map { other[$0].address } == addresses)
    }
  }

  @Test func oneServerHasAllAndNoneHasNone() {
    var generator = SeededNumbers(seed: 1)
    var servers = Self.servers([0, 3, 0], .ipv4, areNeighbours: true, using: &generator)
    #expect(Maglev.table(of: servers) == Array(repeating: 1, count: Maglev.entries))
    servers[1].state = .draining
    #expect(Maglev.table(of: servers) == [])
    #expect(Maglev.table(of: []) == [])
  }

  @Test func oneThatIsThereTwiceHasBothShares() {
    var generator = SeededNumbers(seed: 1)
    let servers = Self.servers([1, 1], .ipv6, areNeighbours: true, using: &generator)
    let twice = Maglev.table(of: [servers[0], servers[1], servers[1]])
    #expect(!twice.contains(2))
    var heavy = servers
    heavy[1].weight = 2
    #expect(Maglev.table(of: heavy) == twice)
  }

  @Test func manyServersHaveTheirShareToo() {
    var generator = SeededNumbers(seed: 5)
    for count in [4096, 65_535] {
      let servers = Self.servers(
        Array(repeating: 1, count: count), .ipv4, areNeighbours: true, using: &generator)
      let counts = Self.counts(Maglev.table(of: servers), of: servers)
      #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 1)
      #expect(counts.min() == Maglev.entries / count)
    }
  }

  @Test func theSchedulerChoosesTheRound() {
    var generator = SeededNumbers(seed: 5)
    let servers = Self.servers([2, 1], .ipv4, areNeighbours: true, using: &generator)
    var virtualServer = VirtualServer(
      address: IPAddress("10.40.0.1")!, ports: [1], realServers: servers)
    #expect(virtualServer.round == [0, 0, 1])
    virtualServer.scheduler = .maglev
    #expect(virtualServer.round == Maglev.table(of: servers))
  }
}
