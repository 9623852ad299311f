// Takes associations from the tables of a process that was here before into those of this one.
import BCC
import LoadBalancing

/// One copy of associations, in two steps: before this process's table serves, and after that. From
/// the former ones nothing is taken away.
protocol AssociationCopying {
  /// Copies what fits, those that were used last first. The table is not in service yet.
  mutating func copyWhatFits() throws(BCCError)

  /// Copies what clients did with the former program since. To be called once the former tables are
  /// out of service.
  ///
  /// - Returns: how many associations have been copied in all.
  mutating func copyRest() throws(BCCError) -> Int
}

/// A copy from tables of the same family.
///
/// - Parameters:
///   - former: has that family.
///   - plan: what the associations of `table` lead to.
///   - progress: is told again and again how far it is, as a copy may take long.
func makeAssociationCopy(
  from former: KeptTables, _ family: AddressFamily, to table: AssociationTable,
  plan: ServicePlan, progress: @escaping (String) -> Void
) throws(BCCError) -> any AssociationCopying {
  let owners = plan.owners(of: family)
  func copy<Former: FormerAssociations>(_ former: Former) -> any AssociationCopying {
    AssociationCopy(from: former, to: table, owners: owners, progress: progress)
  }
  func copyShared(_ table: AssociationTable, _ translation: SlotTranslation)
    -> any AssociationCopying
  {
    // Each knows its types: a million are copied.
    switch family {
    case .ipv4: copy(SharedFormerAssociations<IPv4ClientKey>(table, translation))
    case .ipv6: copy(SharedFormerAssociations<IPv6ClientKey>(table, translation))
    }
  }
  switch former {
  case .present(let tables):
    // Asked for where the family is one of the tables'.
    return copyShared(
      try AssociationTable(tables.associations[family]!),
      SlotTranslation((tables.slots[family] ?? []).map { $0?.member }, to: plan, family))
  case .former(let tables):
    let translation = SlotTranslation(tables, to: plan)
    switch (tables.associations, family) {
    case (.shared(let table), _): return copyShared(table, translation)
    case (.hashed(let table), .ipv4):
      return copy(
        try HashedFormerAssociations<IPv4ClientKey, _>(
          table, FormerIPv4Layout.self, tables.slots, translation))
    case (.hashed(let table), .ipv6):
      return copy(
        try HashedFormerAssociations<IPv6ClientKey, _>(
          table, FormerIPv6Layout.self, tables.slots, translation))
    }
  }
}

/// A copy whose types are known.
struct AssociationCopy<Former: FormerAssociations>: AssociationCopying {
  private typealias Key = Former.Key

  private let former: Former
  private let table: AssociationTable
  /// Of the table's slots.
  private let owners: SlotOwners
  private let progress: (String) -> Void
  private var count = 0
  /// When the first step began, by the former table's epochs.
  private var beginning: FormerEpoch
  /// What the first step has put into a single bucket.
  private var entriesBefore: [Entry<Key>] = []

  /// How many are inserted with one wait for packets.
  private static var batch: Int { 1 << 15 }

  init(
    from former: Former, to table: AssociationTable, owners: SlotOwners,
    progress: @escaping (String) -> Void
  ) {
    (self.former, self.table, self.owners) = (former, table, owners)
    self.progress = progress
    beginning = former.epoch
  }

  mutating func copyWhatFits() throws(BCCError) {
    beginning = former.epoch
    if table.isSingleBucket {
      let newest = try newest()
      count = insert(newest)
      entriesBefore = newest
      return report()
    }
    for ranks in former.rankGroups(fitting: table.maxAssociations) {
      try former.forEachBatch(ranks: ranks) { entries throws(BCCError) in
        count += insert(entries)
        report()
      }
    }
  }

  private func report() { progress("\(count) associations copied, the program of before serves") }

  private func insert(_ entries: [Entry<Key>]) -> Int {
    entries.map { ranked($0, byDefault: AssociationCopy.agedByDefault) }
      .withUnsafeBufferPointer { table.insert($0, owners: owners) }
  }

  /// Where it is not known how old they are, those that come later are newer than all of the first.
  private static var agedByDefault: UInt8 { 4 }

  /// An entry as the table ranks it.
  ///
  /// - Parameter age: of a client of whom it is not known, ranked by age.
  private func ranked(_ entry: Entry<Key>, byDefault age: UInt8) -> Entry<Key> {
    var entry = entry
    entry.rank =
      former.ranking.map { table.ranking.rank(entry.rank, of: $0) }
      ?? table.ranking.rank(age, of: .byAge)
    return table.admitted(entry)
  }

  mutating func copyRest() throws(BCCError) -> Int {
    // The former program is out of service, not out of work.
    GracePeriod.wait()
    var insertion = LateInsertion<Key>(table)
    if table.isSingleBucket { return try copyOrder(&insertion) }
    do {
      try insertLate(&insertion)
    } catch {
      // What was reserved is not left so.
      _ = insertion.settle()
      throw error
    }
    return count
  }

  private mutating func insertLate(_ insertion: inout LateInsertion<Key>) throws(BCCError) {
    // Those that were copied first are as much older now. No more than this: the oldest would look
    // new before packets that go round holding them have come to all.
    let most: UInt8 = table.ranking == .byAge ? 32 : 8
    table.control.advanceEpoch(by: UInt64(min(former.age(since: beginning), most)))
    for ranks in former.ranks(since: beginning) {
      try former.forEachBatch(ranks: ranks) { entries throws(BCCError) in
        for entry in entries {
          let entry = ranked(entry, byDefault: 0)
          if case .present(let place) = insertion.reserve(entry), former.ranking != nil {
            table.refresh(place, as: entry)
          }
          if insertion.count == AssociationCopy.batch { count += insertion.settle() }
        }
        progress("\(count) associations copied")
      }
    }
    count += insertion.settle()
    progress("\(count) associations copied")
  }

  // MARK: Into a single bucket

  /// As many as there is room for, in the order of use.
  private func newest() throws(BCCError) -> [Entry<Key>] {
    var newest: [Entry<Key>] = []
    for ranks in former.rankGroups(fitting: table.maxAssociations)
    where newest.count < table.maxAssociations {
      var entries: [Entry<Key>] = []
      try former.forEachBatch(ranks: ranks) { batch throws(BCCError) in
        entries += batch
        // No more of them than are of use.
        entries = Array(entries.sorted { $0.rank < $1.rank }.prefix(table.maxAssociations))
      }
      newest += entries
    }
    return Array(newest.prefix(table.maxAssociations))
  }

  /// Makes the single bucket's clients and their order those of the former table, but for those whom
  /// packets have brought meanwhile: they are newer.
  private func copyOrder(_ insertion: inout LateInsertion<Key>) throws(BCCError) -> Int {
    var newest = try newest()
    var newcomers: [Entry<Key>] = []
    table.forEach(Key.self, inBuckets: 0..<1, owners: owners) { entry in
      let isKnown = (entriesBefore + newest).contains { $0.isOfSameClient(as: entry) }
      if !isKnown { newcomers.append(entry) }
    }
    newcomers.sort { $0.rank < $1.rank }
    newest = Array(newest.prefix(table.maxAssociations - newcomers.count))
    var leaving = entriesBefore.filter { entry in
      !newest.contains { $0.isOfSameClient(as: entry) }
    }
    for entry in newest where insertion.reserve(entry) == .noRoom {
      // The last of those in the order of use.
      guard let last = leaving.popLast() else { break }
      table.forget(last.client, of: last.virtualServer)
      _ = insertion.reserve(entry)
    }
    _ = insertion.settle()
    for entry in (newcomers + newest).reversed() {
      if let place = table.find(table.hash(entry)) { table.putFirst(place) }
    }
    return newest.count { table.find($0.client, of: $0.virtualServer) != nil }
  }
}
