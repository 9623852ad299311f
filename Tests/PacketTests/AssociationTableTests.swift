// The association table when it is full, as exactly as the kernel's LRU hash lets itself be told.
// A CPU takes free entries in batches of at most 128, and where there are none left, that many of
// the least recently used go at once: so that all of it is done on one CPU.
import LoadBalancing
import Testing

@Suite("Association table", .serialized)
struct AssociationTableTests {
  static let batch = 128

  @Test("the smallest tables forget exactly the oldest", arguments: AddressFamily.allCases, 1...3)
  func smallest(family: AddressFamily, capacity: Int) throws {
    let director = try Director(family, maxAssociations: UInt32(capacity))
    try onOneCPU {
      for client in 0..<10 {
        let isNew = try director.association(of: client) == nil
        #expect(isNew)
        #expect(try director.server(of: client) == director.addresses.server(1 + client % 3))
        let newest = Set(max(0, client - capacity + 1)...client)
        #expect(try director.associated(0...client) == newest)
      }
    }
  }

  @Test("the oldest are forgotten, as few as one batch", arguments: AddressFamily.allCases)
  func oldest(family: AddressFamily) throws {
    let capacity = 1024
    let director = try Director(family, maxAssociations: UInt32(capacity))
    try onOneCPU {
      var count = 0
      for end in [1, 500, capacity, capacity + 1, 1500, 2048, 3000, 4000] {
        for client in count..<end { _ = try director.server(of: client) }
        count = end
        let present = try director.associated(0..<count)
        // Always the newest, without a gap, and never fewer than a batch less than there is room for.
        #expect(present == Set(count - present.count..<count))
        #expect(present.count <= capacity)
        #expect(present.count > min(count, capacity) - Self.batch)
        if count < capacity { #expect(present.count == count) }
      }
    }
  }

  @Test("who is heard of stays", arguments: AddressFamily.allCases)
  func recentlyUsed(family: AddressFamily) throws {
    let capacity = 1024
    let director = try Director(family, maxAssociations: UInt32(capacity))
    try onOneCPU {
      let faithful = 0..<100
      let before = try director.servers(of: faithful)
      // Far more strangers than there is room for, the faithful in between.
      for client in 100..<5000 {
        _ = try director.server(of: client)
        if client % 50 == 0 { #expect(try director.servers(of: faithful) == before) }
      }
      #expect(try director.associated(faithful) == Set(faithful))
      let all = try director.associated(0..<5000)
      #expect(all.count <= capacity)
      // One that is not heard of again is forgotten.
      #expect(all.isDisjoint(with: 100..<2000))
    }
  }

  @Test("what servers send keeps their clients as well", arguments: AddressFamily.allCases)
  func recentlyUsedByServer(family: AddressFamily) throws {
    let director = try Director(family, servers: nil, maxAssociations: 1024)
    let addresses = director.addresses
    try onOneCPU {
      #expect(try director.server(of: 0) == addresses.server(1))
      let reply = addresses.reply(server: 1, client: 0)
      for client in 1..<4000 {
        _ = try director.server(of: client)
        if client % 50 == 0 {
          #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
        }
      }
      #expect(try director.associated([0, 1]) == [0])
    }
  }

  @Test("a full table forgets nobody for a client that moves", arguments: AddressFamily.allCases)
  func rewrittenInPlace(family: AddressFamily) throws {
    let capacity = 256
    let director = try Director(family, maxAssociations: UInt32(capacity))
    let addresses = director.addresses
    try onOneCPU {
      for client in 0..<capacity { _ = try director.server(of: client) }
      let before = try director.associated(0..<capacity)
      #expect(before.count == capacity)
      try director.dataPlane.apply([7, 8].map(addresses.server))
      // The newest alone, by clients and by a server that writes first: the oldest would have to go.
      for client in capacity - 8..<capacity - 4 {
        #expect(try director.server(of: client) == addresses.server(client % 2 == 0 ? 8 : 7))
      }
      for client in capacity - 4..<capacity {
        let reply = addresses.reply(server: 7, client: client)
        #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
      }
      #expect(try director.associated(0..<capacity) == before)
      // A new one takes a place, as ever.
      _ = try director.server(of: capacity)
      #expect(try director.associated(0...capacity) != before.union([capacity]))
    }
  }

  @Test("what is dropped or passed creates no association", arguments: AddressFamily.allCases)
  func notCreated(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    let stranger = Case.changed(addresses.reply(server: 1, client: 0)) {
      $0.source = addresses.stranger
    }
    let frames = [
      addresses.request(client: 0, lifetime: 1), addresses.request(client: 0, lifetime: 0),
      addresses.request(client: 0, port: 53), addresses.reply(server: 1, client: 0, lifetime: 1),
      addresses.reply(server: 1, client: 0, lifetime: 0), stranger,
      addresses.reply(server: 1, client: 0, port: 53),
    ]
    for frame in frames { #expect(try director.run(frame).verdict != .send) }
    try director.dataPlane.apply([])
    #expect(try director.server(of: 0) == nil)
    #expect(try director.association(of: 0) == nil)
  }
}
