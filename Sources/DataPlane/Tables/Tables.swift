// The tables that hold what must live on when a program is exchanged for another.
import BCC
import CLayout
import LoadBalancing

/// The one place for the names of tables: those by which the template declares them.
enum TableName: String, CaseIterable {
  /// Buckets of the association table.
  case associations
  /// Who the associations of each bucket belong to. With IPv6 alone: an IPv4 association tells it.
  case clients
  /// How often associations were made: the packet path's own.
  case insertions
  /// Slots, each in two banks.
  case realServers = "real_servers"
  /// Address → slot.
  case slotOfAddress = "slot_of_address"
  /// Two banks of turns.
  case rounds
  /// The index in the round that the next new client is given.
  case roundPosition = "round_position"
  /// Which bank is in force, the layout's version, and how the association table is read.
  case control

  /// Those of a family.
  static func all(of family: AddressFamily) -> [TableName] {
    allCases.filter { $0 != .clients || family == .ipv6 }
  }
}

/// The tables of the packet path that outlive the program that was loaded with them.
public struct Tables: Sendable {
  private let tables: [TableName: Table]
  /// Those that there are.
  private let names: [TableName]

  /// The version of the layouts that this program was built with.
  static let layoutVersion = UInt32(LAYOUT_VERSION)

  /// Those of a module that has just been compiled.
  init(of module: Module, _ family: AddressFamily) throws(BCCError) {
    names = TableName.all(of: family)
    var tables: [TableName: Table] = [:]
    for name in names { tables[name] = try module.table(name.rawValue) }
    self.tables = tables
  }

  /// Those that another process has kept, others left aside; `nil` where one is missing.
  init?(kept: [TableName: Table], names: [TableName]) {
    guard names.allSatisfy({ kept[$0] != nil }) else { return nil }
    (tables, self.names) = (kept.filter { names.contains($0.key) }, names)
  }

  /// A table that there is.
  subscript(name: TableName) -> Table {
    // Each initialiser has seen to it that none is missing.
    tables[name]!
  }

  /// With IPv6 alone.
  var clients: Table? { tables[.clients] }

  /// Each with its name.
  var all: [(name: TableName, table: Table)] { names.map { ($0, self[$0]) } }

  /// The longest list of real servers that the tables were made for.
  var maxRealServers: Int { self[.rounds].capacity / 2 - 1 }

  /// Where the table of real servers has a slot.
  static func index(slot: UInt32, bank: UInt32) -> UInt32 { 2 * slot + bank }
}

/// What a layout says of a table.
struct TableShape: Equatable, CustomStringConvertible {
  /// `enum bpf_map_type`.
  let type: UInt32
  /// In bytes.
  let keySize, leafSize: Int
  let flags: UInt32

  /// - Parameter flags: `map_flags`.
  init<Key, Leaf>(_ kind: Table.Kind, _ key: Key.Type, _ leaf: Leaf.Type, flags: UInt32 = 0) {
    (type, self.flags) = (kind.rawValue, flags)
    (keySize, leafSize) = (MemoryLayout<Key>.size, MemoryLayout<Leaf>.size)
  }

  /// That of a table as it is.
  init(_ table: Table) {
    (type, flags) = (table.type, table.flags)
    (keySize, leafSize) = (table.keySize, table.leafSize)
  }

  /// An array of which each index is an entry.
  static func array<Leaf>(of leaf: Leaf.Type, flags: UInt32 = 0) -> TableShape {
    TableShape(.array, UInt32.self, leaf, flags: flags)
  }

  /// An array that is mapped into memory.
  static func mapped<Leaf>(of leaf: Leaf.Type) -> TableShape {
    array(of: leaf, flags: Table.mappable)
  }

  var description: String {
    "of type \(type) with \(keySize) + \(leafSize) bytes and flags \(flags)"
  }
}

extension FamilyLayout {
  /// What the template declares.
  static func shape(of name: TableName) -> TableShape {
    switch name {
    case .associations: .mapped(of: bucket.self)
    case .clients: .mapped(of: bucket_clients_v6.self)
    case .insertions: .array(of: UInt64.self)
    case .realServers: .array(of: RealServer.self)
    case .slotOfAddress: TableShape(.hash, AddressKey.self, UInt32.self)
    case .rounds: .array(of: UInt32.self)
    case .roundPosition: .array(of: UInt64.self)
    case .control: .mapped(of: control.self)
    }
  }
}

/// The index in the round that the next new client is given.
struct RoundPosition: Sendable {
  private let table: TypedTable<UInt32, UInt64>

  init(_ tables: Tables) throws(BCCError) {
    try self.init(tables[.roundPosition])
  }

  init(_ table: Table) throws(BCCError) {
    self.table = try TypedTable(table)
  }

  /// What is beyond the round counts as the first.
  func read() -> UInt32 { UInt32(truncatingIfNeeded: table.lookup(0) ?? 0) }

  func write(_ position: UInt32) throws(BCCError) { try table.update(0, UInt64(position)) }
}

extension AssociationTable {
  init(_ tables: Tables) throws(BCCError) {
    try self.init(
      associations: tables[.associations], clients: tables.clients, control: tables[.control])
  }

  /// Makes tables that have just been created an association table for so many.
  static func begin(_ tables: Tables, maxAssociations: UInt32) throws(BCCError) {
    try begin(
      associations: tables[.associations], control: tables[.control],
      maxAssociations: maxAssociations)
  }
}
