// Where the packet path puts a new client's word: in one of the two buckets that user space computes,
// by the rule for its place there.
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

extension Director {
  /// A client as user space knows it.
  func hash(of client: Int) -> ClientHash {
    let secret = buckets.secret
    let key = (secret[0], secret[1], secret[2], secret[3])
    let identity = addresses.identity(of: client)
    return addresses.family == .ipv4
      ? IPv4ClientKey(identity).hash(key, virtualServer: 0)
      : IPv6ClientKey(identity).hash(key, virtualServer: 0)
  }

  /// The buckets that a client may be in, as user space has them.
  func bucketsAndTag(of client: Int) -> (first: Int, second: Int, tag: UInt64) {
    let hash = hash(of: client)
    let (first, second) = hash.buckets(of: buckets.count)
    return (first, second, hash.tag)
  }

  /// Runs a request of a client, or a reply to it, which make its association where there is none.
  func settle(_ client: Int, byServer: Bool) throws {
    let datagram =
      byServer ? addresses.reply(server: 1, client: client) : addresses.request(client: client)
    try #require(try run(datagram).verdict == .send)
  }
}

@Suite("Places of new clients", .serialized)
struct PlaceTests {
  /// Whoever a client is and whatever the secret: user space finds it where packets have put it.
  @Test(
    "packets and user space compute the same buckets", arguments: AddressFamily.allCases,
    [8, 9, 1000, 65536] as [UInt32])
  func buckets(family: AddressFamily, capacity: UInt32) throws {
    let director = try Director(family, maxAssociations: capacity)
    var numbers = SeededNumbers(seed: UInt64(capacity))
    for _ in 0..<20 {
      director.buckets.clear()
      director.buckets.secret = (0..<4).map { _ in numbers.next() | 1 }
      let clients = (0..<Int(min(capacity, 500))).map { _ in
        Int.random(in: 0..<1_000_000, using: &numbers)
      }
      try director.admit(clients)
      let entries = Dictionary(
        uniqueKeysWithValues: director.buckets.entries.map { ($0.client, $0) })
      #expect(entries.count == Set(clients).count)
      for client in clients {
        let (first, second, tag) = director.bucketsAndTag(of: client)
        let entry = try #require(entries[director.addresses.identity(of: client)])
        try #require(entry.tag == tag)
        try #require(first != second && [first, second].contains(entry.place.bucket))
      }
    }
  }

  /// The state of the table is made up before each new client: places free, and used at any time.
  @Test(
    "a free place, of the first bucket while it has three, else the oldest; the usual of equals",
    arguments: AddressFamily.allCases,
    [(8, 1), (12, 0), (12, 1), (64, 0), (64, 1)] as [(UInt32, Int)])
  func rule(family: AddressFamily, table: (capacity: UInt32, probation: Int)) throws {
    let director = try Director(
      family, maxAssociations: table.capacity, probation: table.probation)
    let buckets = director.buckets
    let table = try AssociationTable(director.dataPlane.tables.associations[family]!)
    // Newcomers all, who have sent or not; without classes an octet is an age.
    let classes: [UInt8] = buckets.hasClasses ? [0, 0x40] : [0]
    let ages: UInt8 = buckets.hasClasses ? 0x3f : 0xff
    var numbers = SeededNumbers(seed: 3)
    var ways: [String: Int] = [:]
    for client in 0..<3_000 {
      let freeInHundred = [0, 0, 10, 30, 60].randomElement(using: &numbers)!
      let oldest = UInt8.random(in: 0...ages / 2, using: &numbers)
      for bucket in 0..<buckets.count {
        for index in 0..<Buckets.places {
          let place = Buckets.Place(bucket: bucket, index: index)
          let isFree = Int.random(in: 0..<100, using: &numbers) < freeInHundred
          // Tags that no client has, 0 among them: that may be one of another virtual server's; of
          // slots that are, or are not.
          let hasNoTag = Int.random(in: 0..<20, using: &numbers) == 0
          let word = hasNoTag ? 1 : numbers.next() | 0xff00_0000_0000_0000
          buckets[place] = isFree ? 0 : word
          // A place may be free whose client was forgotten by hand.
          let age = UInt8.random(in: 0...oldest, using: &numbers)
          buckets[stampAt: place] =
            classes.randomElement(using: &numbers)!
            | (UInt8(truncatingIfNeeded: buckets.epoch) &- age) & ages
        }
      }
      let (first, second, tag) = director.bucketsAndTag(of: client)
      let before = buckets.entries
      func inBoth(_ entries: [Buckets.Entry]) -> [Buckets.Entry] {
        entries.filter { [first, second].contains($0.place.bucket) }
      }
      let free = [first, second].map { Buckets.places - buckets.entries(of: $0).count }
      let greatest = inBoth(before).map { buckets.age($0) }.max()
      let usual = director.hash(of: client).usualPlace
      /// Whether the client is in its usual place if that is one of these, of which it is in one.
      func isUsual(_ place: Buckets.Place, of places: [Buckets.Place]) -> Bool {
        let best = Buckets.Place(bucket: place.bucket, index: usual)
        return places.contains(place) && (!places.contains(best) || place == best)
      }
      let byServer = client % 2 == 0
      let stamp = (byServer ? classes.last! : 0) | UInt8(truncatingIfNeeded: buckets.epoch) & ages
      try director.settle(client, byServer: byServer)

      let after = buckets.entries
      let placed = try #require(after.first { $0.tag == tag })
      let others = after.filter { $0.tag != tag }
      try #require(placed.client == director.addresses.identity(of: client))
      try #require(placed.stamp == stamp)
      let way: String
      if free == [0, 0] {
        way = "the oldest"
        let gone = try #require(before.first { $0.place == placed.place })
        try #require(inBoth(before).contains(gone))
        try #require((stamp &- gone.stamp) & ages == greatest)
        try #require(others == before.filter { $0.place != placed.place })
        let oldest = inBoth(before).filter { (stamp &- $0.stamp) & ages == greatest }
        try #require(isUsual(placed.place, of: oldest.map(\.place)))
      } else {
        let isFirst = free[0] >= 3 || free[0] >= free[1]
        way =
          isFirst ? free[0] >= 3 ? "the first" : "the freer, the first" : "the freer, the second"
        try #require(placed.place.bucket == (isFirst ? first : second), "free \(free)")
        try #require(others == before)
        let taken = Set(before.map(\.place))
        let free = (0..<Buckets.places).map {
          Buckets.Place(bucket: placed.place.bucket, index: $0)
        }.filter { !taken.contains($0) }
        try #require(isUsual(placed.place, of: free))
        // So does user space, had it been first.
        buckets[placed.place] = 0
        let place = try #require(table.findFree(director.hash(of: client)))
        try #require(isUsual(Buckets.Place(bucket: place.bucket, index: place.index), of: free))
      }
      ways[way, default: 0] += 1
    }
    #expect(ways.count == 4 && ways.values.allSatisfy { $0 > 50 }, "\(ways)")
  }

  /// Another CPU's packet uses each place between its choice and the look before it is taken.
  @Test(
    "a place that was used since it was chosen is not taken", arguments: AddressFamily.allCases,
    [0, 1])
  func usedSince(family: AddressFamily, probation: Int) throws {
    let director = try Director(family, maxAssociations: 64, probation: probation)
    let look = "\tseen = read_word(&bucket->word[place]);\n"
    let program = try director.program(
      replacing: look, with: "\ttouch(control, bucket, place, true);\n" + look)
    try director.admit(0..<500)
    let words = director.buckets.entries.map(\.word)
    // As often as a place is chosen anew there is an older one.
    for client in 500..<503 {
      let request = director.addresses.request(client: client)
      #expect(Director.Outcome(try program.testRun(frame: request.bytes)).verdict == .drop)
    }
    #expect(director.buckets.entries.map(\.word) == words)
    // Whoever lost its place lets the lock go.
    try director.admit(500..<503)
  }

  /// Another CPU's client gets each free place first, whatever its stamp is.
  @Test(
    "a place that was free when it was chosen is not taken from who has it by then",
    arguments: AddressFamily.allCases, [0, 1])
  func filledSince(family: AddressFamily, probation: Int) throws {
    let director = try Director(family, maxAssociations: 64, probation: probation)
    let look = "\tseen = read_word(&bucket->word[place]);\n"
    let program = try director.program(
      replacing: look,
      with: "\t*(volatile __u64 *)&bucket->word[place] = 0xff00000000010001ULL;\n"
        + "\t*(volatile __u8 *)&bucket->stamp[place] = 0;\n" + look)
    let request = director.addresses.request(client: 0)
    #expect(Director.Outcome(try program.testRun(frame: request.bytes)).verdict == .drop)
    let words = director.buckets.entries.map(\.word)
    #expect(words.count > 1 && Set(words) == [0xff00_0000_0001_0001])
    try director.admit([0])
  }

  /// With IPv6 a word does not tell its client: that is noted beside it, in the same place.
  @Test("whose a word is stands beside it, after each insertion", arguments: [5, 64] as [UInt32])
  func noted(capacity: UInt32) throws {
    let director = try Director(.ipv6, maxAssociations: capacity)
    var clients: [UInt64: Client] = [:]
    for client in 0..<2_000 {
      let (_, _, tag) = director.bucketsAndTag(of: client)
      clients[tag] = director.addresses.identity(of: client)
      try director.settle(client, byServer: client % 2 == 0)
      for entry in director.buckets.entries { try #require(clients[entry.tag] == entry.client) }
    }
  }

  /// No client is known whose tag is 0; so the program computes it of all here.
  @Test("a tag of 0 is 1 instead: no word of a client is 0")
  func tagOfZero() throws {
    let director = try Director(.ipv6)
    let program = try director.program(
      replacing: "state.v3) & ~0xffffULL", with: "state.v3) & 0")
    let request = director.addresses.request(client: 1)
    for _ in 0..<2 {
      let outcome = Director.Outcome(try program.testRun(frame: request.bytes))
      #expect(outcome == .send(request.sent(to: director.addresses.server(1))))
      #expect(director.buckets.entries.map(\.word) == [1 << 16])
    }
  }
}
