// The tables that the daemon and a program share.
import BCC
import CLayout
import LoadBalancing

/// The association tables of one family. They outlive programs.
public struct AssociationTables: Sendable {
  public let family: AddressFamily
  private let tables: [TableKind: Table]

  /// Those that a module has just been compiled with.
  init(of module: Module, _ family: AddressFamily) throws(BCCError) {
    var tables: [TableKind: Table] = [:]
    for name in TableName.associations(of: family) {
      tables[name.kind] = try module.table(name.description)
    }
    (self.family, self.tables) = (family, tables)
  }

  /// Those that another process has kept, others left aside. Of the layouts before these, there are no
  /// `admissions`; any other must be there.
  init(kept: [TableName: Table], _ family: AddressFamily) {
    self.family = family
    let names = TableName.associations(of: family)
    tables = Dictionary(
      uniqueKeysWithValues: names.compactMap { name in kept[name].map { (name.kind, $0) } })
  }

  /// A table that there is.
  subscript(kind: TableKind) -> Table {
    // Each initialiser has seen to it that none is missing.
    tables[kind]!
  }

  /// With IPv6 alone.
  var clients: Table? { tables[.clients] }

  /// Of these layouts alone.
  var admissions: Table? { tables[.admissions] }

  /// Each that there is, with its name.
  var all: [(name: TableName, table: Table)] {
    TableName.associations(of: family).compactMap { name in tables[name.kind].map { (name, $0) } }
  }
}

/// The tables that a program counts in. They outlive it where they fit the next one.
public struct CounterTables: Sendable {
  let families: [AddressFamily]
  private let tables: [TableName: Table]

  /// Those that a module has just been compiled with, but for those of before that it is to use.
  init(
    of module: Module, _ families: [AddressFamily], sharing shared: [TableName: Table]
  ) throws(BCCError) {
    var tables: [TableName: Table] = [:]
    for name in TableName.counters(of: families) {
      tables[name] =
        if let table = shared[name] { table } else { try module.table(name.description) }
    }
    (self.families, self.tables) = (families, tables)
  }

  /// A table that there is.
  subscript(kind: TableKind, family: AddressFamily) -> Table {
    // The initialiser has seen to it that none is missing.
    tables[TableName(kind, of: family)]!
  }

  /// Each with its name.
  var all: [(name: TableName, table: Table)] {
    TableName.counters(of: families).map { ($0, tables[$0]!) }
  }
}

/// Tables that a program takes over from the one before.
struct SharedTables: Sendable {
  /// Those whose slots have the same meaning.
  var associations: [AddressFamily: AssociationTables] = [:]
  /// Those that fit.
  var counters: [TableName: Table] = [:]

  var names: Set<TableName> {
    Set(associations.keys.flatMap { TableName.associations(of: $0) }).union(counters.keys)
  }
}

/// The tables that are made with a program and belong to it.
public struct ServiceTables: Sendable {
  let families: [AddressFamily]
  private let tables: [TableName: Table]

  /// Those that a module has just been compiled with.
  init(of module: Module, _ families: [AddressFamily]) throws(BCCError) {
    var tables: [TableName: Table] = [:]
    for name in TableName.service(of: families) {
      tables[name] = try module.table(name.description)
    }
    (self.families, self.tables) = (families, tables)
  }

  /// Those that another process has kept, others left aside; `nil` where one is missing.
  init?(kept: [TableName: Table], _ families: [AddressFamily]) {
    let names = TableName.service(of: families)
    guard names.allSatisfy({ kept[$0] != nil }) else { return nil }
    self.families = families
    tables = kept.filter { names.contains($0.key) }
  }

  /// A table that all families share.
  subscript(kind: TableKind) -> Table { self[kind, .ipv4] }

  /// A table that there is.
  subscript(kind: TableKind, family: AddressFamily) -> Table {
    // Each initialiser has seen to it that none is missing.
    tables[TableName(kind, of: family)]!
  }

  /// Each with its name.
  var all: [(name: TableName, table: Table)] {
    TableName.service(of: families).map { ($0, tables[$0]!) }
  }

  /// Where the table of real servers has a slot.
  static func index(slot: UInt32, bank: UInt32) -> UInt32 { 2 * slot + bank }

  /// Where the table of virtual servers has a number.
  static func index(virtualServer number: UInt8, bank: UInt32) -> UInt32 {
    2 * UInt32(number) + bank
  }
}

/// All tables of a program that the daemon reads or writes.
public struct Tables: Sendable {
  /// Of each family that the program knows.
  public var associations: [AddressFamily: AssociationTables]
  public var counters: CounterTables
  public var service: ServiceTables

  /// The version of the layouts that this program was built with.
  static let layoutVersion = UInt32(LAYOUT_VERSION)
  /// The one before, of which today's differ in what stamps tell, and in the table that counts: it had
  /// `insertions` where today's have `admissions`.
  static let versionBefore = layoutVersion - 1

  var families: [AddressFamily] { service.families }

  /// Each with its name.
  var all: [(name: TableName, table: Table)] {
    families.flatMap { associations[$0]?.all ?? [] } + counters.all + service.all
  }
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

/// The index in the round of each virtual server that its next new client is given.
struct RoundPositions: Sendable {
  private let table: TypedTable<UInt32, UInt64>

  init(_ tables: ServiceTables) throws(BCCError) { try self.init(tables[.roundPosition]) }

  init(_ table: Table) throws(BCCError) { self.table = try TypedTable(table) }

  /// What is beyond the round counts as the first.
  func read(_ number: UInt8) -> UInt32 {
    UInt32(truncatingIfNeeded: table.lookup(UInt32(number)) ?? 0)
  }

  func write(_ number: UInt8, _ position: UInt32) throws(BCCError) {
    try table.update(UInt32(number), UInt64(position))
  }
}

extension AssociationTable {
  init(_ tables: AssociationTables) throws(BCCError) {
    try self.init(
      associations: tables[.associations], clients: tables.clients, control: tables[.control],
      admissions: tables.admissions)
  }

  /// Makes tables that have just been created an association table for so many.
  static func begin(
    _ tables: AssociationTables, maxAssociations: UInt32, hasClasses: Bool
  ) throws(BCCError) {
    try begin(
      associations: tables[.associations], control: tables[.control],
      maxAssociations: maxAssociations, hasClasses: hasClasses)
  }
}
