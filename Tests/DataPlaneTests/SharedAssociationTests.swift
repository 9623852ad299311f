// The association table in memory: what is inserted is found and read, who goes for whom, and how
// long ago each was used.
import CLayout
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

/// Does a test for both families.
private func forBothFamilies(_ body: (AddressFamily, any ClientKey.Type) throws -> Void) rethrows {
  try body(.ipv4, IPv4ClientKey.self)
  try body(.ipv6, IPv6ClientKey.self)
}

@Suite("Shared association table")
struct SharedAssociationTests {
  @Test("a bucket for each four associations, and one for few")
  func buckets() {
    for (associations, buckets) in [
      (1, 1), (4, 1), (7, 1), (8, 2), (9, 3), (1_000, 250), (1_001, 251), (1 << 20, 1 << 18),
      (Int(UInt32.max), 1 << 30),
    ] {
      #expect(AssociationTable.bucketCount(maxAssociations: UInt32(associations)) == buckets)
    }
  }

  @Test("a new table has a secret of its own, and no real server in force")
  func begin() throws {
    let tables = try (0..<8).map { _ in
      try SharedAssociations(.ipv4, maxAssociations: 100, secret: nil)
    }
    for table in tables {
      let control = table.control[0].pointee
      #expect(control.layout_version == Tables.layoutVersion && control.max_associations == 100)
      #expect(control.bank == 0 && control.epoch == 0)
      #expect(Control.isSecret(control.secret))
    }
    let words = tables.flatMap { table in
      let secret = table.control[0].pointee.secret
      return [secret.0, secret.1, secret.2, secret.3]
    }
    #expect(Set(words).count == words.count)
    for even in [(1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2)] as [HashSecret] {
      #expect(!Control.isSecret(even))
    }
  }

  @Test("to put a bank in force leaves the rest as packets have made it")
  func bank() throws {
    let tables = try SharedAssociations(.ipv4, maxAssociations: 100)
    let before = tables.control[0].pointee
    tables.advanceEpoch(by: 300)
    for bank in [1, 0, 1] as [UInt32] {
      tables.table.control.putInForce(bank: bank)
      #expect(tables.table.control.bank == bank && tables.control[0].pointee.bank == bank)
      #expect(tables.control[0].pointee.epoch == 300 && tables.table.control.epoch == 44)
      #expect(tables.control[0].pointee.secret == before.secret)
    }
  }

  @Test(
    "what is inserted is found and read, as long as there is room", arguments: [64, 1_000, 4_099])
  func inserted(maxAssociations: Int) throws {
    func check<Key: ClientKey>(_ family: AddressFamily, _ type: Key.Type) throws {
      let tables = try SharedAssociations(family, maxAssociations: UInt32(maxAssociations))
      tables.advanceEpoch(by: 1_000)
      let entries = (0..<maxAssociations).map { number in
        Entry<Key>(number, slot: UInt16(number % 5), rank: UInt8(number * 120 / maxAssociations))
      }
      #expect(tables.insert(entries) == maxAssociations)
      for entry in entries { #expect(tables.table.find(entry.client) == entry) }
      #expect(tables.table.find(Key(maxAssociations)) == nil)
      let read = tables.entries(Key.self)
      #expect(read.count == maxAssociations)
      #expect(Set(read.map(\.client.client)) == Set(entries.map(\.client.client)))
      #expect(read.allSatisfy { tables.table.find($0.client) == $0 })
      let counts = tables.table.countRanks()
      for age in 0...128 as ClosedRange<UInt8> {
        #expect(counts[Int(age)] == entries.count { $0.rank == age })
      }
      var young = 0
      tables.table.forEach(
        Key.self, inBuckets: 0..<tables.table.bucketCount, owners: tables.owners, ranks: 10...19
      ) { _ in young += 1 }
      #expect(young == counts[10...19].reduce(0, +))
    }
    try forBothFamilies { try check($0, $1) }
  }

  @Test("a client of several virtual servers has an association with each, told by its slot")
  func severalVirtualServers() throws {
    func check<Key: ClientKey>(_ family: AddressFamily, _ type: Key.Type) throws {
      var tables = try SharedAssociations(family, maxAssociations: 1_000)
      // Two slots each: of number 0, of the last, of one between; the next slot is nobody's.
      let numbers: [UInt8] = [0, 0, 127, 127, 5, 5]
      tables.owners = SlotOwners(numbers + [nil])
      let entries = (0..<600).map { number in
        Entry<Key>(
          number / 3, virtualServer: numbers[2 * (number % 3)], slot: UInt16(2 * (number % 3)),
          rank: UInt8(number / 6))
      }
      #expect(tables.insert(entries) == 600)
      for entry in entries {
        #expect(tables.table.find(entry.client, of: entry.virtualServer) == entry)
        #expect(tables.table.find(entry.client, of: 6) == nil)
      }
      let read = tables.entries(Key.self)
      #expect(read.count == 600)
      #expect(read.allSatisfy { tables.table.find($0.client, of: $0.virtualServer) == $0 })
      // Another slot's owner tells another client, or none.
      tables.owners = SlotOwners([nil, nil, 127])
      #expect(tables.entries(Key.self).count == 200)
      tables.table.forget(Key(7), of: 127)
      #expect(tables.table.find(Key(7), of: 127) == nil)
      #expect(tables.table.find(Key(7), of: 5) != nil && tables.table.find(Key(7)) != nil)
    }
    try forBothFamilies { try check($0, $1) }
  }

  @Test("where a place is freed, it is told whose the association is that moves")
  func movesOfSeveral() throws {
    func check<Key: ClientKey>(_ family: AddressFamily, _ type: Key.Type) throws {
      let size = 20_000
      var tables = try SharedAssociations(family, maxAssociations: UInt32(size))
      tables.owners = SlotOwners([0, 1, 2, 3])
      let entries = (0..<size * 6 / 5).map { number in
        Entry<Key>(number / 4, virtualServer: UInt8(number % 4), slot: UInt16(number % 4))
      }
      for start in stride(from: 0, to: entries.count, by: 500) {
        #expect(tables.insert(Array(entries[start..<start + 500])) == 500)
      }
      for entry in entries {
        #expect(tables.table.find(entry.client, of: entry.virtualServer) == entry)
      }
    }
    try forBothFamilies { try check($0, $1) }
  }

  @Test("clients have the numbers of their octets in memory")
  func clients() throws {
    for text in ["10.50.0.1", "255.254.253.252", "2001:db8:1:2:3:4:5:6", "fe80::ff"] {
      let client = Client(address: try #require(IPAddress(text)), port: 0x1234)
      switch client.address.family {
      case .ipv4: #expect(IPv4ClientKey(client).client == client)
      case .ipv6: #expect(IPv6ClientKey(client).client == client)
      }
    }
  }

  @Test("an IPv4 client is hashed as client.h of the template has it")
  func hash() {
    // In this machine's octet order, as `client.h` has it.
    let client = Client(address: IPAddress("10.50.0.1")!, port: 5683)
    let tag = UInt64(0x0100_320a) << 32 | UInt64(0x3316) << 16
    let secret: HashSecret = (
      0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321, 0x9e37_79b9_7f4a_7c15, 0x94d0_49bb_1331_11eb
    )
    var expected = (tag ^ secret.0) &* secret.1
    expected = (expected ^ (expected >> 28)) &* secret.2
    expected = (expected ^ (expected >> 32)) &* secret.3
    expected ^= expected >> 29
    let hash = IPv4ClientKey(client).hash(secret)
    #expect(hash == ClientHash(tag: tag, hash: expected))
    // Of another virtual server the tag is another, and the hash that of the tag.
    let tagOfFifth = tag ^ (5 &* secret.1 & ~0xffff)
    var expectedOfFifth = (tagOfFifth ^ secret.0) &* secret.1
    expectedOfFifth = (expectedOfFifth ^ (expectedOfFifth >> 28)) &* secret.2
    expectedOfFifth = (expectedOfFifth ^ (expectedOfFifth >> 32)) &* secret.3
    expectedOfFifth ^= expectedOfFifth >> 29
    #expect(
      IPv4ClientKey(client).hash(secret, virtualServer: 5)
        == ClientHash(tag: tagOfFifth, hash: expectedOfFifth))
    let (first, second) = hash.buckets(of: 1_000)
    #expect(first == Int(((expected >> 32) * 1_000) >> 32))
    #expect(second == (first + 1 + Int(((expected & 0xffff_ffff) * 999) >> 32)) % 1_000)
    #expect(hash.buckets(of: 2).first != hash.buckets(of: 2).second)
  }

  @Test(
    "a client goes to its first bucket while that has three places free, else where there are more")
  func places() throws {
    let tables = try SharedAssociations(.ipv4, maxAssociations: 8)
    typealias Key = IPv4ClientKey
    let clients = (0..<100).map { Key($0) }
    func first(_ client: Key) -> Int { tables.table.hash(client).buckets(of: 2).first }
    let ofFirst = clients.filter { first($0) == 0 }
    for (count, client) in ofFirst.prefix(14).enumerated() {
      tables.insert([Entry(client: client, slot: 1, rank: 0)])
      // 5 are in the first bucket when that has two left; the second is filled up to as many.
      let bucket = count < 5 ? 0 : count < 10 ? 1 : (count % 2 == 0 ? 0 : 1)
      #expect(tables.table.find(tables.table.hash(client))?.bucket == bucket, "\(count)")
    }
    #expect(tables.insert([Entry(client: ofFirst[14], slot: 1, rank: 0)]) == 0)
  }

  /// Some of so many find both their buckets full: others are moved for them.
  @Test("there is room for a fifth more than the table is for")
  func moves() throws {
    func check<Key: ClientKey>(_ family: AddressFamily, _ type: Key.Type) throws {
      let size = 20_000
      let tables = try SharedAssociations(family, maxAssociations: UInt32(size))
      tables.advanceEpoch(by: 1_000)
      let entries = (0..<size * 6 / 5).map { number in
        Entry<Key>(number, slot: UInt16(number % 5), rank: UInt8(number / size * 9))
      }
      for start in stride(from: 0, to: entries.count, by: 500) {
        #expect(tables.insert(Array(entries[start..<start + 500])) == 500)
      }
      for entry in entries { #expect(tables.table.find(entry.client) == entry) }
    }
    try forBothFamilies { try check($0, $1) }
  }

  @Test("who was used less recently goes, and nobody goes for one that was used no later")
  func full() throws {
    typealias Key = IPv6ClientKey
    let tables = try SharedAssociations(.ipv6, maxAssociations: 8)
    #expect(tables.insert((0..<14).map { Entry<Key>($0, rank: $0 == 5 ? 90 : 40) }) == 14)
    // One comes, one goes: there are no more of them.
    #expect(tables.insert([Entry<Key>(14, rank: 40), Entry<Key>(15, rank: 90)]) == 0)
    #expect(tables.table.find(Key(5)) == nil && tables.table.find(Key(14))?.rank == 40)
    #expect(tables.insert([Entry<Key>(16, rank: 40)]) == 0)
    #expect(tables.insert([Entry<Key>(17, slot: 9, rank: 39)]) == 0)
    #expect(tables.table.find(Key(17)) == Entry(17, slot: 9, rank: 39))
    #expect(tables.entries(Key.self).count == 14)
  }

  @Test("of two associations of one client the newer counts")
  func twice() throws {
    typealias Key = IPv4ClientKey
    let tables = try SharedAssociations(.ipv4, maxAssociations: 100)
    #expect(tables.insert([Entry<Key>(1, slot: 1, rank: 5), Entry<Key>(1, slot: 2, rank: 5)]) == 2)
    #expect(tables.entries(Key.self) == [Entry(1, slot: 1, rank: 5)])
    #expect(tables.insert([Entry<Key>(1, slot: 3, rank: 4)]) == 1)
    #expect(tables.entries(Key.self) == [Entry(1, slot: 3, rank: 4)])
  }

  @Test("an age is what the epoch has advanced since, at most 128")
  func ages() throws {
    typealias Key = IPv4ClientKey
    let tables = try SharedAssociations(.ipv4, maxAssociations: 100)
    tables.insert([Entry<Key>(1, rank: 0), Entry<Key>(2, rank: 100), Entry<Key>(3, rank: 255)])
    func ages() -> [UInt8?] { (1...3).map { tables.table.find(Key($0))?.rank } }
    #expect(ages() == [0, 100, 128])
    tables.advanceEpoch(by: 20)
    #expect(ages() == [20, 120, 128])
    tables.advanceEpoch(by: 60)
    #expect(ages() == [80, 128, 128])
    let place = try #require(tables.table.find(tables.table.hash(Key(2))))
    tables.table.refresh(place, as: Entry<Key>(2, rank: 90))
    #expect(ages() == [80, 90, 128])
    tables.table.refresh(place, as: Entry<Key>(2, rank: 91))
    #expect(ages() == [80, 90, 128])
  }

  @Test(
    "a single bucket has a place for each, in the order of use", arguments: 1...7 as ClosedRange)
  func single(maxAssociations: Int) throws {
    func check<Key: ClientKey>(_ family: AddressFamily, _ type: Key.Type) throws {
      let tables = try SharedAssociations(family, maxAssociations: UInt32(maxAssociations))
      func order() -> [Entry<Key>] { tables.entries(Key.self).sorted { $0.rank < $1.rank } }
      let entries = (0..<9).map { Entry<Key>($0, slot: UInt16($0), rank: 17) }
      #expect(tables.insert(Array(entries[..<2])) == min(2, maxAssociations))
      #expect(tables.insert(Array(entries[2...])) == max(0, maxAssociations - 2))
      var expected = (0..<maxAssociations).map { $0 }
      func check() {
        #expect(order().map(\.slot) == expected.map { UInt16($0) })
        #expect(order().map(\.rank) == expected.indices.map { UInt8($0) })
      }
      check()
      for number in [maxAssociations - 1, 0, maxAssociations / 2] {
        tables.table.putFirst(try #require(tables.table.find(tables.table.hash(Key(number)))))
        expected.removeAll { $0 == number }
        expected.insert(number, at: 0)
        check()
      }
    }
    try forBothFamilies { try check($0, $1) }
  }

  @Test("what is no association yet, and whose client is not told, is passed over")
  func unfinished() throws {
    typealias Key = IPv6ClientKey
    let tables = try SharedAssociations(.ipv6, maxAssociations: 100)
    tables.insert((0..<20).map { Entry<Key>($0) })
    let places = try (0..<4).map { number in
      try #require(tables.table.find(tables.table.hash(Key(number))))
    }
    let bucket = tables.table.bucket(places[0])
    let word = bucket.word(places[0].index)
    bucket.setWord(places[0].index, word | UInt64(AssociationTable.pendingSlot))
    // A packet has written the word, and its client half.
    Key(77).note(place: places[1].index, names: tables.table.names(places[1]))
    #expect(
      Set(tables.entries(Key.self).map(\.client.client))
        == Set((2..<20).map { Key($0).client }))
    #expect(tables.table.find(Key(0)) == nil)
  }

  @Test("all associations of some slots are forgotten, and no others")
  func forgotten() throws {
    func check<Key: ClientKey>(_ family: AddressFamily, _ type: Key.Type) throws {
      let tables = try SharedAssociations(family, maxAssociations: 1_000)
      let entries = (0..<1_000).map { Entry<Key>($0, slot: UInt16($0 % 10)) }
      tables.insert(entries)
      tables.table.forget(slots: [])
      #expect(tables.entries(Key.self).count == 1_000)
      tables.table.forget(slots: [3, 7, 65_534])
      for entry in entries {
        #expect((tables.table.find(entry.client) == nil) == [3, 7].contains(entry.slot))
      }
      #expect(tables.entries(Key.self).count == 800)
    }
    try forBothFamilies { try check($0, $1) }
  }
}

/// What packets do between the two steps is done where the insertion waits for them.
@Suite("Late insertion")
struct LateInsertionTests {
  private typealias Key = IPv6ClientKey

  @Test("what is inserted late is an association only after all packets are waited for")
  func late() throws {
    func check<Key: ClientKey>(_ family: AddressFamily, _ type: Key.Type) throws {
      let tables = try SharedAssociations(family, maxAssociations: 1_000)
      tables.advanceEpoch(by: 77)
      var waits = 0
      var insertion = LateInsertion<Key>(tables.table) {
        waits += 1
        #expect(tables.entries(Key.self).count == (waits == 1 ? 0 : 500))
      }
      let entries = (0..<1_000).map { Entry<Key>($0, slot: UInt16($0 % 3), rank: UInt8($0 / 10)) }
      for half in [entries[..<500], entries[500...]] {
        for entry in half { #expect(insertion.reserve(entry) == .reserved) }
        #expect(insertion.count == 500)
        #expect(insertion.settle() == 500)
      }
      #expect(insertion.settle() == 0)
      #expect(waits == 2 && insertion.count == 0)
      for entry in entries { #expect(tables.table.find(entry.client) == entry) }
    }
    try forBothFamilies { try check($0, $1) }
  }

  @Test("a client that has an association keeps it, whatever it leads to")
  func present() throws {
    let tables = try SharedAssociations(.ipv6, maxAssociations: 100)
    tables.insert([Entry<Key>(1, slot: 1, rank: 90)])
    let place = try #require(tables.table.find(tables.table.hash(Key(1))))
    var insertion = LateInsertion<Key>(tables.table) {}
    #expect(insertion.reserve(Entry(1, slot: 2, rank: 0)) == .present(place))
    #expect(insertion.settle() == 0)
    #expect(tables.table.find(Key(1)) == Entry(1, slot: 1, rank: 90))
  }

  @Test("where a packet of the client was first, its real server stays")
  func packetOfClient() throws {
    let tables = try SharedAssociations(.ipv6, maxAssociations: 100)
    let hash = tables.table.hash(Key(1))
    let (first, second) = hash.buckets(of: tables.table.bucketCount)
    // In the reserved place, by a packet that has seen the word; elsewhere, by one that has not.
    for elsewhere in [nil, AssociationTable.Place(bucket: second, index: 6)] {
      var insertion = LateInsertion<Key>(tables.table) {
        let reserved = tables.table.find(hash)!
        #expect(reserved.bucket == first)
        tables.put(Key(1), slot: 7, in: elsewhere ?? reserved)
      }
      #expect(insertion.reserve(Entry(1, slot: 2, rank: 3)) == .reserved)
      #expect(insertion.settle() == 1)
      #expect(tables.entries(Key.self) == [Entry(1, slot: 7, rank: 0)])
      tables.table.forget(slots: [7])
      #expect(tables.table.find(hash) == nil)
    }
  }

  @Test("where a packet of another client has taken the place, that is its")
  func packetOfOther() throws {
    let tables = try SharedAssociations(.ipv6, maxAssociations: 100)
    let hash = tables.table.hash(Key(1))
    var insertion = LateInsertion<Key>(tables.table) {
      tables.put(Key(2), slot: 7, in: tables.table.find(hash)!)
    }
    #expect(insertion.reserve(Entry(1, slot: 2, rank: 3)) == .reserved)
    #expect(insertion.settle() == 0)
    #expect(tables.entries(Key.self) == [Entry(2, slot: 7, rank: 0)])
  }

  @Test(
    "in a full table who was used less recently goes, and nobody for one that was used no later")
  func full() throws {
    let tables = try SharedAssociations(.ipv6, maxAssociations: 8)
    tables.insert((0..<14).map { Entry<Key>($0, rank: $0 == 5 ? 90 : 40) })
    var insertion = LateInsertion<Key>(tables.table) {}
    #expect(insertion.reserve(Entry(14, rank: 90)) == .noRoom)
    #expect(insertion.reserve(Entry(15, rank: 60)) == .reserved)
    // The place is the last one's already, as if it had been used then.
    #expect(insertion.reserve(Entry(16, rank: 70)) == .noRoom)
    #expect(insertion.reserve(Entry(17, rank: 50)) == .reserved)
    #expect(insertion.settle() == 1)
    #expect(tables.table.find(Key(5)) == nil && tables.table.find(Key(15)) == nil)
    #expect(tables.table.find(Key(17)) == Entry(17, rank: 50))
    #expect(tables.entries(Key.self).count == 14)
  }

  @Test("a single bucket takes who fits, and nobody goes for them")
  func single() throws {
    let tables = try SharedAssociations(.ipv6, maxAssociations: 3)
    tables.insert((0..<2).map { Entry<Key>($0) })
    var insertion = LateInsertion<Key>(tables.table) {}
    #expect(insertion.reserve(Entry(2)) == .reserved)
    #expect(insertion.settle() == 1)
    #expect(insertion.reserve(Entry(3)) == .noRoom)
    tables.table.forget(Key(1))
    #expect(insertion.reserve(Entry(3)) == .reserved)
    #expect(insertion.settle() == 1)
    let clients = tables.entries(Key.self).sorted { $0.rank < $1.rank }.map(\.client)
    #expect(clients == [Key(0), Key(3), Key(2)])
  }
}
