// Kept tables of the layouts of today: what is in force is read from them, and a program of this ulb
// can use the association tables as they are.
import BCC
import CLayout
import LoadBalancing

/// The tables of a program that another process has left in force.
public struct PresentTables: Sendable {
  let associations: [AddressFamily: AssociationTables]
  let service: ServiceTables
  /// Of what was counted. Others, or none, where another version has left them.
  let counters: [TableName: Table]
  /// How many associations each family's table was made for.
  let maxAssociations: [AddressFamily: UInt32]
  /// The families whose association tables a program of this ulb can use, and whether these have
  /// classes: not those of the version before.
  let hasClasses: [AddressFamily: Bool]
  let roundPositions: RoundPositions
  /// Who was in force: the virtual servers by their numbers.
  let virtualServers: [UInt8: KeptVirtualServer]
  /// The slots of each family, by number. A member may be of a virtual server that has left.
  let slots: [AddressFamily: [SlotPlan.Slot?]]
  /// What the control socket had set.
  let overrides: Overrides

  /// A virtual server as the tables tell of it.
  struct KeptVirtualServer: Sendable, Hashable {
    /// `nil` for the command line's.
    let name: String?
    let family: AddressFamily
  }

  var families: [AddressFamily] { service.families }

  /// Looks through the tables of a program.
  ///
  /// - Parameter kept: those that the kernel says are the program's.
  init(_ kept: [TableName: Table]) throws {
    let families = AddressFamily.allCases.filter { kept[TableName(.control, of: $0)] != nil }
    guard !families.isEmpty else {
      throw KeptTables.Refusal("they are not whole without a control of some family")
    }
    (associations, service) = try PresentTables.whole(kept, families)
    counters = kept.filter { name, table in
      name.kind.group == .counters && TableShape(table) == name.shape
    }
    var maxAssociations: [AddressFamily: UInt32] = [:]
    var hasClasses: [AddressFamily: Bool] = [:]
    var banks: [AddressFamily: UInt32] = [:]
    for family in families {
      let control = try PresentTables.readControl(associations[family]!)
      maxAssociations[family] = control.max_associations
      if control.layout_version == Tables.layoutVersion {
        hasClasses[family] = Control.hasClasses(control.present_stamp) == true
      }
      banks[family] = control.bank
    }
    self.maxAssociations = maxAssociations
    self.hasClasses = hasClasses
    try PresentTables.checkSizes(service)
    roundPositions = try RoundPositions(service)
    virtualServers = try PresentTables.readVirtualServers(service, banks)
    var slots: [AddressFamily: [SlotPlan.Slot?]] = [:]
    var overrides: [Overrides.Target: RealServer.Override] = [:]
    for (family, bank) in banks {
      slots[family] = try PresentTables.readSlots(
        service, family, bank, virtualServers, &overrides, family.layout)
    }
    self.slots = slots
    self.overrides = Overrides(overrides)
  }

  // MARK: Checks

  /// All tables that a program of these families has, of the right shapes.
  private static func whole(_ kept: [TableName: Table], _ families: [AddressFamily]) throws
    -> ([AddressFamily: AssociationTables], ServiceTables)
  {
    var names =
      families.flatMap { TableName.associations(of: $0) } + TableName.service(of: families)
    let isOfVersionBefore = families.allSatisfy { kept[TableName(.admissions, of: $0)] == nil }
    if isOfVersionBefore { names.removeAll { $0.kind == .admissions } }
    let missing = names.filter { kept[$0] == nil }.map(\.description)
    guard missing.isEmpty else {
      throw KeptTables.Refusal("they are not whole without \(missing.joined(separator: ", "))")
    }
    // No entry may be read before: the kernel writes as many bytes as the type and size say.
    for name in names {
      try KeptTables.check(kept[name]!, name.description, is: name.shape)
    }
    var associations: [AddressFamily: AssociationTables] = [:]
    for family in families { associations[family] = AssociationTables(kept: kept, family) }
    return (associations, ServiceTables(kept: kept, families)!)
  }

  private static func readControl(_ tables: AssociationTables) throws -> control {
    let name = TableName(.control, of: tables.family)
    guard tables[.control].capacity == 1, tables.admissions?.capacity ?? 1 == 1 else {
      throw KeptTables.Refusal("\(name) or what belongs to it has more than one entry")
    }
    let read = try TypedTable<UInt32, control>(tables[.control]).lookup(0) ?? control()
    let version = tables.admissions == nil ? Tables.versionBefore : Tables.layoutVersion
    if tables.admissions == nil, read.layout_version == Tables.layoutVersion {
      throw KeptTables.Refusal(
        "they are not whole without \(TableName(.admissions, of: tables.family))")
    }
    guard read.layout_version == version else {
      throw KeptTables.Refusal(
        "they have layout version \(read.layout_version), this ulb knows \(Tables.layoutVersion)")
    }
    guard Control.hasClasses(read.present_stamp) != nil else {
      throw KeptTables.Refusal(
        "\(name) says neither that there are classes nor that there are none")
    }
    try KeptTables.check(bank: read.bank)
    try KeptTables.checkBuckets(
      tables.all.filter { [.associations, .clients].contains($0.name.kind) }
        .map { ($0.name.description, $0.table) },
      maxAssociations: read.max_associations, secret: read.secret)
    return read
  }

  private static func checkSizes(_ service: ServiceTables) throws {
    let numbers = ProgramSizes.numbers
    let fit =
      service[.virtualServers].capacity == 2 * numbers
      && service[.roundPosition].capacity == numbers && service[.names].capacity == numbers
      && service.families.allSatisfy { family in
        let slots = service[.slotOfAddress, family].capacity
        return (1...SlotPlan.mostSlots).contains(slots)
          && service[.realServers, family].capacity == 2 * slots
      }
    guard fit else {
      let sizes = service.all.map { "\($0.name) \($0.table.capacity)" }
      throw KeptTables.Refusal("their sizes do not fit together: \(sizes.joined(separator: ", "))")
    }
  }

  // MARK: What was in force

  private static func readVirtualServers(
    _ tables: ServiceTables, _ banks: [AddressFamily: UInt32]
  ) throws -> [UInt8: KeptVirtualServer] {
    let entries = try TypedTable<UInt32, virtual_server>(tables[.virtualServers])
    let names = try TypedTable<UInt32, virtual_server_name>(tables[.names])
    var found: [UInt8: KeptVirtualServer] = [:]
    var known: Set<String> = []
    for number in 0..<UInt8(ProgramSizes.numbers) {
      for (family, bank) in banks {
        let index = ServiceTables.index(virtualServer: number, bank: bank)
        guard let entry = entries.lookup(index), entry.family == UInt32(family.version) else {
          continue
        }
        let name = try VirtualServerName.read(
          names.lookup(UInt32(number)) ?? virtual_server_name())
        guard (name == nil) == (number == 0) else {
          throw KeptTables.Refusal(
            name.map { "virtual server 0 has a name: \($0.shortened())" }
              ?? "virtual server \(number) has no name")
        }
        if let name, !known.insert(name).inserted {
          throw KeptTables.Refusal("virtual server \(name.shortened()) is there twice")
        }
        guard found[number] == nil else {
          throw KeptTables.Refusal("virtual server \(number) is of both families")
        }
        found[number] = KeptVirtualServer(name: name, family: family)
      }
    }
    guard found.count <= VirtualServer.most else {
      throw KeptTables.Refusal("they tell of \(found.count) virtual servers")
    }
    return found
  }

  private static func readSlots<Layout: FamilyLayout>(
    _ tables: ServiceTables, _ family: AddressFamily, _ bank: UInt32,
    _ virtualServers: [UInt8: KeptVirtualServer],
    _ overrides: inout [Overrides.Target: RealServer.Override], _ layout: Layout.Type
  ) throws -> [SlotPlan.Slot?] {
    let name = TableName(.realServers, of: family)
    let table = tables[.realServers, family]
    var slots = [SlotPlan.Slot?](repeating: nil, count: table.capacity / 2)
    var members: Set<SlotPlan.Member> = []
    var reader = BatchReader(
      try TypedTable<UInt32, Layout.RealServer>(table), limit: min(table.capacity, 1 << 13))
    while let (keys, entries) = try reader.next() {
      for (key, entry) in zip(keys, entries) where key % 2 == bank {
        let (slot, server) = (Int(key / 2), Layout.server(entry))
        guard server.state != REAL_SERVER_UNUSED else { continue }
        guard let state = PresentTables.states[server.state] else {
          throw KeptTables.Refusal(
            "slot \(slot) of \(name) is in no state that there is: \(server.state)")
        }
        let member = SlotPlan.Member(
          virtualServer: server.virtual_server, address: Layout.address(entry))
        // Of one that has left, associations may not have been forgotten yet.
        guard virtualServers[member.virtualServer]?.family == family || state == nil else {
          throw KeptTables.Refusal(
            "slot \(slot) of \(name) is of no virtual server that there is: "
              + "\(member.virtualServer)")
        }
        guard members.insert(member).inserted else {
          throw KeptTables.Refusal("\(name) has \(member.address) in two slots")
        }
        slots[slot] = SlotPlan.Slot(member: member, state: state)
        if let owner = virtualServers[member.virtualServer] {
          let target = Overrides.Target(name: owner.name, address: member.address)
          overrides[target] = RealServer.Override(inTables: Layout.override(entry))
        }
      }
    }
    return slots
  }

  /// By REAL_SERVER_…: one that is down cannot be told from one that has left.
  private static let states: [UInt8: RealServer.State?] = [
    UInt8(REAL_SERVER_UNLISTED): nil as RealServer.State?,
    UInt8(REAL_SERVER_DRAINING): .draining, UInt8(REAL_SERVER_UP): .up,
  ]
}
