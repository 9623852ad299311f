// In which order the tables are gone through for who was used least recently. Knows no filter.
import LoadBalancing

/// Goes through the buckets of all tables once for each age, from the oldest on, some at a time.
///
/// Epochs may pass meanwhile, and what was not used becomes older with each: the walk follows. What is
/// used after its age has had its turn is met again, as is, where an epoch passes, what cannot get
/// older; nothing that stays in its place is left out. A single bucket, whose ages are ranks that each
/// packet changes, is one piece.
struct IdleWalk {
  /// Some buckets of a table, and how old what is looked for in them is.
  struct Piece {
    let family: AddressFamily
    let buckets: Range<Int>
    /// Where there are several, the oldest are asked for first.
    let ages: ClosedRange<UInt8>
    /// The epoch in which the ages are right; `nil` where they always are.
    let epoch: UInt64?
  }

  /// What was met in a table: all that had this age or a greater one in that epoch.
  private struct Met {
    var age = Int(AssociationTable.oldestAge) + 1
    var epoch: UInt64
  }

  private struct Pass {
    let family: AddressFamily
    let ages: ClosedRange<Int>
    let epoch: UInt64
    let isOrdered: Bool
    var bucket = 0
  }

  private static let atOnce = 1 << 10
  /// After so many the rest is met in whatever order it stands: epochs pass faster than the tables can
  /// be gone through.
  private static let mostPasses =
    2 * AddressFamily.allCases.count * (Int(AssociationTable.oldestAge) + 1)
  /// As often may the oldest of a table be met again.
  private static let mostRestarts = 2

  private var met: [AddressFamily: Met] = [:]
  private var pass: Pass?
  private var passes = 0
  private var restarts = 0

  mutating func next(_ tables: [AddressFamily: AssociationTable]) -> Piece? {
    while let pass = pass ?? nextPass(tables) {
      guard let table = tables[pass.family], pass.bucket < table.bucketCount else {
        self.pass = nil
        continue
      }
      let end = min(pass.bucket + Self.atOnce, table.bucketCount)
      self.pass = pass
      self.pass?.bucket = end
      guard pass.isOrdered else {
        return Piece(
          family: pass.family, buckets: pass.bucket..<end, ages: 0...AssociationTable.oldestAge,
          epoch: nil)
      }
      let epoch = Self.epoch(of: table)
      let ages = [pass.ages.lowerBound, pass.ages.upperBound].map {
        UInt8(min($0 + Self.epochs(from: pass.epoch, to: epoch), Int(AssociationTable.oldestAge)))
      }
      // Behind the last, what was used since belongs to it.
      return Piece(
        family: pass.family, buckets: pass.bucket..<end,
        ages: (pass.ages.lowerBound == 0 ? 0 : ages[0])...ages[1], epoch: epoch)
    }
    return nil
  }

  private mutating func nextPass(_ tables: [AddressFamily: AssociationTable]) -> Pass? {
    passes += 1
    for (family, table) in tables {
      let epoch = Self.epoch(of: table)
      var met = met[family] ?? Met(epoch: epoch)
      let older = Self.epochs(from: met.epoch, to: epoch)
      // What is of the greatest age is no longer told apart from what became so since.
      // With age 0 all was met, whatever passes from then on.
      if older > 0, met.age > 0, met.age <= AssociationTable.oldestAge {
        met.age = min(met.age + older, Int(AssociationTable.oldestAge) + 1)
        if met.age > AssociationTable.oldestAge { restarts += 1 }
      }
      met.epoch = epoch
      self.met[family] = met
    }
    let next = AddressFamily.allCases.compactMap { family in
      tables[family] == nil ? nil : met[family].map { (family: family, met: $0) }
    }.max { $0.met.age < $1.met.age }
    guard let next, next.met.age > 0 else { return nil }
    let oldest = next.met.age - 1
    let isOrdered =
      passes <= Self.mostPasses && restarts <= Self.mostRestarts
      && tables[next.family]?.isSingleBucket == false
    let ages = (isOrdered ? oldest : 0)...oldest
    met[next.family]?.age = ages.lowerBound
    return Pass(family: next.family, ages: ages, epoch: next.met.epoch, isOrdered: isOrdered)
  }

  /// Ages of a single bucket are ranks, which no epoch changes.
  private static func epoch(of table: AssociationTable) -> UInt64 {
    table.isSingleBucket ? 0 : table.control.fullEpoch
  }

  private static func epochs(from former: UInt64, to epoch: UInt64) -> Int {
    Int(clamping: epoch - min(former, epoch))
  }
}
