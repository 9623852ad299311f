// Tables of former versions of the layouts: their associations can be read, and no program of this
// ulb can use them. Nothing else knows how they were laid out.
import BCC
import CLayout
import LoadBalancing

/// The associations of a former version, and the real servers that they lead to.
///
/// An association told a slot and a generation: it is valid while the slot has the same.
public struct FormerTables: Sendable {
  /// A slot that was used once.
  struct Slot: Sendable, Hashable {
    var address: IPAddress
    /// Never 0.
    var generation: UInt32
    var isListed: Bool
  }

  let family: AddressFamily
  /// Client → association (`former_flow_key_…`, `former_association`).
  let associations: Table
  let roundPosition: RoundPosition
  /// Those of the plan that was in force, by number.
  let slots: [Slot]

  /// Names that tables had in version 1.
  static let names: [String: TableName] = [
    "real_server_ids": .slotOfAddress, "cursor": .roundPosition,
  ]

  /// The version whose shape a table control has; `nil` for one that is no former version's. In
  /// version 1, that of ulb 1.0.0, a bank is all that it has.
  static func version(of control: Table) -> UInt32? {
    (1...2 as ClosedRange<UInt32>).first { shapeOfControl($0) == TableShape(control) }
  }

  private static func shapeOfControl(_ version: UInt32) -> TableShape {
    version == 1 ? .array(of: UInt32.self) : .array(of: former_control.self)
  }

  /// The most real servers: two banks of twice as many slots had to be counted in 32 bits.
  private static let mostRealServers = 1 << 28

  /// Looks through tables that another process has made.
  init(_ kept: [TableName: Table], version: UInt32) throws {
    let tables = try KeptTables.whole(
      kept,
      [.associations, .realServers, .slotOfAddress, .rounds, .roundPosition, .control])
    family = try KeptTables.family(ofKeys: "clients", bytes: tables[.associations].keySize) {
      $0.former.clientSize
    }
    let layout = family.layout
    try FormerTables.checkShape(tables, version, layout)
    try KeptTables.checkSizes(
      tables, mostRealServers: FormerTables.mostRealServers, slotCount: { 2 * Int($0) },
      single: [.roundPosition, .control])
    associations = tables[.associations]
    roundPosition = try RoundPosition(tables)
    slots = try FormerTables.readSlots(
      tables, try FormerTables.readBank(tables, version), layout.former)
  }

  private static func checkShape<Layout: FamilyLayout>(
    _ tables: Tables, _ version: UInt32, _ layout: Layout.Type
  ) throws {
    try KeptTables.check(tables) { name in
      switch name {
      case .associations:
        TableShape(.leastRecentlyUsed, Layout.Former.FlowKey.self, former_association.self)
      case .realServers: .array(of: Layout.Former.RealServer.self)
      case .control: shapeOfControl(version)
      default: Layout.shape(of: name)
      }
    }
  }

  private static func readBank(_ tables: Tables, _ version: UInt32) throws -> UInt32 {
    let bank: UInt32
    if version == 1 {
      bank = try TypedTable<UInt32, UInt32>(tables[.control]).lookup(0) ?? 0
    } else {
      let table = try TypedTable<UInt32, former_control>(tables[.control])
      let control = table.lookup(0) ?? former_control()
      guard control.layout_version == version else {
        throw KeptTables.Refusal(
          "they have the layout of version \(version), and say they have that of "
            + "\(control.layout_version)")
      }
      bank = control.bank
    }
    try KeptTables.check(bank: bank)
    return bank
  }

  private static func readSlots<Layout: FormerLayout>(
    _ tables: Tables, _ bank: UInt32, _ layout: Layout.Type
  ) throws -> [Slot] {
    let slotCount = tables[.slotOfAddress].capacity
    let realServers = try TypedTable<UInt32, Layout.RealServer>(tables[.realServers])
    var slots: [Slot] = []
    var addresses: Set<IPAddress> = []
    for index in 0..<slotCount {
      let key = bank * UInt32(slotCount) + UInt32(index)
      guard let entry = realServers.lookup(key), let slot = Layout.slot(entry) else { break }
      guard Layout.isWhole(entry) else {
        throw KeptTables.Refusal("slot \(index) of real_servers has two generations")
      }
      guard addresses.insert(slot.address).inserted else {
        throw KeptTables.Refusal("real_servers has \(slot.address) in two slots")
      }
      slots.append(slot)
    }
    _ = try KeptTables.readRound(tables, bank: bank, slots: slots, isListed: \.isListed)
    return slots
  }
}

/// The structs of one address family as they were.
protocol FormerLayout {
  associatedtype RealServer: BitwiseCopyable
  associatedtype FlowKey: BitwiseCopyable

  /// `nil` for a slot that was never used.
  static func slot(_ realServer: RealServer) -> FormerTables.Slot?
  /// Whether the generation that counts is that of the slot, or none.
  static func isWhole(_ realServer: RealServer) -> Bool
  /// Many at once: each layout knows its own types, where a generic caller would ask for them at
  /// each of a million keys.
  static func clients(_ keys: [FlowKey]) -> [Client]
}

extension FormerLayout {
  /// Bytes of a client in the association table.
  static var clientSize: Int { MemoryLayout<FlowKey>.size }
}

enum FormerIPv4Layout: FormerLayout {
  static func slot(_ server: former_real_server_v4) -> FormerTables.Slot? {
    guard server.last_generation != 0 else { return nil }
    return FormerTables.Slot(
      address: IPAddress(words: (server.address, 0, 0, 0), family: .ipv4),
      generation: server.last_generation, isListed: server.generation != 0)
  }

  static func isWhole(_ server: former_real_server_v4) -> Bool {
    server.generation == 0 || server.generation == server.last_generation
  }

  static func clients(_ keys: [former_flow_key_v4]) -> [Client] {
    keys.map { key in
      Client(
        address: IPAddress(words: (key.address, 0, 0, 0), family: .ipv4),
        port: UInt16(bigEndian: key.port))
    }
  }
}

enum FormerIPv6Layout: FormerLayout {
  static func slot(_ server: former_real_server_v6) -> FormerTables.Slot? {
    guard server.last_generation != 0 else { return nil }
    return FormerTables.Slot(
      address: IPAddress(words: server.address, family: .ipv6),
      generation: server.last_generation, isListed: server.generation != 0)
  }

  static func isWhole(_ server: former_real_server_v6) -> Bool {
    server.generation == 0 || server.generation == server.last_generation
  }

  static func clients(_ keys: [former_flow_key_v6]) -> [Client] {
    keys.map { key in
      Client(
        address: IPAddress(words: key.address, family: .ipv6), port: UInt16(bigEndian: key.port))
    }
  }
}
