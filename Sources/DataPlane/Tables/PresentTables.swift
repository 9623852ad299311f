// Kept tables of the layouts of today: the plan in force is read from them, and a program of this ulb
// can use them as they are.
import BCC
import CLayout
import LoadBalancing

/// Tables of the layouts of today.
public struct PresentTables: Sendable {
  let tables: Tables
  let family: AddressFamily
  /// How many associations the table was made for.
  let maxAssociations: UInt32
  let roundPosition: RoundPosition
  /// The plan in force; its capacity is the count of slots.
  let servers: ServerPlan
  /// What the packet path adds to a checksum for each slot that was ever used.
  private let checksumDeltas: [UInt16]

  init(_ kept: [TableName: Table], control: Table) throws {
    let control = try PresentTables.read(control)
    let addressSize = kept[.slotOfAddress]?.keySize ?? IPv4Layout.addressSize
    family = try KeptTables.family(ofKeys: "addresses", bytes: addressSize) { $0.addressSize }
    tables = try KeptTables.whole(kept, TableName.all(of: family))
    let layout = family.layout
    try KeptTables.check(tables) { layout.shape(of: $0) }
    try KeptTables.checkSizes(
      tables, mostRealServers: ServerPlan.mostSlots, slotCount: ServerPlan.capacity,
      single: [.roundPosition, .control, .insertions])
    try PresentTables.checkBuckets(tables, control)
    maxAssociations = control.max_associations
    roundPosition = try RoundPosition(tables)
    (servers, checksumDeltas) = try PresentTables.readPlan(tables, control.bank, layout)
  }

  /// Whether a program for this configuration can use them as they are, and go from the list in
  /// force to the configuration's.
  func fit(_ configuration: Configuration) -> Bool {
    var plan = servers
    return family == configuration.family && maxAssociations == configuration.maxAssociations
      && tables.maxRealServers == Int(configuration.maxRealServers)
      && isOf(virtualServer: configuration.virtualServer)
      && (try? plan.apply(configuration.realServers)) != nil
  }

  /// Whether the packet path translates between this virtual server and the real servers.
  func isOf(virtualServer: IPAddress) -> Bool {
    zip(servers.slots, checksumDeltas).allSatisfy { slot, delta in
      slot.map { Checksum.delta(from: virtualServer, to: $0.address) == delta } ?? true
    }
  }

  /// Reads control first of all: by its version it is known what the other tables have to be.
  private static func read(_ table: Table) throws -> control {
    let (found, expected) = (TableShape(table), IPv4Layout.shape(of: .control))
    guard found == expected else { throw KeptTables.Refusal(.control, is: found, not: expected) }
    let read = try TypedTable<UInt32, control>(table).lookup(0) ?? control()
    guard read.layout_version == Tables.layoutVersion else {
      throw KeptTables.Refusal(
        "they have layout version \(read.layout_version), this ulb knows \(Tables.layoutVersion)")
    }
    try KeptTables.check(bank: read.bank)
    guard Control.isSecret(read.secret) else { throw KeptTables.Refusal("control has no secret") }
    return read
  }

  private static func checkBuckets(_ tables: Tables, _ control: control) throws {
    let associations = control.max_associations
    guard associations > 0 else { throw KeptTables.Refusal("control tells of 0 associations") }
    let buckets = AssociationTable.bucketCount(maxAssociations: associations)
    for (name, table) in tables.all where [.associations, .clients].contains(name) {
      guard table.capacity == buckets else {
        throw KeptTables.Refusal(
          "\(name.rawValue) has \(table.capacity) buckets, and control tells of \(associations) "
            + "associations")
      }
    }
  }

  /// The plan in force, as far as the first slot that was never used.
  private static func readPlan<Layout: FamilyLayout>(
    _ tables: Tables, _ bank: UInt32, _ layout: Layout.Type
  ) throws -> (ServerPlan, [UInt16]) {
    let slotCount = tables[.slotOfAddress].capacity
    let realServers = try TypedTable<UInt32, Layout.RealServer>(tables[.realServers])
    var slots: [ServerPlan.Slot] = []
    var checksumDeltas: [UInt16] = []
    var addresses: Set<IPAddress> = []
    for index in 0..<slotCount {
      let key = Tables.index(slot: UInt32(index), bank: bank)
      guard let entry = realServers.lookup(key) else { break }
      let state = Layout.state(entry)
      guard state != REAL_SERVER_UNUSED else { break }
      guard [REAL_SERVER_UNLISTED, REAL_SERVER_LISTED].contains(state) else {
        throw KeptTables.Refusal(
          "slot \(index) of real_servers is in no state that there is: \(state)")
      }
      let address = Layout.address(entry)
      guard addresses.insert(address).inserted else {
        throw KeptTables.Refusal("real_servers has \(address) in two slots")
      }
      slots.append(ServerPlan.Slot(address: address, isListed: state == REAL_SERVER_LISTED))
      checksumDeltas.append(Layout.checksumDelta(entry))
    }
    let round = try KeptTables.readRound(tables, bank: bank, slots: slots, isListed: \.isListed)
    return (ServerPlan(capacity: slotCount, slots: slots, round: round), checksumDeltas)
  }
}
