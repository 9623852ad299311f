// In which order the tables are gone through for who is forgotten next. Knows no filter.
import LoadBalancing

/// Goes through the buckets of all tables once for each age of a class, from the oldest newcomers on,
/// some at a time. Those who were answered are met in one pass: their ages change each half second.
///
/// Epochs may pass meanwhile, and what was not used becomes older with each: the walk follows. What is
/// used after its age has had its turn is met again, as is, where an epoch passes, what cannot get
/// older; nothing that stays in its place is left out. A single bucket, whose ages are ranks that each
/// packet changes, is one piece.
struct IdleWalk {
  /// Some buckets of a table, and how old what is looked for in them is.
  struct Piece {
    let family: AddressFamily
    let clientClass: ClientClass
    let buckets: Range<Int>
    /// Where there are several, the highest are asked for first.
    let ranks: ClosedRange<UInt8>
    /// The epoch in which the ranks are right; `nil` where they always are.
    let epoch: UInt64?
  }

  /// Whose turns come one after the other: clients of one class of a family.
  private struct Line: Hashable {
    let family: AddressFamily
    let clientClass: ClientClass
  }

  /// What was met of a line: all that had this age or a greater one in that epoch.
  private struct Met {
    var age: Int
    var epoch: UInt64
  }

  private struct Pass {
    let line: Line
    let ages: ClosedRange<Int>
    let epoch: UInt64
    let isOrdered: Bool
    var bucket = 0
  }

  private static let atOnce = 1 << 10
  /// In which order the classes are met.
  private static let classes: [ClientClass] = [.newcomer, .answered, .resident]
  /// After so many the rest is met in whatever order it stands: epochs pass faster than the tables can
  /// be gone through.
  private static let mostPasses =
    2 * AddressFamily.allCases.count * (Int(Ranking.byAge.oldestAge) + 1)
  /// As often may the oldest of a table be met again.
  private static let mostRestarts = 2

  private var met: [Line: Met] = [:]
  private var pass: Pass?
  private var passes = 0
  private var restarts = 0

  mutating func next(_ tables: [AddressFamily: AssociationTable]) -> Piece? {
    while let pass = pass ?? nextPass(tables) {
      let (family, clientClass) = (pass.line.family, pass.line.clientClass)
      guard let table = tables[family], pass.bucket < table.bucketCount else {
        self.pass = nil
        continue
      }
      let end = min(pass.bucket + Self.atOnce, table.bucketCount)
      self.pass = pass
      self.pass?.bucket = end
      func piece(_ ages: ClosedRange<UInt8>, _ epoch: UInt64?) -> Piece {
        let ranking = table.ranking
        return Piece(
          family: family, clientClass: clientClass, buckets: pass.bucket..<end,
          ranks: ranking.rank(
            clientClass, age: ages.lowerBound)...ranking.rank(clientClass, age: ages.upperBound),
          epoch: epoch)
      }
      let oldest = table.ranking.oldestAge
      guard pass.isOrdered else { return piece(0...oldest, nil) }
      let epoch = Self.epoch(of: clientClass, table)
      let ages = [pass.ages.lowerBound, pass.ages.upperBound].map {
        UInt8(min($0 + Self.epochs(from: pass.epoch, to: epoch), Int(oldest)))
      }
      // Behind the last, what was used since belongs to it.
      return piece((pass.ages.lowerBound == 0 ? 0 : ages[0])...ages[1], epoch)
    }
    return nil
  }

  private mutating func nextPass(_ tables: [AddressFamily: AssociationTable]) -> Pass? {
    passes += 1
    for (family, table) in tables {
      let oldest = Int(table.ranking.oldestAge)
      for clientClass in Self.classes(of: table) {
        let line = Line(family: family, clientClass: clientClass)
        let epoch = Self.epoch(of: clientClass, table)
        var met = met[line] ?? Met(age: oldest + 1, epoch: epoch)
        let older = Self.epochs(from: met.epoch, to: epoch)
        // What is of the greatest age is no longer told apart from what became so since.
        // With age 0 all was met, whatever passes from then on.
        if older > 0, met.age > 0, met.age <= oldest {
          met.age = min(met.age + older, oldest + 1)
          if met.age > oldest { restarts += 1 }
        }
        met.epoch = epoch
        self.met[line] = met
      }
    }
    guard let (line, met) = nextLine(tables), let table = tables[line.family] else { return nil }
    let oldest = met.age - 1
    let isOrdered =
      passes <= Self.mostPasses && restarts <= Self.mostRestarts
      && !table.isSingleBucket && line.clientClass != .answered
    let ages = (isOrdered ? oldest : 0)...oldest
    self.met[line]?.age = ages.lowerBound
    return Pass(line: line, ages: ages, epoch: met.epoch, isOrdered: isOrdered)
  }

  /// Of the first class of which not all are met the line whose oldest are the oldest.
  private func nextLine(
    _ tables: [AddressFamily: AssociationTable]
  ) -> (line: Line, met: Met)? {
    for clientClass in Self.classes {
      let next = AddressFamily.allCases.compactMap { family in
        let line = Line(family: family, clientClass: clientClass)
        return tables[family] == nil ? nil : met[line].map { (line: line, met: $0) }
      }.max { $0.met.age < $1.met.age }
      if let next, next.met.age > 0 { return next }
    }
    return nil
  }

  /// Those that clients of a table can be of.
  private static func classes(of table: AssociationTable) -> [ClientClass] {
    table.ranking == .byClass ? classes : [.newcomer]
  }

  /// What the ages of a class count from. Ages of a single bucket are ranks, which no epoch changes.
  static func epoch(of clientClass: ClientClass, _ table: AssociationTable) -> UInt64 {
    switch clientClass {
    case _ where table.isSingleBucket: 0
    case .newcomer: table.control.fullEpoch
    case .resident: table.control.promotionEpoch
    case .answered: 0
    }
  }

  private static func epochs(from former: UInt64, to epoch: UInt64) -> Int {
    Int(clamping: epoch - min(former, epoch))
  }
}
