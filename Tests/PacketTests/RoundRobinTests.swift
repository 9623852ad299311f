// Who is given which real server: round robin, sticky clients, and what a change of the list does.
import LoadBalancing
import Testing

@Suite("Round robin", .serialized)
struct RoundRobinTests {
  @Test("in the order of the list, then from the first again", arguments: AddressFamily.allCases)
  func order(family: AddressFamily) throws {
    let servers = [3, 1, 4, 2].map(Addresses(family: family).server)
    let director = try Director(family, servers: servers)
    #expect(try director.servers(of: 0..<12) == servers + servers + servers)
  }

  @Test("clients stay", arguments: AddressFamily.allCases)
  func sticky(family: AddressFamily) throws {
    let director = try Director(family)
    let first = try director.servers(of: 0..<300)
    #expect(Set(first) == Set(director.addresses.servers(1..<4)))
    for _ in 0..<3 { #expect(try director.servers(of: 0..<300) == first) }
    // Whatever the order in which they come back.
    #expect(try (0..<300).reversed().map { try director.server(of: $0) } == first.reversed())
  }

  @Test("one server gets all", arguments: AddressFamily.allCases)
  func single(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let director = try Director(family, servers: [addresses.server(1)])
    #expect(
      try director.servers(of: 0..<5) == Array(repeating: addresses.server(1), count: 5))
  }

  @Test("listed twice, two turns", arguments: AddressFamily.allCases)
  func duplicates(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let servers = [1, 2, 1].map(addresses.server)
    let director = try Director(family, servers: servers)
    #expect(try director.servers(of: 0..<6) == servers + servers)
    // It is one server all the same.
    let reply = addresses.reply(server: 1, client: 0)
    #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
    // One of the two goes: nobody moves.
    try director.dataPlane.apply([1, 2].map(addresses.server))
    #expect(try director.servers(of: 0..<6) == servers + servers)
  }

  @Test("known clients and servers take no turn", arguments: AddressFamily.allCases)
  func turns(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    #expect(try director.server(of: 0) == addresses.server(1))
    for _ in 0..<5 { _ = try director.server(of: 0) }
    _ = try director.run(addresses.reply(server: 3, client: 10))
    _ = try director.run(addresses.request(client: 11, port: 53))
    _ = try director.run(addresses.request(client: 12, lifetime: 1))
    #expect(try director.servers(of: 1..<4) == [2, 3, 1].map(addresses.server))
  }

  /// A list, how many turns are taken, the next list, and its turns from there on.
  static let changes: [(before: [Int], turns: Int, after: [Int], then: [Int])] = [
    // The next index is used if it still exists…
    ([1, 2, 3], 1, [4, 5, 6], [5, 6, 4]),
    ([1, 2, 3], 2, [4, 5, 6], [6, 4, 5]),
    ([1, 2, 3], 5, [4, 5, 6], [6, 4, 5]),
    ([1, 2], 1, [1, 2, 3, 4], [2, 3, 4, 1]),
    // … also the one after the former last, …
    ([1, 2], 2, [1, 2, 3], [3, 1, 2]),
    ([1, 2, 3], 3, [1, 2, 3, 4], [4, 1]),
    // … else the first.
    ([1, 2, 3], 3, [4, 5, 6], [4, 5, 6]),
    ([1, 2, 3, 4], 3, [4, 5], [4, 5]),
    ([1, 2, 3, 4], 2, [7], [7, 7]),
    ([1, 2, 3], 0, [3, 2, 1], [3, 2, 1]),
  ]

  @Test("the position is an index", arguments: AddressFamily.allCases, changes.indices)
  func position(family: AddressFamily, change: Int) throws {
    let (before, turns, after, then) = Self.changes[change]
    let addresses = Addresses(family: family)
    let director = try Director(family, servers: before.map(addresses.server))
    _ = try director.servers(of: 0..<turns)
    try director.dataPlane.apply(after.map(addresses.server))
    #expect(try director.servers(of: 100..<100 + then.count) == then.map(addresses.server))
  }

  @Test("an empty list and back", arguments: AddressFamily.allCases)
  func empty(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    let before = try director.servers(of: 0..<4)
    try director.dataPlane.apply([])
    #expect(try director.servers(of: 0..<8) == Array(repeating: nil, count: 8))
    try director.dataPlane.apply(addresses.servers(1..<4))
    #expect(try director.servers(of: 0..<4) == before)
    #expect(try director.servers(of: 4..<6) == [2, 3].map(addresses.server))
  }
}
