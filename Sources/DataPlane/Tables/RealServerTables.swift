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
  mutating func prepare(_ plan: ServerPlan) throws(BCCError) -> PreparedPlan

  /// Puts a prepared plan in force in one step.
  func commit(_ prepared: PreparedPlan) throws(BCCError)
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

/// The tables of real servers: two banks of slots and turns, of which one is in force.
private struct RealServerTables<Layout: FamilyLayout>: RealServerWriter {
  private let tables: TypedTables<Layout>
  private let virtualServer: IPAddress
  private let maxRealServers: Int
  private let slotCount: Int
  /// What the table of slots by address holds, which both banks share.
  private var slotOfAddress: [IPAddress: UInt32] = [:]

  init(_ tables: Tables, virtualServer: IPAddress, isUsed: Bool) throws(BCCError) {
    self.tables = try TypedTables(tables)
    self.virtualServer = virtualServer
    maxRealServers = tables.maxRealServers
    slotCount = Renderer.slotCount(maxRealServers: UInt32(maxRealServers))
    if isUsed { try readSlotsOfAddresses() }
  }

  func commit(_ prepared: PreparedPlan) throws(BCCError) {
    // Only one byte of this differs from what is there, so that it is one store.
    try tables.control.update(
      0, former_control(bank: prepared.bank, layout_version: Tables.layoutVersion))
  }

  mutating func prepare(_ plan: ServerPlan) throws(BCCError) -> PreparedPlan {
    try writeSlotsOfAddresses(plan)
    let bank = 1 - (tables.control.lookup(0)?.bank ?? 0)
    let slots = plan.slots.map {
      $0.map { Layout.realServer($0, virtualServer: virtualServer) } ?? Layout.unusedRealServer
    }
    // Slots are used from the first on: what was never used is zero already.
    let used = (plan.slots.lastIndex { $0 != nil } ?? -1) + 1
    let first = bank * UInt32(slotCount)
    try tables.realServers.update(
      keys: (0..<UInt32(used)).map { first + $0 }, leaves: Array(slots.prefix(used)))
    let start = bank * UInt32(1 + maxRealServers)
    let round = [UInt32(plan.round.count)] + plan.round
    try tables.rounds.update(keys: round.indices.map { start + UInt32($0) }, leaves: round)
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
      try tables.slotOfAddress.remove(Layout.key(address))
      slotOfAddress[address] = nil
    }
    for (address, slot) in wanted where slotOfAddress[address] != slot {
      try tables.slotOfAddress.update(Layout.key(address), slot)
      slotOfAddress[address] = slot
    }
  }

  private mutating func readSlotsOfAddresses() throws(BCCError) {
    var reader = BatchReader(tables.slotOfAddress, limit: slotCount)
    while let (keys, leaves) = try reader.next() {
      for (key, slot) in zip(keys, leaves) { slotOfAddress[Layout.address(key)] = slot }
    }
  }
}
