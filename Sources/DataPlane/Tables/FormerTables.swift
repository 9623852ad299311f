// Tables of former versions of the layouts: their associations can be read, and no program of this
// ulb can use them. Nothing else knows how they were laid out.
import BCC
import CLayout
import LoadBalancing

/// The one place for the names of tables of former versions: those of the template of then.
enum FormerTableName: String, CaseIterable {
  case associations
  case clients
  case insertions
  case realServers = "real_servers"
  case slotOfAddress = "slot_of_address"
  case rounds
  case roundPosition = "round_position"
  case control

  /// By the name that the table had in some version.
  init?(_ text: String) {
    guard let name = FormerTableName(rawValue: text) ?? FormerTableName.oldest[text] else {
      return nil
    }
    self = name
  }

  /// Those that had other names in version 1.
  private static let oldest: [String: FormerTableName] = [
    "real_server_ids": .slotOfAddress, "cursor": .roundPosition,
  ]
}

/// The associations of a former version, and the real servers that they lead to: of one family, and
/// of the one virtual server that there was.
public struct FormerTables: Sendable {
  /// A slot that was used once.
  struct Slot: Sendable, Hashable {
    var address: IPAddress
    /// Up to version 2, never 0: an association is valid while it tells the same as its slot.
    var generation: UInt32 = 0
    var isListed: Bool
  }

  /// How the associations are told.
  enum Associations: Sendable {
    /// Up to version 2, an LRU hash: client → association (`former_flow_key_…`,
    /// `former_association`).
    case hashed(Table)
    /// Buckets as they are today, of virtual server 0.
    case shared(AssociationTable)
  }

  let family: AddressFamily
  let associations: Associations
  let roundPosition: UInt32
  /// Those of the plan that was in force, by number.
  let slots: [Slot]

  /// The version whose shape a table control has; `nil` for one that is no former version's. In
  /// version 1, that of ulb 1.0.0, a bank is all that it has.
  private static func version(of control: Table) -> UInt32? {
    (1...3 as ClosedRange<UInt32>).first { shapeOfControl($0) == TableShape(control) }
  }

  private static func shapeOfControl(_ version: UInt32) -> TableShape {
    switch version {
    case 1: .array(of: UInt32.self)
    case 2: .array(of: former_control.self)
    default: .mapped(of: former_control_3.self)
    }
  }

  /// The tables of one set.
  private struct Kept {
    let version: UInt32
    let tables: [FormerTableName: Table]

    /// A table that there is: ``FormerTables`` asks for no other.
    subscript(name: FormerTableName) -> Table { tables[name]! }

    /// The longest list of real servers that the tables were made for.
    var maxRealServers: Int { self[.rounds].capacity / 2 - 1 }
  }

  /// Looks through tables that another process has made.
  init(_ kept: [FormerTableName: Table]) throws {
    guard let control = kept[.control] else {
      throw KeptTables.Refusal("they are not whole without control")
    }
    guard let version = FormerTables.version(of: control) else {
      throw KeptTables.Refusal("control is \(TableShape(control)), as in no version that is known")
    }
    var kept = kept
    // Version 2 and those before it had neither of these, and with IPv4 there are no clients.
    if version < 3 { (kept[.insertions], kept[.clients]) = (nil, nil) }
    let family = try FormerTables.family(kept, version)
    if family == .ipv4 { kept[.clients] = nil }
    try FormerTables.checkWhole(kept, version, family)
    let tables = Kept(version: version, tables: kept)
    let bank = try FormerTables.readBank(tables)
    (self.family, slots) = (family, try FormerTables.readSlots(tables, bank, family.layout.former))
    try FormerTables.checkRound(tables, bank, slots)
    roundPosition = try RoundPositions(tables[.roundPosition]).read(0)
    associations =
      version < 3
      ? .hashed(tables[.associations])
      : .shared(
        try AssociationTable(
          associations: tables[.associations], clients: kept[.clients], control: tables[.control],
          admissions: nil))
  }

  private static func family(_ kept: [FormerTableName: Table], _ version: UInt32) throws
    -> AddressFamily
  {
    let (name, keys): (FormerTableName, String) =
      version < 3 ? (.associations, "clients") : (.slotOfAddress, "addresses")
    // What is missing is said later.
    guard let table = kept[name] else { return .ipv4 }
    for family in AddressFamily.allCases {
      let layout = family.layout
      let size = version < 3 ? layout.former.clientSize : layout.addressSize
      if size == table.keySize { return family }
    }
    throw KeptTables.Refusal("\(keys) of \(table.keySize) bytes are of neither family")
  }

  // MARK: Checks

  /// The most real servers of versions 1 and 2: two banks of twice as many slots had to be counted
  /// in 32 bits.
  private static let mostRealServers = 1 << 28

  private static func checkWhole(
    _ kept: [FormerTableName: Table], _ version: UInt32, _ family: AddressFamily
  ) throws {
    let names = FormerTableName.allCases.filter {
      switch $0 {
      case .insertions: version == 3
      case .clients: version == 3 && family == .ipv6
      default: true
      }
    }
    let missing = names.filter { kept[$0] == nil }.map(\.rawValue)
    guard missing.isEmpty else {
      throw KeptTables.Refusal("they are not whole without \(missing.joined(separator: ", "))")
    }
    let tables = Kept(version: version, tables: kept)
    for name in names {
      // No entry may be read before: the kernel writes as many bytes as the type and size say.
      try KeptTables.check(tables[name], name.rawValue, is: shape(of: name, version, family.layout))
    }
    try checkSizes(tables, names)
  }

  private static func shape<Layout: FamilyLayout>(
    of name: FormerTableName, _ version: UInt32, _ layout: Layout.Type
  ) -> TableShape {
    switch name {
    case .associations:
      version < 3
        ? TableShape(.leastRecentlyUsed, Layout.Former.FlowKey.self, former_association.self)
        : .mapped(of: bucket.self)
    case .clients: .mapped(of: bucket_clients_v6.self)
    case .insertions, .roundPosition: .array(of: UInt64.self)
    case .realServers:
      version < 3
        ? .array(of: Layout.Former.RealServer.self) : .array(of: Layout.Former.RealServer3.self)
    case .slotOfAddress: TableShape(.hash, Layout.AddressKey.self, UInt32.self)
    case .rounds: .array(of: UInt32.self)
    case .control: shapeOfControl(version)
    }
  }

  private static func checkSizes(_ tables: Kept, _ names: [FormerTableName]) throws {
    let slots = tables[.slotOfAddress].capacity
    let most = tables.version < 3 ? mostRealServers : Int(MOST_SLOTS)
    let expected = tables.version < 3 ? Int.max : Int(MOST_SLOTS)
    let single: [FormerTableName] = [.roundPosition, .control, .insertions]
    guard (1...most).contains(tables.maxRealServers),
      tables[.rounds].capacity == 2 * (1 + tables.maxRealServers),
      slots == min(2 * tables.maxRealServers, expected),
      tables[.realServers].capacity == 2 * slots,
      names.allSatisfy({ !single.contains($0) || tables[$0].capacity == 1 })
    else {
      let sizes = names.map { "\($0.rawValue) \(tables[$0].capacity)" }
      throw KeptTables.Refusal("their sizes do not fit together: \(sizes.joined(separator: ", "))")
    }
  }

  private static func readBank(_ tables: Kept) throws -> UInt32 {
    let bank: UInt32
    switch tables.version {
    case 1: bank = try TypedTable<UInt32, UInt32>(tables[.control]).lookup(0) ?? 0
    case 2:
      let table = try TypedTable<UInt32, former_control>(tables[.control])
      let control = table.lookup(0) ?? former_control()
      try check(control.layout_version, is: 2)
      bank = control.bank
    default:
      let table = try TypedTable<UInt32, former_control_3>(tables[.control])
      let control = table.lookup(0) ?? former_control_3()
      try check(control.layout_version, is: 3)
      try KeptTables.checkBuckets(
        [.associations, .clients].compactMap { name in
          tables.tables[name].map { (name.rawValue, $0) }
        }, maxAssociations: control.max_associations, secret: control.secret)
      bank = control.bank
    }
    try KeptTables.check(bank: bank)
    return bank
  }

  private static func check(_ told: UInt32, is version: UInt32) throws {
    guard told == version else {
      throw KeptTables.Refusal(
        "they have the layout of version \(version), and say they have that of \(told)")
    }
  }

  // MARK: The plan that was in force

  private static func readSlots<Layout: FormerLayout>(
    _ tables: Kept, _ bank: UInt32, _ layout: Layout.Type
  ) throws -> [Slot] {
    let slotCount = tables[.slotOfAddress].capacity
    let next: (Int) throws -> Slot?
    if tables.version < 3 {
      let table = try TypedTable<UInt32, Layout.RealServer>(tables[.realServers])
      next = { index in
        let entry = table.lookup(bank * UInt32(slotCount) + UInt32(index))
        guard let entry, let slot = Layout.slot(entry) else { return nil }
        guard Layout.isWhole(entry) else {
          throw KeptTables.Refusal("slot \(index) of real_servers has two generations")
        }
        return slot
      }
    } else {
      let table = try TypedTable<UInt32, Layout.RealServer3>(tables[.realServers])
      next = { index in
        guard let entry = table.lookup(2 * UInt32(index) + bank) else { return nil }
        let (address, state) = Layout.slot3(entry)
        guard state != FormerTables.unused else { return nil }
        guard [FormerTables.unlisted, FormerTables.listed].contains(state) else {
          throw KeptTables.Refusal(
            "slot \(index) of real_servers is in no state that there is: \(state)")
        }
        return Slot(address: address, isListed: state == FormerTables.listed)
      }
    }
    var slots: [Slot] = []
    var addresses: Set<IPAddress> = []
    for index in 0..<slotCount {
      guard let slot = try next(index) else { break }
      guard addresses.insert(slot.address).inserted else {
        throw KeptTables.Refusal("real_servers has \(slot.address) in two slots")
      }
      slots.append(slot)
    }
    return slots
  }

  /// States of a slot in version 3.
  private static let unused: UInt16 = 0
  private static let unlisted: UInt16 = 1
  private static let listed: UInt16 = 2

  /// Checks the round of a bank: that it is of the listed slots.
  private static func checkRound(_ tables: Kept, _ bank: UInt32, _ slots: [Slot]) throws {
    let rounds = try TypedTable<UInt32, UInt32>(tables[.rounds])
    let start = bank * UInt32(1 + tables.maxRealServers)
    let length = rounds.lookup(start) ?? 0
    guard length <= tables.maxRealServers else {
      throw KeptTables.Refusal("a round of \(length) turns is longer than rounds has room for")
    }
    var round: Set<UInt32> = []
    for turn in 0..<length {
      let slot = rounds.lookup(start + 1 + turn) ?? .max
      guard slot < slots.count, slots[Int(slot)].isListed else {
        throw KeptTables.Refusal(
          "turn \(turn) of the round is of a slot without a real server: \(slot)")
      }
      round.insert(slot)
    }
    guard round.count == slots.count(where: \.isListed) else {
      throw KeptTables.Refusal("a listed real server has no turn in the round")
    }
  }
}

/// The structs of one address family as they were.
protocol FormerLayout {
  /// Up to version 2.
  associatedtype RealServer: BitwiseCopyable
  associatedtype FlowKey: BitwiseCopyable
  /// Of version 3.
  associatedtype RealServer3: BitwiseCopyable

  /// `nil` for a slot that was never used.
  static func slot(_ realServer: RealServer) -> FormerTables.Slot?
  /// Whether the generation that counts is that of the slot, or none.
  static func isWhole(_ realServer: RealServer) -> Bool
  /// Of version 3.
  static func slot3(_ realServer: RealServer3) -> (address: IPAddress, state: UInt16)
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

  static func slot3(_ server: former_real_server_v4_3) -> (address: IPAddress, state: UInt16) {
    (IPAddress(words: (server.address, 0, 0, 0), family: .ipv4), server.state)
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

  static func slot3(_ server: former_real_server_v6_3) -> (address: IPAddress, state: UInt16) {
    (IPAddress(words: server.address, family: .ipv6), server.state)
  }

  static func clients(_ keys: [former_flow_key_v6]) -> [Client] {
    keys.map { key in
      Client(
        address: IPAddress(words: key.address, family: .ipv6), port: UInt16(bigEndian: key.port))
    }
  }
}
