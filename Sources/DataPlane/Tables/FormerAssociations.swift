// The associations of tables that a process before this one has made, as they are to be in this one's.
import BCC
import CLayout
import LoadBalancing

/// Associations that are copied: their slots are the new table's, and those whose real server is not
/// listed there are left out.
protocol FormerAssociations {
  associatedtype Key: ClientKey

  /// By what they are ranked; `nil` where it is not known which of them were used last.
  var ranking: Ranking? { get }

  /// Ranks in which all of them are, the lowest first. In one of them there is no order.
  ///
  /// - Parameter capacity: one is enough where there are no more than so many.
  func rankGroups(fitting capacity: Int) -> [ClosedRange<UInt8>]

  /// How far ages have come, in epochs.
  var epoch: FormerEpoch { get }

  /// How old newcomers are at most that were made or used since.
  ///
  /// - Parameter epoch: what ``epoch`` was then.
  func age(since epoch: FormerEpoch) -> UInt8

  /// Which ranks those have that were made or used since, the lowest first.
  ///
  /// - Parameter epoch: what ``epoch`` was then.
  func ranks(since epoch: FormerEpoch) -> [ClosedRange<UInt8>]

  /// Hands them over, some at a time.
  func forEachBatch(
    ranks: ClosedRange<UInt8>, _ body: ([Entry<Key>]) throws(BCCError) -> Void
  ) throws(BCCError)
}

/// What the ages of a former table are counted from.
struct FormerEpoch: Sendable, Hashable {
  var insertions: UInt64 = 0
  var promotions: UInt64 = 0
  var halfSeconds: UInt64 = 0
}

/// What the slots of a former table are in a new one, whose virtual servers have the same numbers.
struct SlotTranslation {
  /// Whose clients the former table's words are of.
  let owners: SlotOwners
  /// By the former slot; `nil` for one whose real server does not serve any more.
  fileprivate let slots: [UInt16?]

  /// - Parameter members: of the former table's slots.
  init(_ members: [SlotPlan.Member?], to plan: ServicePlan, _ family: AddressFamily) {
    owners = SlotOwners(members.map { $0?.virtualServer })
    slots = members.map { member in
      member.flatMap { plan.servingSlot(of: $0.address, $0.virtualServer, family) }
    }
  }

  /// That of a former version, which had one virtual server: the command line's.
  init(_ former: FormerTables, to plan: ServicePlan) {
    self.init(
      former.slots.map { SlotPlan.Member(virtualServer: 0, address: $0.address) }, to: plan,
      former.family)
  }

  @inline(__always)
  fileprivate subscript(slot: UInt16) -> UInt16? {
    Int(slot) < slots.count ? slots[Int(slot)] : nil
  }
}

/// Those of a table whose buckets are today's, but whose size or version is not.
struct SharedFormerAssociations<Key: ClientKey>: FormerAssociations {
  private let table: AssociationTable
  private let translation: SlotTranslation

  init(_ table: AssociationTable, _ translation: SlotTranslation) {
    (self.table, self.translation) = (table, translation)
  }

  var ranking: Ranking? { table.ranking }
  var epoch: FormerEpoch {
    FormerEpoch(
      insertions: table.control.fullEpoch, promotions: table.control.promotionEpoch,
      halfSeconds: Admissions.halfSeconds)
  }

  func rankGroups(fitting capacity: Int) -> [ClosedRange<UInt8>] {
    let counts = table.countRanks()
    let total = counts.reduce(0, +)
    guard total > capacity && !table.isSingleBucket else { return [0...table.ranking.highest] }
    // Each costs a look at all buckets: a few, with about as many associations in each.
    let most = 16
    var groups: [ClosedRange<UInt8>] = []
    var (first, count) = (0, 0)
    for rank in counts.indices {
      count += counts[rank]
      if count * most >= total || rank == counts.count - 1 {
        groups.append(UInt8(first)...UInt8(rank))
        (first, count) = (rank + 1, 0)
      }
    }
    return groups
  }

  func age(since epoch: FormerEpoch) -> UInt8 {
    // Ranks of a single bucket tell nothing of time: any of them may have changed.
    if table.isSingleBucket { return UInt8(SharedBucket.places) }
    return UInt8(
      min(self.epoch.insertions &- epoch.insertions, UInt64(table.ranking.oldestAge)))
  }

  func ranks(since epoch: FormerEpoch) -> [ClosedRange<UInt8>] {
    let (ranking, now) = (table.ranking, self.epoch)
    func range(_ clientClass: ClientClass, _ epochs: UInt64) -> ClosedRange<UInt8> {
      let age = UInt8(min(epochs, UInt64(ranking.oldestAge)))
      return ranking.rank(clientClass, age: 0)...ranking.rank(clientClass, age: age)
    }
    let newcomers = range(.newcomer, UInt64(age(since: epoch)))
    guard ranking == .byClass else { return [newcomers] }
    return [
      range(.resident, now.promotions &- epoch.promotions),
      // Of two that are half a second apart either may count as the later.
      range(.answered, now.halfSeconds &- epoch.halfSeconds + 2), newcomers,
    ]
  }

  func forEachBatch(
    ranks: ClosedRange<UInt8>, _ body: ([Entry<Key>]) throws(BCCError) -> Void
  ) throws(BCCError) {
    for piece in table.pieces {
      var entries: [Entry<Key>] = []
      table.forEach(Key.self, inBuckets: piece, owners: translation.owners, ranks: ranks) { entry in
        guard let slot = translation[entry.slot] else { return }
        var entry = entry
        entry.slot = slot
        entries.append(entry)
      }
      try body(entries)
    }
  }
}

/// Those of versions 1 and 2, an LRU hash: in which order they were used, the kernel keeps to itself.
struct HashedFormerAssociations<Key: ClientKey, Layout: FormerLayout>: FormerAssociations {
  private let table: TypedTable<Layout.FlowKey, UInt64>
  private let generations: [UInt32]
  private let translation: SlotTranslation

  /// How many are read at once.
  private static var batch: Int { 1 << 15 }

  /// - Parameter slots: those that the table's associations lead to.
  init(
    _ table: Table, _ layout: Layout.Type, _ slots: [FormerTables.Slot],
    _ translation: SlotTranslation
  ) throws(BCCError) {
    self.table = try TypedTable(table)
    generations = slots.map(\.generation)
    self.translation = translation
  }

  var ranking: Ranking? { nil }
  var epoch: FormerEpoch { FormerEpoch() }

  func rankGroups(fitting capacity: Int) -> [ClosedRange<UInt8>] { [0...0] }
  func age(since epoch: FormerEpoch) -> UInt8 { 0 }
  func ranks(since epoch: FormerEpoch) -> [ClosedRange<UInt8>] { [0...0] }

  func forEachBatch(
    ranks: ClosedRange<UInt8>, _ body: ([Entry<Key>]) throws(BCCError) -> Void
  ) throws(BCCError) {
    var reader = BatchReader(table, limit: HashedFormerAssociations.batch)
    while let (keys, leaves) = try reader.next() {
      var entries: [Entry<Key>] = []
      for (client, leaf) in zip(Layout.clients(keys), leaves) {
        guard let slot = slot(of: leaf) else { continue }
        entries.append(Entry(client: Key(client), virtualServer: 0, slot: slot, rank: 0))
      }
      try body(entries)
    }
  }

  /// `nil` too where the slot was given to another real server since, as the generation tells.
  private func slot(of leaf: UInt64) -> UInt16? {
    let leaf = former_association(word: leaf)
    let slot = Int(leaf.server)
    guard leaf.generation != 0, slot < generations.count, generations[slot] == leaf.generation
    else { return nil }
    return translation[UInt16(truncatingIfNeeded: slot)]
  }
}
