// Tables that another process has kept, looked through before anything believes what they say.
import BCC
import LoadBalancing

/// A whole set of tables of a process that was here before. What they say can be relied on: types
/// and sizes are the layout's, and the plan that is in force is one that ulb can have written.
public enum KeptTables: Sendable {
  /// Those that a program of this ulb can use.
  case present(PresentTables)
  /// Those of which the associations can be read.
  case former(FormerTables)

  /// Why a set of tables is not used.
  struct Refusal: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
    init(_ name: TableName, is found: TableShape, not expected: TableShape) {
      self.init("\(name.rawValue) is \(found), not \(expected)")
    }
  }

  /// Looks through tables that another process has made.
  ///
  /// - Parameter kept: by the names that the template declares them by, or those of former versions.
  init(_ kept: [TableName: Table]) throws(Refusal) {
    guard let control = kept[.control] else { throw Refusal("they are not whole without control") }
    do {
      if let version = FormerTables.version(of: control) {
        self = .former(try FormerTables(kept, version: version))
      } else {
        self = .present(try PresentTables(kept, control: control))
      }
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      throw Refusal("\(error)")
    }
  }

  var family: AddressFamily {
    switch self {
    case .present(let tables): tables.family
    case .former(let tables): tables.family
    }
  }

  var roundPosition: RoundPosition {
    switch self {
    case .present(let tables): tables.roundPosition
    case .former(let tables): tables.roundPosition
    }
  }

  // MARK: What is checked of any version

  /// Those of a set of tables that a version has.
  static func whole(_ kept: [TableName: Table], _ names: [TableName]) throws(Refusal) -> Tables {
    guard let tables = Tables(kept: kept, names: names) else {
      let missing = names.filter { kept[$0] == nil }.map(\.rawValue)
      throw Refusal("they are not whole without \(missing.joined(separator: ", "))")
    }
    return tables
  }

  /// The family with keys of so many bytes in some table.
  ///
  /// - Parameter keys: what the keys are, for a refusal.
  static func family(
    ofKeys keys: String, bytes: Int, _ size: (any FamilyLayout.Type) -> Int
  ) throws(Refusal) -> AddressFamily {
    guard let family = AddressFamily.allCases.first(where: { size($0.layout) == bytes }) else {
      throw Refusal("\(keys) of \(bytes) bytes are of neither family")
    }
    return family
  }

  /// Types, sizes and flags. No entry may be read before: the kernel writes as many bytes as the
  /// table's own type and size say.
  static func check(
    _ tables: Tables, _ shape: (TableName) -> TableShape
  ) throws(Refusal) {
    for (name, table) in tables.all {
      let (found, expected) = (TableShape(table), shape(name))
      guard found == expected else {
        throw Refusal(name, is: found, not: expected)
      }
    }
  }

  /// Checks how many entries the tables of real servers have.
  ///
  /// - Parameters:
  ///   - slotCount: that of the longest list that rounds has room for.
  ///   - single: tables of one entry.
  static func checkSizes(
    _ tables: Tables, mostRealServers: Int, slotCount: (UInt32) -> Int, single: [TableName]
  ) throws(Refusal) {
    let slots = tables[.slotOfAddress].capacity
    guard (1...mostRealServers).contains(tables.maxRealServers),
      tables[.rounds].capacity == 2 * (1 + tables.maxRealServers),
      slots == slotCount(UInt32(tables.maxRealServers)),
      tables[.realServers].capacity == 2 * slots,
      single.allSatisfy({ tables[$0].capacity == 1 })
    else {
      let sizes = tables.all.map { "\($0.name.rawValue) \($0.table.capacity)" }
      throw Refusal("their sizes do not fit together: \(sizes.joined(separator: ", "))")
    }
  }

  static func check(bank: UInt32) throws(Refusal) {
    guard bank <= 1 else { throw Refusal("control tells of a bank \(bank)") }
  }

  /// The round of a bank: numbers of slots.
  ///
  /// - Parameter slots: those that were ever used.
  static func readRound<Slot>(
    _ tables: Tables, bank: UInt32, slots: [Slot], isListed: (Slot) -> Bool
  ) throws -> [UInt32] {
    let rounds = try TypedTable<UInt32, UInt32>(tables[.rounds])
    let start = bank * UInt32(1 + tables.maxRealServers)
    let length = rounds.lookup(start) ?? 0
    guard length <= tables.maxRealServers else {
      throw Refusal("a round of \(length) turns is longer than rounds has room for")
    }
    var round: [UInt32] = []
    for turn in 0..<length {
      let slot = rounds.lookup(start + 1 + turn) ?? .max
      guard slot < slots.count, isListed(slots[Int(slot)]) else {
        throw Refusal("turn \(turn) of the round is of a slot without a real server: \(slot)")
      }
      round.append(slot)
    }
    guard Set(round).count == slots.count(where: isListed) else {
      throw Refusal("a listed real server has no turn in the round")
    }
    return round
  }
}
