// The association table in memory that packets share: read, filled before they do, swept while they
// do. What is inserted while they do, LateInsertion.swift knows how.
import BCC
import CLayout
import CLinux
import LoadBalancing

/// An association as a table holds it.
struct Entry<Key: ClientKey>: BitwiseCopyable, Equatable, Sendable {
  var client: Key
  /// The number of the virtual server that it is a client of.
  var virtualServer: UInt8
  /// The number of its real server's slot.
  var slot: UInt16
  /// How near it is to being forgotten, by the table's ranking.
  var rank: UInt8
  /// Whether it is a newcomer that a real server wrote to, and that has not sent yet.
  var isUnheard = false

  /// Whether both are of one client of one virtual server.
  func isOfSameClient(as other: Entry) -> Bool {
    client == other.client && virtualServer == other.virtualServer
  }
}

/// Which virtual server the real server of each slot is behind: whose client a word is of.
struct SlotOwners: Sendable {
  /// By slot.
  private let numbers: [UInt8]

  /// Of a slot that is nobody's.
  static let nobody = UInt8(NO_VIRTUAL_SERVER_NUMBER)

  /// - Parameter numbers: by slot; `nil` for one that is nobody's.
  init(_ numbers: [UInt8?]) { self.numbers = numbers.map { $0 ?? SlotOwners.nobody } }

  /// The number of a virtual server, or ``nobody``.
  @inline(__always)
  subscript(slot: UInt16) -> UInt8 {
    Int(slot) < numbers.count ? numbers[Int(slot)] : SlotOwners.nobody
  }
}

/// The buckets of an association table, who their associations belong to, and how they are read.
///
/// Packets read and write them at any time. Nothing here makes one wait: what is written into a table
/// in service is swapped in, and where a packet was first, its word stays.
struct AssociationTable: Sendable {
  private let buckets: MappedTable<bucket>
  /// With IPv6 alone.
  private let names: MappedTable<bucket_clients_v6>?
  let control: Control
  private let secret: HashSecret
  /// None in tables of former versions.
  let admissions: Admissions?
  let maxAssociations: Int
  /// By what its clients are ranked: one of a single bucket by ages that are ranks.
  let ranking: Ranking
  /// How many places of each bucket are used.
  private let places: Int

  /// The slot of a word that is no association yet.
  static let pendingSlot = UInt16(SLOT_PENDING)

  /// - Parameters:
  ///   - clients: who the associations belong to, with IPv6; has as many entries as `associations`.
  ///   - admissions: none where it is of a former version.
  init(
    associations: Table, clients: Table?, control: Table, admissions: Table?
  ) throws(BCCError) {
    buckets = try MappedTable(associations)
    if let clients { names = try MappedTable(clients) } else { names = nil }
    self.control = try Control(control)
    if let admissions {
      self.admissions = try Admissions(admissions)
    } else {
      self.admissions = nil
    }
    secret = self.control.secret
    ranking = self.control.hasClasses && admissions != nil ? .byClass : .byAge
    maxAssociations = Int(self.control.maxAssociations)
    places = min(maxAssociations, SharedBucket.places)
  }

  /// Makes tables that have just been created, and are in nobody's service, an association table for
  /// so many.
  ///
  /// - Parameter hasClasses: not where there is but one bucket.
  static func begin(
    associations: Table, control: Table, maxAssociations: UInt32, hasClasses: Bool
  ) throws(BCCError) {
    try Control.begin(control, maxAssociations: maxAssociations, hasClasses: hasClasses)
    let buckets = try MappedTable<bucket>(associations)
    if buckets.count == 1 { SharedBucket(buckets[0]).beginRanks() }
  }

  /// How many buckets a table for so many associations has: one for each four, so that there are 1.75
  /// places for each. Few have one bucket, in which each has one place.
  static func bucketCount(maxAssociations: UInt32) -> Int {
    maxAssociations <= SharedBucket.places ? 1 : (Int(maxAssociations) - 1) / 4 + 1
  }

  var bucketCount: Int { buckets.count }

  /// All buckets as they are in memory, for who compares many: others write there, and what is found
  /// to differ is of that moment.
  var lines: UnsafePointer<SIMD8<UInt64>> {
    UnsafeRawPointer(buckets[0]).assumingMemoryBound(to: SIMD8<UInt64>.self)
  }

  /// How many associations there is room for.
  var placeCount: Int { buckets.count * places }

  /// All buckets, so many at a time that their associations are read within a millisecond.
  var pieces: some Sequence<Range<Int>> {
    let size = 1 << 13
    return stride(from: 0, to: buckets.count, by: size).lazy.map { [count = buckets.count] in
      $0..<min($0 + size, count)
    }
  }

  /// Whether there is but one bucket. Its stamps are ranks: which of its places was used last, 0,
  /// and which after that.
  var isSingleBucket: Bool { buckets.count == 1 }

  // MARK: Reading

  /// Hands over the associations of some buckets, with their ranks.
  ///
  /// - Parameters:
  ///   - owners: what leads to a slot of nobody's is passed over.
  ///   - ranks: which ones.
  @inline(__always)
  func forEach<Key: ClientKey>(
    _ type: Key.Type, inBuckets range: Range<Int>, owners: SlotOwners,
    ranks: ClosedRange<UInt8> = 0...UInt8.max, _ body: (Entry<Key>) -> Void
  ) {
    visit(type, inBuckets: range, owners: owners, ranks: ranks) { entry, _ in body(entry) }
  }

  /// Hands over the same with their places, in the order of these.
  @inline(__always)
  func visit<Key: ClientKey>(
    _ type: Key.Type, inBuckets range: Range<Int>, owners: SlotOwners,
    ranks: ClosedRange<UInt8> = 0...UInt8.max, _ body: (Entry<Key>, Place) -> Void
  ) {
    for index in range {
      let bucket = SharedBucket(buckets[index])
      let names = names?[index]
      for place in 0..<places {
        let word = bucket.word(place)
        let slot = SharedBucket.slot(of: word)
        guard word != 0, slot != AssociationTable.pendingSlot else { continue }
        let (rank, isUnheard) = rank(bucket, place)
        let owner = owners[slot]
        guard ranks.contains(rank), owner != SlotOwners.nobody,
          let client = Key(
            word: word, place: place, names: names, secret: secret, virtualServer: owner)
        else { continue }
        body(
          Entry(
            client: client, virtualServer: owner, slot: slot, rank: rank, isUnheard: isUnheard),
          Place(bucket: index, index: place))
      }
    }
  }

  /// Hands over what stands in each place that is not free, be it an association or not yet one.
  @inline(__always)
  func forEachWord(_ body: (UInt64, Stamp) -> Void) {
    for index in 0..<buckets.count {
      let bucket = SharedBucket(buckets[index])
      for place in 0..<places {
        let word = bucket.word(place)
        if word != 0 { body(word, Stamp(bucket.stamp(place))) }
      }
    }
  }

  /// How many associations there are of each rank.
  func countRanks() -> [Int] {
    var counts = [Int](repeating: 0, count: Int(ranking.highest) + 1)
    for index in 0..<buckets.count {
      let bucket = SharedBucket(buckets[index])
      for place in 0..<places where bucket.word(place) != 0 {
        counts[Int(rank(bucket, place).rank)] += 1
      }
    }
    return counts
  }

  /// A client's association with a virtual server; `nil` where it has none.
  func find<Key: ClientKey>(_ client: Key, of virtualServer: UInt8) -> Entry<Key>? {
    guard let place = find(hash(client, of: virtualServer)) else { return nil }
    let word = bucket(place).word(place.index)
    let slot = SharedBucket.slot(of: word)
    guard word != 0, slot != AssociationTable.pendingSlot else { return nil }
    let (rank, isUnheard) = rank(bucket(place), place.index)
    return Entry(
      client: client, virtualServer: virtualServer, slot: slot, rank: rank, isUnheard: isUnheard)
  }

  // MARK: Places

  /// A place of a bucket.
  struct Place: Hashable, Sendable {
    let bucket: Int
    let index: Int
  }

  @inline(__always)
  func bucket(_ place: Place) -> SharedBucket { SharedBucket(buckets[place.bucket]) }

  @inline(__always)
  func names(_ place: Place) -> UnsafeMutablePointer<bucket_clients_v6>? { names?[place.bucket] }

  @inline(__always)
  func hash<Key: ClientKey>(_ client: Key, of virtualServer: UInt8) -> ClientHash {
    client.hash(secret, virtualServer: virtualServer)
  }

  @inline(__always)
  func hash<Key: ClientKey>(_ entry: Entry<Key>) -> ClientHash {
    hash(entry.client, of: entry.virtualServer)
  }

  /// How near the client of a place is to being forgotten, and whether it has not sent yet. The epoch is
  /// read after the stamp: no stamp is ahead of it then.
  @inline(__always)
  private func rank(_ bucket: SharedBucket, _ place: Int) -> (rank: UInt8, isUnheard: Bool) {
    let octet = bucket.stamp(place)
    return (rank(stamp: octet), ranking == .byClass && Stamp(octet).isUnheard)
  }

  /// How near a client with that stamp is to being forgotten.
  @inline(__always)
  func rank(stamp octet: UInt8) -> UInt8 {
    guard ranking == .byClass else {
      return isSingleBucket ? octet : min(control.epoch &- octet, ranking.oldestAge)
    }
    let stamp = Stamp(octet)
    let clientClass = stamp.clientClass
    return ranking.rank(clientClass, age: stamp.age(in: epoch(of: clientClass)))
  }

  @inline(__always)
  func rank(_ place: Place) -> UInt8 { rank(bucket(place), place.index).rank }

  /// What the ages of a class are counted from.
  @inline(__always)
  private func epoch(of clientClass: ClientClass) -> UInt64 {
    switch clientClass {
    case .newcomer: control.fullEpoch
    case .resident: control.promotionEpoch
    // Packets may be a tick ahead, and a half second with it.
    case .answered: Admissions.halfSeconds + 1
    }
  }

  /// What a place is stamped with whose client has a rank. With classes a resident counts as such where
  /// it is stamped.
  @inline(__always)
  private func stamp(rank: UInt8, isUnheard: Bool) -> Stamp {
    guard ranking == .byClass else {
      return Stamp(control.epoch &- min(rank, ranking.oldestAge))
    }
    let clientClass = ranking.clientClass(rank)
    return Stamp(
      clientClass, isUnheard: isUnheard,
      epoch: epoch(of: clientClass) &- UInt64(min(ranking.age(rank), ranking.oldestAge)))
  }

  /// The buckets that a client may be in: one or two.
  @inline(__always)
  private func buckets(of hash: ClientHash) -> (first: Int, second: Int, count: Int) {
    let (first, second) = hash.buckets(of: buckets.count)
    return (first, second, isSingleBucket ? 1 : 2)
  }

  /// Where the client's word is, be it an association or not yet one.
  ///
  /// - Parameter excluded: a place that is not looked at.
  @inline(__always)
  func find(_ hash: ClientHash, besides excluded: Place? = nil) -> Place? {
    let (first, second, count) = buckets(of: hash)
    for bucket in 0..<count {
      let index = bucket == 0 ? first : second
      let bucket = SharedBucket(buckets[index])
      for place in 0..<places where SharedBucket.tag(of: bucket.word(place)) == hash.tag {
        let place = Place(bucket: index, index: place)
        if place != excluded { return place }
      }
    }
    return nil
  }

  /// A free place for a client, as packets choose it: in its first bucket while that has three or as
  /// many as the second, and of a bucket's the usual one.
  @inline(__always)
  func findFree(_ hash: ClientHash) -> Place? {
    let (first, second, count) = buckets(of: hash)
    let usual = count > 1 ? hash.usualPlace : nil
    let (placeInFirst, freeInFirst) = findFree(inBucket: first, usual: usual)
    guard count > 1, freeInFirst < 3 else { return placeInFirst }
    let (placeInSecond, freeInSecond) = findFree(inBucket: second, usual: usual)
    return freeInFirst < freeInSecond ? placeInSecond : placeInFirst
  }

  @inline(__always)
  private func findFree(inBucket index: Int, usual: Int?) -> (place: Place?, count: Int) {
    let bucket = SharedBucket(buckets[index])
    var found: Int?
    var count = 0
    for place in 0..<places where bucket.word(place) == 0 {
      if found == nil || found != usual { found = place }
      count += 1
    }
    return (found.map { Place(bucket: index, index: $0) }, count)
  }

  /// The place of a client's buckets whose client is forgotten next.
  @inline(__always)
  func findHighest(_ hash: ClientHash) -> (place: Place, rank: UInt8) {
    let (first, second, count) = buckets(of: hash)
    var highest = (place: Place(bucket: first, index: 0), rank: UInt8(0))
    for bucket in 0..<count {
      let index = bucket == 0 ? first : second
      for place in 0..<places {
        let place = Place(bucket: index, index: place)
        let rank = rank(place)
        if rank > highest.rank { highest = (place, rank) }
      }
    }
    return highest
  }

  // MARK: Writing before the table is in service

  /// In how many cases one call looks for room by moving others. As many as the table is for need it
  /// in a few cases in a million; where more are inserted, it would be in most, and for little.
  private static let mostMoves = 64

  /// Inserts associations, those with the lowest ranks first. One of a client that has one already is
  /// left out, as is one for which there is room only where one is that has as low a rank, or a lower
  /// one. No program may use the table yet.
  ///
  /// - Parameter owners: of the slots of all that the table has.
  /// - Returns: of how many clients the table has one now that it had none of; those count too that
  ///   were left out for their own sake.
  func insert<Key: ClientKey>(
    _ entries: UnsafeBufferPointer<Entry<Key>>, owners: SlotOwners
  ) -> Int {
    // Where they go is nowhere near each other: memory is asked for some of them at once.
    let atOnce = 32
    var count = 0
    var moves = AssociationTable.mostMoves
    withUnsafeTemporaryAllocation(of: ClientHash.self, capacity: atOnce) { hashes in
      for start in stride(from: 0, to: entries.count, by: atOnce) {
        let end = min(start + atOnce, entries.count)
        for index in start..<end {
          let hash = hash(entries[index])
          hashes[index - start] = hash
          fetch(hash)
        }
        for index in start..<end {
          count += insert(entries[index], hashes[index - start], owners, &moves)
        }
      }
    }
    return count
  }

  /// Asks memory for the buckets that a client may be in.
  @inline(__always)
  func fetch(_ hash: ClientHash) {
    let (first, second, count) = buckets(of: hash)
    prefetch(buckets[first])
    if count > 1 { prefetch(buckets[second]) }
  }

  @inline(__always)
  private func insert<Key: ClientKey>(
    _ entry: Entry<Key>, _ hash: ClientHash, _ owners: SlotOwners, _ moves: inout Int
  ) -> Int {
    let entry = admitted(entry)
    if let place = find(hash) {
      if !isSingleBucket && entry.rank < rank(place) { write(entry, hash, place) }
      return 1
    }
    if let place = findFree(hash) {
      write(entry, hash, place)
      return 1
    }
    // What is in a single bucket came before, and is newer.
    guard !isSingleBucket else { return 0 }
    if moves > 0 {
      moves -= 1
      if let place = makeRoom(Key.self, hash, owners) {
        write(entry, hash, place)
        return 1
      }
    }
    let (place, rank) = findHighest(hash)
    // One comes, one goes.
    if rank > entry.rank { write(entry, hash, place) }
    return 0
  }

  /// Frees a place for a client by moving an association to the other bucket that it may be in.
  ///
  /// - Returns: `nil` where all of those are full.
  private func makeRoom<Key: ClientKey>(
    _ type: Key.Type, _ hash: ClientHash, _ owners: SlotOwners
  ) -> Place? {
    let (first, second) = hash.buckets(of: buckets.count)
    for place in [first, second].flatMap({ index in
      (0..<places).map { Place(bucket: index, index: $0) }
    }) {
      let bucket = bucket(place)
      let word = bucket.word(place.index)
      let owner = owners[SharedBucket.slot(of: word)]
      guard owner != SlotOwners.nobody,
        let client = Key(
          word: word, place: place.index, names: names(place), secret: secret,
          virtualServer: owner)
      else { continue }
      let own = self.hash(client, of: owner)
      let (first, second) = own.buckets(of: buckets.count)
      let other = first == place.bucket ? second : first
      guard let free = findFree(inBucket: other, usual: own.usualPlace).place else { continue }
      self.bucket(free).setStamp(free.index, bucket.stamp(place.index))
      self.bucket(free).setWord(free.index, word)
      client.note(place: free.index, names: names(free))
      bucket.setWord(place.index, 0)
      // No free place has a resident's stamp.
      bucket.setStamp(place.index, 0)
      return place
    }
    return nil
  }

  @inline(__always)
  private func write<Key: ClientKey>(_ entry: Entry<Key>, _ hash: ClientHash, _ place: Place) {
    let bucket = bucket(place)
    if isSingleBucket {
      let used = (0..<places).count { bucket.word($0) != 0 }
      bucket.setRank(place.index, UInt8(used))
    } else {
      setStamp(place, to: entry)
    }
    bucket.setWord(place.index, hash.tag | UInt64(entry.slot))
    entry.client.note(place: place.index, names: names(place))
  }

  // MARK: Writing while the table is in service

  /// Has an association count as what another entry of the client tells, where that has the lower rank.
  @inline(__always)
  func refresh<Key: ClientKey>(_ place: Place, as entry: Entry<Key>) {
    let bucket = bucket(place)
    let seen = bucket.stamp(place.index)
    if entry.rank < rank(bucket, place.index).rank { setStamp(place, seen, to: entry) }
  }

  /// An entry as the table takes it: where there are as many residents as there may be, as a newcomer's.
  @inline(__always)
  func admitted<Key: ClientKey>(_ entry: Entry<Key>) -> Entry<Key> {
    guard ranking == .byClass, ranking.clientClass(entry.rank) == .resident, let admissions,
      admissions.residents >= maxAssociations
    else { return entry }
    var entry = entry
    entry.rank = ranking.rank(.newcomer, age: 0)
    return entry
  }

  /// Stamps a place as that of an entry's client.
  ///
  /// - Parameter seen: the stamp that is there: where a packet has set another since, that stays.
  @inline(__always)
  func setStamp<Key: ClientKey>(_ place: Place, _ seen: UInt8? = nil, to entry: Entry<Key>) {
    let bucket = bucket(place)
    let seen = Stamp(seen ?? bucket.stamp(place.index))
    let next = stamp(rank: entry.rank, isUnheard: entry.isUnheard)
    guard ranking == .byClass, let admissions else {
      bucket.swapStamp(place.index, seen.octet, for: next.octet)
      return
    }
    let change = (next.clientClass == .resident ? 1 : 0) - (seen.clientClass == .resident ? 1 : 0)
    // Before it is there, as a packet may demote it at once.
    if change != 0 { admissions.addResidents(change) }
    guard !bucket.swapStamp(place.index, seen.octet, for: next.octet), change != 0 else { return }
    admissions.addResidents(-change)
  }

  /// Makes a newcomer one that was answered, as a real server has written to it where no packet of this
  /// table tells it.
  ///
  /// - Parameter seen: the stamp that is there: where a packet has set another since, that stays.
  func noteAnswer(_ place: Place, _ seen: UInt8) {
    let next = Stamp(.answered, isUnheard: false, epoch: Admissions.halfSeconds)
    bucket(place).swapStamp(place.index, seen, for: next.octet)
  }

  /// Makes the client of a place a newcomer, who is to be forgotten: no free place has the stamp of a
  /// resident.
  @inline(__always)
  private func dismiss(_ bucket: SharedBucket, _ place: Int) {
    guard ranking == .byClass else { return }
    while true {
      let seen = bucket.stamp(place)
      guard Stamp(seen).clientClass == .resident else { return }
      let next = Stamp(.newcomer, isUnheard: false, epoch: control.fullEpoch)
      if bucket.swapStamp(place, seen, for: next.octet) {
        admissions?.addResidents(-1)
        return
      }
    }
  }

  /// Has an association of a single bucket count as the one that was used last.
  func putFirst(_ place: Place) { bucket(place).setRank(place.index, 0) }

  /// Forgets what a place holds, unless a packet has put something else there since it was seen.
  ///
  /// - Returns: whether it was forgotten.
  @inline(__always)
  func forget(_ word: UInt64, in place: Place) -> Bool {
    let bucket = bucket(place)
    guard bucket.word(place.index) == word else { return false }
    dismiss(bucket, place.index)
    return bucket.swapWord(place.index, word, for: 0)
  }

  /// Forgets a client's association with a virtual server.
  func forget<Key: ClientKey>(_ client: Key, of virtualServer: UInt8) {
    guard let place = find(hash(client, of: virtualServer)) else { return }
    // Where a packet is first, its word is newer.
    _ = forget(bucket(place).word(place.index), in: place)
  }

  /// Forgets all associations with the real servers of some slots, in one pass.
  ///
  /// No real server of these is in force, and packets that may have seen one are through.
  func forget(slots: [UInt16]) {
    var isForgotten = [Bool](repeating: false, count: Int(UInt16.max) + 1)
    for slot in slots { isForgotten[Int(slot)] = true }
    for index in 0..<buckets.count {
      let bucket = SharedBucket(buckets[index])
      for place in 0..<places {
        let word = bucket.word(place)
        guard word != 0, isForgotten[Int(SharedBucket.slot(of: word))] else { continue }
        // Where a packet is first, its word leads elsewhere.
        _ = forget(word, in: Place(bucket: index, index: place))
      }
    }
  }
}
