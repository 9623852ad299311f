// Writes the plan of real servers: into the bank that is not in force, then all at once.
import BCC
import CLayout
import LoadBalancing

/// The tables of real servers: two banks of slots and turns, of which one is in force.
struct RealServerTables {
  private let tables: Tables
  private let virtualServer: IPAddress
  /// What `real_server_ids` holds, which both banks share.
  private var ids: [IPAddress: UInt32] = [:]

  private var layout: any FamilyLayout.Type { virtualServer.family.layout }
  private var slotCount: Int { Renderer.slotCount(maxRealServers: UInt32(tables.maxRealServers)) }

  /// - Parameter isUsed: whether another process has written to the tables.
  init(_ tables: Tables, virtualServer: IPAddress, isUsed: Bool) throws(BCCError) {
    self.tables = tables
    self.virtualServer = virtualServer
    if isUsed { try readIDs(layout) }
  }

  /// A plan that is written and waits to be put in force.
  struct Prepared {
    fileprivate let bank: UInt32
  }

  /// Writes a plan into the bank that is not in force. No packet sees any of it, and where it fails
  /// nothing has changed for them.
  mutating func prepare(_ plan: ServerPlan) throws(BCCError) -> Prepared {
    try prepare(plan, layout)
  }

  /// Puts a prepared plan in force in one step.
  func commit(_ prepared: Prepared) throws(BCCError) {
    // Only one byte of this differs from what is there, so that it is one store.
    try tables.control.update(
      UInt32(0), control(bank: prepared.bank, layout_version: Tables.layoutVersion))
  }

  private mutating func prepare<Layout: FamilyLayout>(
    _ plan: ServerPlan, _ layout: Layout.Type
  ) throws(BCCError) -> Prepared {
    try writeIDs(plan, layout)
    let bank = 1 - (try tables.control.lookup(UInt32(0), as: control.self)?.bank ?? 0)
    let slots = plan.slots.map {
      $0.map { Layout.realServer($0, virtualServer: virtualServer) } ?? Layout.unusedRealServer
    }
    // Slots are used from the first on: what was never used is zero already.
    let used = (plan.slots.lastIndex { $0 != nil } ?? -1) + 1
    let first = bank * UInt32(slotCount)
    try tables.realServers.update(
      keys: (0..<UInt32(used)).map { first + $0 }, leaves: Array(slots.prefix(used)))
    let start = bank * UInt32(1 + tables.maxRealServers)
    let round = [UInt32(plan.round.count)] + plan.round
    try tables.rounds.update(keys: round.indices.map { start + UInt32($0) }, leaves: round)
    return Prepared(bank: bank)
  }

  /// An address may stand here that is not listed, and one that is listed keeps its slot: the slot
  /// itself tells the packet path. What is not wanted goes first, for the room.
  private mutating func writeIDs<Layout: FamilyLayout>(
    _ plan: ServerPlan, _ layout: Layout.Type
  ) throws(BCCError) {
    var wanted: [IPAddress: UInt32] = [:]
    for (index, slot) in plan.slots.enumerated() {
      let id = UInt32(index)
      if let slot, plan.slot(of: slot.address) == id { wanted[slot.address] = id }
    }
    for address in ids.keys where wanted[address] == nil {
      try tables.realServerIDs.remove(Layout.key(address))
      ids[address] = nil
    }
    for (address, id) in wanted where ids[address] != id {
      try tables.realServerIDs.update(Layout.key(address), id)
      ids[address] = id
    }
  }

  private mutating func readIDs<Layout: FamilyLayout>(_ layout: Layout.Type) throws(BCCError) {
    var reader = try BatchReader<Layout.AddressKey, UInt32>(
      tables.realServerIDs, limit: slotCount)
    while let (keys, leaves) = try reader.next() {
      for (key, id) in zip(keys, leaves) { ids[Layout.address(key)] = id }
    }
  }
}
