// Writes what is in force into the service tables of a program: into the bank that is not in force,
// then all at once.
import BCC
import CLayout
import LoadBalancing

/// A plan that is written and waits to be put in force.
struct PreparedService {
  /// The bank that it is written into, of each family.
  fileprivate let banks: [AddressFamily: UInt32]
}

/// Writes plans into the service tables of one program.
struct ServiceWriter {
  private var families: [any FamilyWriter]
  private let names: TypedTable<UInt32, virtual_server_name>

  init(_ program: LoadedProgram, _ sizes: ProgramSizes) throws(BCCError) {
    let tables = program.tables
    func writer<Layout: FamilyLayout>(
      _ layout: Layout.Type, _ family: AddressFamily
    ) throws(BCCError) -> any FamilyWriter {
      try ServiceBanks<Layout>(tables, program.likelySlots[family], sizes, family)
    }
    families = []
    for family in tables.families { families.append(try writer(family.layout, family)) }
    names = try TypedTable(tables.service[.names])
  }

  /// Writes a plan into tables that no packet uses yet: where packets are going to look for it, in
  /// the banks in force.
  mutating func fill(_ plan: ServicePlan) throws(BCCError) {
    for index in families.indices {
      try families[index].write(plan, bank: families[index].bankInForce)
      families[index].hasSwitched(to: plan)
    }
    try names.update(
      keys: plan.served.map { UInt32($0.number) },
      leaves: plan.served.map { VirtualServerName.inTables($0.virtualServer.name) })
  }

  /// Writes a plan into the banks that are not in force. No packet sees any of it, and where it fails
  /// nothing has changed for them.
  ///
  /// No association may lead to a slot that has another member than in the plan in force.
  mutating func prepare(_ plan: ServicePlan) throws(BCCError) -> PreparedService {
    var banks: [AddressFamily: UInt32] = [:]
    for index in families.indices {
      let bank = 1 - families[index].bankInForce
      try families[index].write(plan, bank: bank)
      banks[families[index].family] = bank
    }
    return PreparedService(banks: banks)
  }

  /// Puts a prepared plan in force, in one step for each family, which cannot fail.
  mutating func commit(_ prepared: PreparedService, _ plan: ServicePlan) {
    for index in families.indices {
      guard let bank = prepared.banks[families[index].family] else { continue }
      families[index].putInForce(bank: bank)
      families[index].hasSwitched(to: plan)
    }
  }
}

/// The service tables of one family.
private protocol FamilyWriter: Sendable {
  var family: AddressFamily { get }
  var bankInForce: UInt32 { get }
  mutating func write(_ plan: ServicePlan, bank: UInt32) throws(BCCError)
  func putInForce(bank: UInt32)
  mutating func hasSwitched(to plan: ServicePlan)
}

private struct ServiceBanks<Layout: FamilyLayout>: FamilyWriter {
  let family: AddressFamily
  private let sizes: ProgramSizes
  private let control: Control
  private let realServers: TypedTable<UInt32, Layout.RealServer>
  private let slotsOfAddresses: TypedTable<Layout.AddressKey, UInt32>
  private let virtualServers: TypedTable<UInt32, virtual_server>
  private let rounds: TypedTable<UInt32, slot_line>
  private var likelySlots: LikelySlots?

  /// What the table of slots by address holds, which both banks share.
  private var slotOfAddress: [IPAddress: UInt32] = [:]
  /// The slots of the plan in force.
  private var slotsInForce: [SlotPlan.Slot?] = []
  /// What each bank holds, be it in force or not.
  private var written: [Bank] = [Bank(), Bank()]

  private struct Bank {
    /// Slots behind these were never used.
    var slotCount = 0
    var rounds: [UInt8: Round] = [:]
  }

  /// Of a virtual server: its turns, and the Maglev entries behind them.
  private struct Round: Equatable {
    let turns: [UInt16]
    let hashed: [UInt16]
  }

  init(
    _ tables: Tables, _ likelySlots: Table?, _ sizes: ProgramSizes, _ family: AddressFamily
  ) throws(BCCError) {
    self.family = family
    self.sizes = sizes
    // Each family of a program has its association tables.
    control = try Control(tables.associations[family]![.control])
    realServers = try TypedTable(tables.service[.realServers, family])
    slotsOfAddresses = try TypedTable(tables.service[.slotOfAddress, family])
    virtualServers = try TypedTable(tables.service[.virtualServers])
    rounds = try TypedTable(tables.service[.rounds])
    if let likelySlots {
      self.likelySlots = try LikelySlots(likelySlots, bits: sizes.likelySlotBits(family))
    }
  }

  var bankInForce: UInt32 { control.bank }

  func putInForce(bank: UInt32) { control.putInForce(bank: bank) }

  mutating func hasSwitched(to plan: ServicePlan) { slotsInForce = plan.slots(of: family) }

  mutating func write(_ plan: ServicePlan, bank: UInt32) throws(BCCError) {
    let slots = plan.slots(of: family)
    let own = plan.served.filter { $0.virtualServer.family == family }
    let rings = Rings(slots, of: Set(own.map(\.number)))
    try writeSlotsOfAddresses(rings, slots)
    try writeRealServers(rings, slots, plan, bank)
    for numbered in own {
      let number = numbered.number
      try write(
        numbered, Round(turns: plan.round(of: number), hashed: plan.hashed(of: number)), bank)
    }
  }

  // MARK: Real servers

  private mutating func writeRealServers(
    _ rings: Rings, _ slots: [SlotPlan.Slot?], _ plan: ServicePlan, _ bank: UInt32
  ) throws(BCCError) {
    let virtualServers = Dictionary(
      uniqueKeysWithValues: plan.served.map { ($0.number, $0.virtualServer) })
    let used = (slots.lastIndex { $0 != nil } ?? -1) + 1
    let map = Renderer.serviceMaps(plan.served).first { $0.family == family }
    let rows = virtualServers.compactMapValues { map?.row(of: $0.address) }
    // A plan that was not put in force may be there, with more of them.
    let count = max(used, written[Int(bank)].slotCount)
    written[Int(bank)].slotCount = count
    try realServers.update(
      keys: (0..<UInt32(count)).map { ServiceTables.index(slot: $0, bank: bank) },
      leaves: (0..<count).map { index in
        var server = real_server()
        guard index < slots.count, let slot = slots[index] else {
          return Layout.realServer(server, address: .unspecified(family), override: 0)
        }
        let (address, number) = (slot.member.address, slot.member.virtualServer)
        let owner = virtualServers[number]
        server.state = slot.state?.inTables ?? UInt8(REAL_SERVER_UNLISTED)
        server.virtual_server = number
        server.next = UInt16(rings.next[index])
        server.row = UInt16(rows[number] ?? 0)
        // Of a virtual server that has left, whose real servers are not listed, nobody asks.
        server.checksum_delta =
          owner.map { Checksum.delta(from: $0.address, to: address) } ?? 0
        let override = owner.flatMap { plan.override(of: address, behind: $0) }
        return Layout.realServer(server, address: address, override: override?.inTables ?? 0)
      })
  }

  /// The slots of each address, each of which leads to the next: those of virtual servers that the
  /// program knows.
  private struct Rings {
    /// The slots of each address, the lowest first.
    private(set) var slots: [IPAddress: [UInt32]] = [:]
    /// By slot; itself where there is no other.
    private(set) var next: [UInt32] = []

    init(_ all: [SlotPlan.Slot?], of numbers: Set<UInt8>) {
      slots.reserveCapacity(all.count)
      next = all.indices.map { UInt32($0) }
      for (index, slot) in all.enumerated() {
        guard let member = slot?.member, numbers.contains(member.virtualServer) else { continue }
        let address = member.address
        let number = UInt32(index)
        if let first = slots[address]?.first, let last = slots[address]?.last {
          next[Int(last)] = number
          next[index] = first
        }
        slots[address, default: []].append(number)
      }
    }
  }

  /// Packets that ask the list in force find their real server's address here, too: an address that
  /// is listed keeps the slot that it leads to as long as that is listed. What is not wanted goes
  /// first, for the room.
  private mutating func writeSlotsOfAddresses(
    _ rings: Rings, _ slots: [SlotPlan.Slot?]
  ) throws(BCCError) {
    for address in slotOfAddress.keys where rings.slots[address] == nil {
      try slotsOfAddresses.remove(Layout.key(address))
      slotOfAddress[address] = nil
    }
    for (address, ring) in rings.slots {
      let head = head(ring, slots, now: slotOfAddress[address])
      guard head != slotOfAddress[address] else { continue }
      try slotsOfAddresses.update(Layout.key(address), head)
      slotOfAddress[address] = head
    }
    try likelySlots?.write(slotOfAddress)
  }

  /// The slot that an address leads to: one that serves, if there is one. Where the present one does
  /// not serve any more, another that serves in both lists comes before one that does not yet.
  private func head(
    _ ring: [UInt32], _ slots: [SlotPlan.Slot?], now present: UInt32?
  ) -> UInt32 {
    func serves(_ slot: UInt32, _ slots: [SlotPlan.Slot?]) -> Bool {
      guard Int(slot) < slots.count, let state = slots[Int(slot)]?.state else { return false }
      return state != .down
    }
    func servesNow(_ slot: UInt32) -> Bool {
      serves(slot, slotsInForce)
        && slotsInForce[Int(slot)]?.member.address == slots[Int(slot)]?.member.address
    }
    let serving = ring.filter { serves($0, slots) }
    let present = present.flatMap { ring.contains($0) ? $0 : nil }
    if let present, serving.isEmpty || serving.contains(present) { return present }
    if let steady = serving.first(where: servesNow) { return steady }
    // Until the switch, packets find only this one; after it, by this one, those that serve.
    if let present, servesNow(present) { return present }
    return serving.first ?? ring[0]
  }

  // MARK: Virtual servers

  private mutating func write(
    _ numbered: NumberedVirtualServer, _ round: Round, _ bank: UInt32
  ) throws(BCCError) {
    let number = numbered.number
    // The program was compiled with room for each virtual server's round, or it is compiled anew.
    guard let lines = sizes.rounds[number], round.turns.count <= lines.room else { return }
    let first = UInt32(lines.first(bank: bank))
    if written[Int(bank)].rounds[number] != round {
      written[Int(bank)].rounds[number] = nil
      let leaves = ServiceBanks.lines(round.turns) + ServiceBanks.lines(round.hashed)
      try rounds.update(keys: leaves.indices.map { first + UInt32($0) }, leaves: leaves)
      written[Int(bank)].rounds[number] = round
    }
    try virtualServers.update(
      ServiceTables.index(virtualServer: number, bank: bank),
      virtual_server(
        address: numbered.virtualServer.address.words, line: first,
        length: UInt32(round.turns.count),
        scheduler: numbered.virtualServer.scheduler.inTables, family: UInt32(family.version)))
  }

  /// A round in whole lines.
  private static func lines(_ round: [UInt16]) -> [slot_line] {
    stride(from: 0, to: round.count, by: ProgramSizes.slotsOfLine).map { start in
      var line = slot_line()
      let slots = round[start..<min(start + ProgramSizes.slotsOfLine, round.count)]
      withUnsafeMutableBytes(of: &line) { line in
        slots.withUnsafeBytes { line.copyMemory(from: $0) }
      }
      return line
    }
  }
}
