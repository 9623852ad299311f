// What a change of the list of real servers means for the clients they have.
import LoadBalancing
import Testing

@Suite("Changes of the list", .serialized)
struct ServerChangeTests {
  @Test(
    "a server leaves, its clients move with their next packet", arguments: AddressFamily.allCases)
  func leaves(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    let before = try director.servers(of: 0..<9)
    try director.dataPlane.apply([1, 3].map(addresses.server))
    // Index 0 is next, as three of three had their turn.
    #expect(try [1, 4, 7].map { try director.server(of: $0) } == [1, 3, 1].map(addresses.server))
    let after = try director.servers(of: 0..<9)
    for client in 0..<9 where before[client] != addresses.server(2) {
      #expect(after[client] == before[client])
    }
    #expect(after[1] == addresses.server(1) && after[4] == addresses.server(3))
    // What the former server sends is not ours any more.
    let reply = addresses.reply(server: 2, client: 10)
    #expect(try director.run(reply) == .pass(reply))
    let late = addresses.reply(server: 2, client: 1)
    #expect(try director.run(late) == .pass(late))
  }

  @Test(
    "another server writes first to a client of one that left", arguments: AddressFamily.allCases)
  func takenOver(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    #expect(try director.servers(of: 0..<2) == [1, 2].map(addresses.server))
    try director.dataPlane.apply([1, 3].map(addresses.server))
    let reply = addresses.reply(server: 3, client: 1)
    #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
    #expect(try director.server(of: 1) == addresses.server(3))
    let other = addresses.reply(server: 1, client: 1)
    #expect(try director.run(other) == .drop(other))
  }

  @Test("leaves and returns before its clients write: they stay", arguments: AddressFamily.allCases)
  func returns(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    let before = try director.servers(of: 0..<9)
    let table = director.buckets.entries
    try director.dataPlane.apply([1, 3].map(addresses.server))
    try director.dataPlane.apply([1, 4, 5, 3].map(addresses.server))
    try director.dataPlane.apply([2, 1, 3].map(addresses.server))
    #expect(try director.servers(of: 0..<9) == before)
    #expect(director.buckets.entries == table)
  }

  @Test("moves in the list: its clients stay", arguments: AddressFamily.allCases)
  func moves(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    let before = try director.servers(of: 0..<9)
    for list in [[3, 2, 1], [2, 3, 1], [9, 8, 1, 7, 2, 3], [3, 2, 1, 1, 2, 3], [1, 2, 3]] {
      try director.dataPlane.apply(list.map(addresses.server))
      #expect(try director.servers(of: 0..<9) == before, "\(list)")
    }
  }

  /// More addresses over time than there are slots: a slot that another address has taken ends the
  /// associations of the one before.
  @Test("slots are used again", arguments: AddressFamily.allCases)
  func slotsUsedAgain(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let director = try Director(family, servers: [addresses.server(1)], maxServers: 1)
    for number in 2..<50 {
      #expect(try director.server(of: 0) == addresses.server(number - 1))
      try director.dataPlane.apply([addresses.server(number)])
      let former = addresses.reply(server: number - 1, client: 0)
      #expect(try director.run(former) == .pass(former))
      let reply = addresses.reply(server: number, client: 0)
      #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
    }
  }

  /// The table of addresses is written before a list comes into force, and that may fail.
  @Test("an address that leads to another's slot is nobody's", arguments: AddressFamily.allCases)
  func slotOfAnother(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    for slot in 0..<4 as Range<UInt32> {
      try director.setSlot(of: addresses.stranger, slot)
      for client in 0..<2 {
        let reply = Case.changed(addresses.reply(server: 1, client: client)) {
          $0.source = addresses.stranger
        }
        #expect(try director.run(reply) == .pass(reply))
      }
      _ = try director.server(of: 0)
    }
  }

  /// One that has read which bank is in force, and then the list has changed.
  @Test("a packet of the former list does not undo the next", arguments: AddressFamily.allCases)
  func formerList(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    let direction = "\tif (find_association(control, &client, true, &buckets, &slot, &standing)) {"
    let late = try director.program(replacing: direction, with: "\tbank = 1 - bank;\n" + direction)
    func run(_ client: Int) throws -> Director.Outcome {
      .init(try late.testRun(frame: addresses.request(client: client).bytes))
    }
    func sent(_ client: Int, to server: Int) -> Director.Outcome {
      .send(addresses.request(client: client).sent(to: addresses.server(server)))
    }
    #expect(try director.servers(of: 0..<3) == [1, 2, 3].map(addresses.server))
    try director.dataPlane.apply([3, 4, 5].map(addresses.server))
    #expect(try director.servers(of: 0..<2) == [3, 4].map(addresses.server))
    #expect(try run(1) == sent(1, to: 4))
    #expect(try run(2) == sent(2, to: 3))
    #expect(try director.servers(of: 0..<3) == [3, 4, 3].map(addresses.server))
    // A new client is given what the former list has.
    let given = try #require(try run(3).destination(family))
    #expect([1, 2, 3].map(addresses.server).contains(given))
    // So is who is with a server of neither list.
    try director.dataPlane.apply([6, 7].map(addresses.server))
    try director.dataPlane.apply([8, 9].map(addresses.server))
    let next = try #require(try run(1).destination(family))
    #expect([6, 7].map(addresses.server).contains(next))
  }

  @Test("4,096 servers are replaced at once", arguments: AddressFamily.allCases)
  func replacedAtOnce(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let (first, second) = (addresses.servers(1..<4097), addresses.servers(10001..<14097))
    let director = try Director(
      family, servers: first, maxServers: 4096, maxAssociations: 65536)
    #expect(try director.servers(of: 0..<4096) == first)
    #expect(try director.dataPlane.apply(second) == [])
    // As many clients are new as had one of the first list; all are moved, each with its own turn.
    #expect(try director.servers(of: 0..<4096) == second)
    #expect(try director.servers(of: 0..<4096) == second)
    for number in stride(from: 1, to: 4097, by: 61) {
      let former = addresses.reply(server: number, client: number - 1)
      #expect(try director.run(former) == .pass(former))
      let reply = addresses.reply(server: 10000 + number, client: number - 1)
      #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
    }
    // And back: nobody has forgotten that the first list's slots are others' now.
    try director.dataPlane.apply(first)
    #expect(try director.servers(of: 0..<4096) == first)
  }

  @Test("the virtual server is one of the real servers", arguments: AddressFamily.allCases)
  func virtualServerIsReal(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let director = try Director(
      family, servers: [addresses.virtualServer, addresses.server(1)])
    for checksumOfZero in [false, true] {
      var request = addresses.request(client: 1)
      if checksumOfZero { request = request.withChecksumOfZero }
      #expect(try director.run(request) == .send(request.sent(to: addresses.virtualServer)))
      var reply = addresses.reply(server: 0, client: 1)
      reply.source = addresses.virtualServer
      if checksumOfZero { reply = reply.withChecksumOfZero }
      #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
    }
    #expect(try director.server(of: 2) == addresses.server(1))
  }
}
