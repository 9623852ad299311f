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
///   - plan: the slots that the associations of `table` lead to.
///   - progress: is told again and again how far it is, as a copy may take long.
func makeAssociationCopy(
  from former: KeptTables, to table: AssociationTable, plan: ServerPlan,
  progress: @escaping (String) -> Void
) throws(BCCError) -> any AssociationCopying {
  func copy<Former: FormerAssociations>(_ former: Former) -> any AssociationCopying {
    AssociationCopy(from: former, to: table, progress: progress)
  }
  // Each knows its types: a million are copied.
  switch (former, former.family) {
  case (.present(let tables), .ipv4):
    return copy(try SharedFormerAssociations<IPv4ClientKey>(tables, to: plan))
  case (.present(let tables), .ipv6):
    return copy(try SharedFormerAssociations<IPv6ClientKey>(tables, to: plan))
  case (.former(let tables), .ipv4):
    return copy(
      try HashedFormerAssociations<IPv4ClientKey, _>(tables, FormerIPv4Layout.self, to: plan))
  case (.former(let tables), .ipv6):
    return copy(
      try HashedFormerAssociations<IPv6ClientKey, _>(tables, FormerIPv6Layout.self, to: plan))
  }
}

/// A copy whose types are known.
struct AssociationCopy<Former: FormerAssociations>: AssociationCopying {
  private typealias Key = Former.Key

  private let former: Former
  private let table: AssociationTable
  private let progress: (String) -> Void
  private var count = 0
  /// When the first step began, by the former table's epoch.
  private var beginning: UInt64
  /// The clients that the first step has put into a single bucket.
  private var clientsBefore: [Key] = []

  /// How many are inserted with one wait for packets.
  private static var batch: Int { 1 << 15 }

  init(from former: Former, to table: AssociationTable, progress: @escaping (String) -> Void) {
    (self.former, self.table, self.progress) = (former, table, progress)
    beginning = former.epoch
  }

  mutating func copyWhatFits() throws(BCCError) {
    beginning = former.epoch
    if table.isSingleBucket {
      let newest = try newest()
      count = insert(newest)
      clientsBefore = newest.map(\.client)
      return report()
    }
    for ages in former.ageGroups(fitting: table.maxAssociations) {
      try former.forEachBatch(ages: ages) { entries throws(BCCError) in
        count += insert(entries)
        report()
      }
    }
  }

  private func report() { progress("\(count) associations copied, the program of before serves") }

  private func insert(_ entries: [Entry<Key>]) -> Int {
    // Where ages are not known, those that come later are newer than all of these.
    let entries =
      former.tellsAges ? entries : entries.map { Entry(client: $0.client, slot: $0.slot, age: 1) }
    return entries.withUnsafeBufferPointer { table.insert($0) }
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
    let age = former.age(since: beginning)
    // Those that were copied first are as much older now. No more than this: the oldest would look
    // new before packets that go round holding them have come to all.
    table.control.advanceEpoch(by: UInt64(min(age, 32)))
    try former.forEachBatch(ages: 0...age) { entries throws(BCCError) in
      for entry in entries {
        if case .present(let place) = insertion.reserve(entry), former.tellsAges {
          table.refresh(place, age: entry.age)
        }
        if insertion.count == AssociationCopy.batch { count += insertion.settle() }
      }
      progress("\(count) associations copied")
    }
    count += insertion.settle()
    progress("\(count) associations copied")
  }

  // MARK: Into a single bucket

  /// As many as there is room for, in the order of use.
  private func newest() throws(BCCError) -> [Entry<Key>] {
    var newest: [Entry<Key>] = []
    for ages in former.ageGroups(fitting: table.maxAssociations)
    where newest.count < table.maxAssociations {
      var entries: [Entry<Key>] = []
      try former.forEachBatch(ages: ages) { batch throws(BCCError) in
        entries += batch
        // No more of them than are of use.
        entries = Array(entries.sorted { $0.age < $1.age }.prefix(table.maxAssociations))
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
    table.forEach(Key.self, inBuckets: 0..<1) { entry in
      let isCopied = clientsBefore.contains(entry.client)
      if !isCopied && !newest.contains(where: { $0.client == entry.client }) {
        newcomers.append(entry)
      }
    }
    newcomers.sort { $0.age < $1.age }
    newest = Array(newest.prefix(table.maxAssociations - newcomers.count))
    var leaving = clientsBefore.filter { client in !newest.contains { $0.client == client } }
    for entry in newest where insertion.reserve(entry) == .noRoom {
      // The last of those in the order of use.
      guard let last = leaving.popLast() else { break }
      table.forget(last)
      _ = insertion.reserve(entry)
    }
    _ = insertion.settle()
    for entry in (newcomers + newest).reversed() {
      if let place = table.find(table.hash(entry.client)) { table.putFirst(place) }
    }
    return newest.count { table.find($0.client) != nil }
  }
}
