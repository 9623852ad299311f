// Takes associations from the tables of a process that was here before into those of this one.
import BCC
import LoadBalancing

/// One copy of associations, in two steps: before this process's tables serve, when nothing may be
/// taken from the former ones, and after that.
protocol AssociationCopying {
  /// Copies what fits, and takes nothing from the former table, which is in service.
  mutating func copyWhatFits() throws(BCCError)

  /// Copies what clients did with the former program while the new tables were filled, and where
  /// not all fit, those that spoke last. To be called once the former tables are out of service.
  ///
  /// - Returns: how many associations of the former table the new one has.
  mutating func copyRest() throws(BCCError) -> Int
}

/// A copy between tables of the former ones' family.
///
/// - Parameters:
///   - plan: the slots that the associations of `tables` point into.
///   - progress: is told again and again how far it is, as a copy may take long.
func makeAssociationCopy(
  from former: KeptTables, to tables: Tables, plan: ServerPlan,
  progress: @escaping (String) -> Void
) throws(BCCError) -> any AssociationCopying {
  func make<Layout: FamilyLayout>(_ layout: Layout.Type) throws(BCCError)
    -> any AssociationCopying
  {
    try AssociationCopy<Layout>(from: former, to: tables, plan: plan, progress: progress)
  }
  return try make(former.family.layout)
}

private struct AssociationCopy<Layout: FamilyLayout>: AssociationCopying {
  private let former: TypedTable<Layout.FlowKey, UInt64>
  private let slots: [ServerPlan.Slot?]
  private let table: TypedTable<Layout.FlowKey, UInt64>
  private let plan: ServerPlan
  private let progress: (String) -> Void
  /// Whether all that the former table had was copied before the swap.
  private var isWhole = true
  private var count = 0

  /// How many are read at once.
  private static var batch: Int { 1 << 15 }

  init(
    from former: KeptTables, to tables: Tables, plan: ServerPlan,
    progress: @escaping (String) -> Void
  ) throws(BCCError) {
    self.former = try TypedTable(former.tables[.associations])
    slots = former.servers.slots
    table = try TypedTable(tables[.associations])
    self.plan = plan
    self.progress = progress
  }

  mutating func copyWhatFits() throws(BCCError) {
    let room = table.table.undisputedCapacity
    try forEachBatch { copy, keys, leaves throws(BCCError) in
      let fitting = Swift.min(keys.count, room - copy.count)
      if fitting < keys.count { copy.isWhole = false }
      try copy.table.update(
        keys: Array(keys.prefix(fitting)), leaves: Array(leaves.prefix(fitting)))
      copy.count += fitting
      copy.progress("\(copy.count) associations copied, the program of before serves")
      return copy.isWhole
    }
  }

  mutating func copyRest() throws(BCCError) -> Int {
    if !isWhole {
      try evictOldest(leaving: table.table.undisputedCapacity)
      count = 0
    }
    try forEachBatch { copy, keys, leaves throws(BCCError) in
      for (key, leaf) in zip(keys, leaves) { try copy.add(key, leaf) }
      copy.progress("\(copy.count) associations copied")
      return true
    }
    return count
  }

  /// Adds a client that the table does not know. Where not all fit, one that it knows is set once
  /// more, so that those that go for the others are not among those that spoke last.
  private mutating func add(_ key: Layout.FlowKey, _ leaf: UInt64) throws(BCCError) {
    if try table.insert(key, leaf) {
      count += 1
    } else if !isWhole {
      // A client that was given another server meanwhile stays there.
      if table.lookup(key) == leaf { try table.update(key, leaf) }
      count += 1
    }
  }

  /// Hands over the former table's associations with the leaves that they have in the new one, as
  /// long as `body` says to go on. Those whose real server is no longer listed are left out.
  private mutating func forEachBatch(
    _ body: (inout AssociationCopy, [Layout.FlowKey], [UInt64]) throws(BCCError) -> Bool
  ) throws(BCCError) {
    let generations = AssociationLeaf.generations(slots)
    let newLeaves = slots.map { slot in
      slot.flatMap { AssociationLeaf.leaf(for: $0.address, in: plan) }
    }
    var reader = BatchReader(former, limit: AssociationCopy.batch)
    while let (keys, leaves) = try reader.next() {
      var known: [Layout.FlowKey] = []
      var leavesOfKnown: [UInt64] = []
      for (key, leaf) in zip(keys, leaves) {
        guard let slot = AssociationLeaf.slot(of: leaf, generations: generations),
          let newLeaf = newLeaves[slot]
        else { continue }
        known.append(key)
        leavesOfKnown.append(newLeaf)
      }
      guard try body(&self, known, leavesOfKnown) else { return }
    }
  }

  /// Makes room in the former table until what is left fits a smaller one.
  ///
  /// The kernel does not tell in which order the entries were used, but it knows: for fillers that
  /// are put in, it evicts the least recently used, in batches and for each CPU apart. Fillers are
  /// taken out again, as they would soon be all that it looks at: it lets entries that were used
  /// more than once grow old only while they are the greater part.
  private mutating func evictOldest(leaving capacity: Int) throws(BCCError) {
    var left = try countFormer()
    for _ in 0..<32 where left > capacity {
      var copy = self
      try onEachCPU { () throws(BCCError) in
        guard left > capacity else { return }
        try copy.fillFormer(UInt32(former.table.capacity - capacity))
        left = try copy.countFormer()
      }
    }
  }

  private func fillFormer(_ count: UInt32) throws(BCCError) {
    for start in stride(from: 0, to: count, by: AssociationCopy.batch) {
      let keys = (start..<min(count, start + UInt32(AssociationCopy.batch)))
        .map { Layout.fillerKey($0) }
      try former.update(keys: keys, leaves: [UInt64](repeating: 0, count: keys.count))
      progress("looking for the clients that spoke last")
    }
    for number in 0..<count {
      try former.remove(Layout.fillerKey(number))
      if number.isMultiple(of: UInt32(AssociationCopy.batch)) {
        progress("looking for the clients that spoke last")
      }
    }
  }

  private mutating func countFormer() throws(BCCError) -> Int {
    var count = 0
    try forEachBatch { copy, keys, _ throws(BCCError) in
      count += keys.count
      copy.progress("looking for the clients that spoke last")
      return true
    }
    return count
  }
}
