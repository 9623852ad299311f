// The tables that hold what must live on when a program is exchanged for another.
import BCC
import CLayout
import LoadBalancing

/// The tables of the packet path that outlive the program that was loaded with them.
public struct Tables: Sendable {
  /// Client → real server.
  public let associations: Table
  let realServers: Table
  let realServerIDs: Table
  let rounds: Table
  let cursor: Table
  let control: Table

  /// That of the layouts that this program was built with.
  static let layoutVersion = UInt32(LAYOUT_VERSION)

  /// The names by which the template declares them.
  static let names = [
    "associations", "real_servers", "real_server_ids", "rounds", "cursor", "control",
  ]

  /// Those of a module that has just been compiled.
  init(of module: Module) throws(BCCError) {
    associations = try module.table("associations")
    realServers = try module.table("real_servers")
    realServerIDs = try module.table("real_server_ids")
    rounds = try module.table("rounds")
    cursor = try module.table("cursor")
    control = try module.table("control")
  }

  /// Those that another process has kept, by name; `nil` where one is missing.
  public init?(kept: [String: Table]) {
    guard let associations = kept["associations"], let realServers = kept["real_servers"],
      let realServerIDs = kept["real_server_ids"], let rounds = kept["rounds"],
      let cursor = kept["cursor"], let control = kept["control"]
    else { return nil }
    self.associations = associations
    self.realServers = realServers
    self.realServerIDs = realServerIDs
    self.rounds = rounds
    self.cursor = cursor
    self.control = control
  }

  /// What the layout says of one of the tables.
  struct Shape: Equatable, CustomStringConvertible {
    /// `enum bpf_map_type`.
    let type: UInt32
    /// In bytes.
    let keySize, leafSize: Int
    let flags: UInt32

    init(type: UInt32, keySize: Int, leafSize: Int, flags: UInt32) {
      (self.type, self.flags) = (type, flags)
      (self.keySize, self.leafSize) = (keySize, leafSize)
    }

    /// That of a table as it is.
    init(_ table: Table) {
      self.init(
        type: table.type, keySize: table.keySize, leafSize: table.leafSize, flags: table.flags)
    }

    var description: String {
      "of type \(type) with \(keySize) + \(leafSize) bytes and flags \(flags)"
    }
  }

  /// What the template declares under this name.
  static func shape<Layout: FamilyLayout>(of name: String, _ layout: Layout.Type) -> Shape {
    func shape<Key, Leaf>(_ type: Table.Kind, _ key: Key.Type, _ leaf: Leaf.Type) -> Shape {
      Shape(
        type: type.rawValue, keySize: MemoryLayout<Key>.size, leafSize: MemoryLayout<Leaf>.size,
        flags: 0)
    }
    switch name {
    case "associations": return shape(.leastRecentlyUsed, Layout.FlowKey.self, association.self)
    case "real_servers": return shape(.array, UInt32.self, Layout.RealServer.self)
    case "real_server_ids": return shape(.hash, Layout.AddressKey.self, UInt32.self)
    case "rounds": return shape(.array, UInt32.self, UInt32.self)
    case "cursor": return shape(.array, UInt32.self, UInt64.self)
    default: return shape(.array, UInt32.self, CLayout.control.self)
    }
  }

  /// The longest list of real servers that can be counted: two banks of twice as many slots in 32
  /// bits.
  static let mostRealServers = 1 << 28

  /// The longest list of real servers that the tables were made for.
  var maxRealServers: Int { rounds.capacity / 2 - 1 }

  /// The index in the round that the next new client is given.
  func roundPosition() throws(BCCError) -> UInt32 {
    UInt32(truncatingIfNeeded: try cursor.lookup(UInt32(0), as: UInt64.self) ?? 0)
  }

  func setRoundPosition(_ position: UInt32) throws(BCCError) {
    try cursor.update(UInt32(0), UInt64(position))
  }

  /// Each with its name.
  public var all: [(name: String, table: Table)] {
    Array(
      zip(Tables.names, [associations, realServers, realServerIDs, rounds, cursor, control]))
  }

  /// The tables by their names.
  var byName: [String: Table] { Dictionary(uniqueKeysWithValues: all) }
}
