// The tables that hold what must live on when a program is exchanged for another.
import BCC
import CLayout
import LoadBalancing

/// The one place for the names of tables: those by which the template declares them.
enum TableName: String, CaseIterable {
  /// Client → real server.
  case associations
  /// Two banks of slots.
  case realServers = "real_servers"
  /// Address → slot.
  case slotOfAddress = "slot_of_address"
  /// Two banks of turns.
  case rounds
  /// The index in the round that the next new client is given.
  case roundPosition = "round_position"
  /// Which bank is in force, and the layout's version.
  case control

  /// The table of a name by which a process may have kept it.
  init?(kept name: String) {
    switch name {
    // Those of layout version 1.
    case "real_server_ids": self = .slotOfAddress
    case "cursor": self = .roundPosition
    default: self.init(rawValue: name)
    }
  }
}

/// The tables of the packet path that outlive the program that was loaded with them.
public struct Tables: Sendable {
  private let tables: [TableName: Table]

  /// That of the layouts that this program was built with.
  static let layoutVersion = UInt32(LAYOUT_VERSION)

  /// Those of a module that has just been compiled.
  init(of module: Module) throws(BCCError) {
    var tables: [TableName: Table] = [:]
    for name in TableName.allCases { tables[name] = try module.table(name.rawValue) }
    self.tables = tables
  }

  /// Those that another process has kept; `nil` where one is missing.
  init?(kept: [TableName: Table]) {
    guard TableName.allCases.allSatisfy({ kept[$0] != nil }) else { return nil }
    tables = kept
  }

  subscript(name: TableName) -> Table {
    // Each initialiser has seen to it that none is missing.
    tables[name]!
  }

  /// Each with its name.
  var all: [(name: TableName, table: Table)] { TableName.allCases.map { ($0, self[$0]) } }

  /// The longest list of real servers that can be counted: two banks of twice as many slots in 32
  /// bits.
  static let mostRealServers = 1 << 28

  /// The longest list of real servers that the tables were made for.
  var maxRealServers: Int { self[.rounds].capacity / 2 - 1 }
}

/// What a layout says of a table.
struct TableShape: Equatable, CustomStringConvertible {
  /// `enum bpf_map_type`.
  let type: UInt32
  /// In bytes.
  let keySize, leafSize: Int
  let flags: UInt32

  init(_ type: Table.Kind, keySize: Int, leafSize: Int) {
    (self.type, flags) = (type.rawValue, 0)
    (self.keySize, self.leafSize) = (keySize, leafSize)
  }

  /// That of a table as it is.
  init(_ table: Table) {
    (type, flags) = (table.type, table.flags)
    (keySize, leafSize) = (table.keySize, table.leafSize)
  }

  var description: String {
    "of type \(type) with \(keySize) + \(leafSize) bytes and flags \(flags)"
  }
}

/// The tables of one family with their types.
struct TypedTables<Layout: FamilyLayout>: Sendable {
  let associations: TypedTable<Layout.FlowKey, UInt64>
  let realServers: TypedTable<UInt32, Layout.RealServer>
  let slotOfAddress: TypedTable<Layout.AddressKey, UInt32>
  let rounds: TypedTable<UInt32, UInt32>
  let roundPosition: TypedTable<UInt32, UInt64>
  let control: TypedTable<UInt32, former_control>

  /// - Throws: where one of them has other sizes.
  init(_ tables: Tables) throws(BCCError) {
    associations = try TypedTable(tables[.associations])
    realServers = try TypedTable(tables[.realServers])
    slotOfAddress = try TypedTable(tables[.slotOfAddress])
    rounds = try TypedTable(tables[.rounds])
    roundPosition = try TypedTable(tables[.roundPosition])
    control = try TypedTable(tables[.control])
  }

  /// What the template declares.
  static func shape(of name: TableName) -> TableShape {
    func shape<Key, Leaf>(
      _ type: Table.Kind, _ table: KeyPath<TypedTables, TypedTable<Key, Leaf>>
    ) -> TableShape {
      TableShape(
        type, keySize: MemoryLayout<Key>.size, leafSize: MemoryLayout<Leaf>.size)
    }
    return switch name {
    case .associations: shape(.leastRecentlyUsed, \.associations)
    case .realServers: shape(.array, \.realServers)
    case .slotOfAddress: shape(.hash, \.slotOfAddress)
    case .rounds: shape(.array, \.rounds)
    case .roundPosition: shape(.array, \.roundPosition)
    case .control: shape(.array, \.control)
    }
  }
}

/// The index in the round that the next new client is given.
struct RoundPosition: Sendable {
  private let table: TypedTable<UInt32, UInt64>

  init(_ tables: Tables) throws(BCCError) {
    table = try TypedTable(tables[.roundPosition])
  }

  /// What is beyond the round counts as the first.
  func read() -> UInt32 { UInt32(truncatingIfNeeded: table.lookup(0) ?? 0) }

  func write(_ position: UInt32) throws(BCCError) { try table.update(0, UInt64(position)) }
}
