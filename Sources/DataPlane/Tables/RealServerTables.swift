// Writes the plan of real servers: into the bank that is not in force, then all at once.
import BCC
import CLayout
import LoadBalancing

/// A plan that is written and waits to be put in force.
struct PreparedPlan {
  fileprivate let bank: UInt32
}

/// Writes plans into the tables of either family.
protocol RealServerWriter {
  /// Writes a plan into the bank that is not in force. No packet sees any of it, and where it fails
  /// nothing has changed for them.
  ///
  /// No association may lead to a slot that has another address than in the plan in force.
  mutating func prepare(_ plan: ServerPlan) throws(BCCError) -> PreparedPlan

  /// Puts a prepared plan in force in one step, which cannot fail.
  func commit(_ prepared: PreparedPlan)
}

/// The writer of the virtual server's family.
///
/// - Parameter isUsed: whether another process has written to the tables.
func makeRealServerWriter(
  _ tables: Tables, virtualServer: IPAddress, isUsed: Bool
) throws(BCCError) -> any RealServerWriter {
  func make<Layout: FamilyLayout>(_ layout: Layout.Type) throws(BCCError) -> any RealServerWriter {
    try RealServerTables<Layout>(tables, virtualServer: virtualServer, isUsed: isUsed)
  }
  return try make(virtualServer.family.layout)
}

/// The tables of real servers: slots and turns in two banks, of which one is in force.
private struct RealServerTables<Layout: FamilyLayout>: RealServerWriter {
  private let realServers: TypedTable<UInt32, Layout.RealServer>
  private let slotsOfAddresses: TypedTable<Layout.AddressKey, UInt32>
  private let rounds: TypedTable<UInt32, UInt32>
  private let control: Control
  private let virtualServer: IPAddress
  private let maxRealServers: Int
  /// What the table of slots by address holds, which both banks share.
  private var slotOfAddress: [IPAddress: UInt32] = [:]

  init(_ tables: Tables, virtualServer: IPAddress, isUsed: Bool) throws(BCCError) {
    realServers = try TypedTable(tables[.realServers])
    slotsOfAddresses = try TypedTable(tables[.slotOfAddress])
    rounds = try TypedTable(tables[.rounds])
    control = try Control(tables[.control])
    self.virtualServer = virtualServer
    maxRealServers = tables.maxRealServers
    if isUsed { try readSlotsOfAddresses() }
  }

  func commit(_ prepared: PreparedPlan) { control.putInForce(bank: prepared.bank) }

  mutating func prepare(_ plan: ServerPlan) throws(BCCError) -> PreparedPlan {
    try writeSlotsOfAddresses(plan)
    let bank = 1 - control.bank
    // All slots, those too that were never used: a plan that was not put in force may be there.
    try realServers.update(
      keys: plan.slots.indices.map { Tables.index(slot: UInt32($0), bank: bank) },
      leaves: plan.slots.map { slot in
        slot.map { Layout.realServer($0, virtualServer: virtualServer) } ?? Layout.unusedRealServer
      })
    let start = bank * UInt32(1 + maxRealServers)
    let round = [UInt32(plan.round.count)] + plan.round
    try rounds.update(keys: round.indices.map { start + UInt32($0) }, leaves: round)
    return PreparedPlan(bank: bank)
  }

  /// An address may stand here that is not listed, and one that is listed keeps its slot: the slot
  /// itself tells the packet path. What is not wanted goes first, for the room.
  private mutating func writeSlotsOfAddresses(_ plan: ServerPlan) throws(BCCError) {
    var wanted: [IPAddress: UInt32] = [:]
    for (index, slot) in plan.slots.enumerated() {
      let number = UInt32(index)
      if let slot, plan.slot(of: slot.address) == number { wanted[slot.address] = number }
    }
    for address in slotOfAddress.keys where wanted[address] == nil {
      try slotsOfAddresses.remove(Layout.key(address))
      slotOfAddress[address] = nil
    }
    for (address, slot) in wanted where slotOfAddress[address] != slot {
      try slotsOfAddresses.update(Layout.key(address), slot)
      slotOfAddress[address] = slot
    }
  }

  private mutating func readSlotsOfAddresses() throws(BCCError) {
    var reader = BatchReader(slotsOfAddresses, limit: slotsOfAddresses.table.capacity)
    while let (keys, leaves) = try reader.next() {
      for (key, slot) in zip(keys, leaves) { slotOfAddress[Layout.address(key)] = slot }
    }
  }
}
