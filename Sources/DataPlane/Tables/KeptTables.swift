// Tables that another process has kept, looked through before anything believes what they say.
import BCC
import CLayout
import LoadBalancing

/// A whole set of tables of a process that was here before. What they say can be relied on: types
/// and sizes are the layout's, and the plan that is in force is one that ulb can have written.
public struct KeptTables: Sendable {
  let tables: Tables
  let family: AddressFamily
  /// By whose layouts the tables were made; where it is not ``Tables/layoutVersion``, no program of
  /// this ulb can use them.
  let layoutVersion: UInt32
  /// The plan in force; its capacity is the count of slots.
  let servers: ServerPlan
  /// What the packet path adds to a checksum for each slot that was ever used.
  private let checksumDeltas: [UInt16]

  /// Why a set of tables is not used.
  struct Refusal: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
  }

  /// Looks through tables that another process has made.
  ///
  /// - Parameter kept: by the names that the template declares them by.
  init(_ kept: [TableName: Table]) throws(Refusal) {
    guard let tables = Tables(kept: kept) else {
      let missing = TableName.allCases.filter { kept[$0] == nil }.map(\.rawValue)
      throw Refusal("they are not whole without \(missing.joined(separator: ", "))")
    }
    try self.init(tables)
  }

  init(_ tables: Tables) throws(Refusal) {
    let clientSize = tables[.associations].keySize
    guard let family = AddressFamily.allCases.first(where: { $0.layout.clientSize == clientSize })
    else { throw Refusal("clients of \(clientSize) bytes are of neither family") }
    do {
      try KeptTables.checkShape(tables, family.layout)
      let control = try KeptTables.readControl(tables)
      layoutVersion = control.layout_version
      (servers, checksumDeltas) = try KeptTables.readPlan(tables, control.bank, family.layout)
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      throw Refusal("\(error)")
    }
    self.tables = tables
    self.family = family
  }

  /// Whether a program for this configuration can use them as they are.
  func fit(_ configuration: Configuration) -> Bool {
    layoutVersion == Tables.layoutVersion && family == configuration.family
      && tables[.associations].capacity == Int(configuration.maxAssociations)
      && tables.maxRealServers == Int(configuration.maxRealServers)
      && isOf(virtualServer: configuration.virtualServer)
  }

  /// Whether the packet path translates between this virtual server and the real servers.
  func isOf(virtualServer: IPAddress) -> Bool {
    zip(servers.slots, checksumDeltas).allSatisfy { slot, delta in
      slot.map { Checksum.delta(from: virtualServer, to: $0.address) == delta } ?? true
    }
  }

  /// Types, sizes and flags. No entry may be read before: the kernel writes as many bytes as the
  /// table's own type and size say.
  private static func checkShape<Layout: FamilyLayout>(
    _ tables: Tables, _ layout: Layout.Type
  ) throws {
    for (name, table) in tables.all {
      let found = TableShape(table)
      if name == .control, found == shapeOfControlInVersion1 { continue }
      let expected = TypedTables<Layout>.shape(of: name)
      guard found == expected else {
        throw Refusal("\(name.rawValue) is \(found), not \(expected)")
      }
    }
    let slots = tables[.slotOfAddress].capacity
    guard (1...Tables.mostRealServers).contains(tables.maxRealServers),
      tables[.rounds].capacity == 2 * (1 + tables.maxRealServers),
      slots == Renderer.slotCount(maxRealServers: UInt32(tables.maxRealServers)),
      tables[.realServers].capacity == 2 * slots,
      tables[.roundPosition].capacity == 1, tables[.control].capacity == 1
    else {
      let sizes = tables.all.map { "\($0.name.rawValue) \($0.table.capacity)" }
      throw Refusal("their sizes do not fit together: \(sizes.joined(separator: ", "))")
    }
  }

  /// In version 1 a bank is all that it has. Everything else is as in version 2.
  private static let shapeOfControlInVersion1 = TableShape(.array, keySize: 4, leafSize: 4)

  private static func readControl(_ tables: Tables) throws -> former_control {
    let table = tables[.control]
    let read: former_control
    if TableShape(table) == shapeOfControlInVersion1 {
      let bank = try TypedTable<UInt32, UInt32>(table).lookup(0)
      read = former_control(bank: bank ?? 0, layout_version: 1)
    } else {
      read = try TypedTable<UInt32, former_control>(table).lookup(0) ?? former_control()
      guard read.layout_version == Tables.layoutVersion else {
        throw Refusal(
          "they have layout version \(read.layout_version), this ulb knows \(Tables.layoutVersion)")
      }
    }
    guard read.bank <= 1 else { throw Refusal("control tells of a bank \(read.bank)") }
    return read
  }

  /// The plan in force, as far as the first slot that was never used.
  private static func readPlan<Layout: FamilyLayout>(
    _ tables: Tables, _ bank: UInt32, _ layout: Layout.Type
  ) throws -> (ServerPlan, [UInt16]) {
    let slotCount = tables[.slotOfAddress].capacity
    let realServers = try TypedTable<UInt32, Layout.RealServer>(tables[.realServers])
    let rounds = try TypedTable<UInt32, UInt32>(tables[.rounds])
    var slots: [ServerPlan.Slot] = []
    var checksumDeltas: [UInt16] = []
    var addresses: Set<IPAddress> = []
    for index in 0..<slotCount {
      let key = bank * UInt32(slotCount) + UInt32(index)
      guard let entry = realServers.lookup(key), let slot = Layout.slot(entry)
      else { break }
      guard Layout.isWhole(entry) else {
        throw Refusal("slot \(index) of real_servers has two generations")
      }
      guard addresses.insert(slot.address).inserted else {
        throw Refusal("real_servers has \(slot.address) in two slots")
      }
      slots.append(slot)
      checksumDeltas.append(Layout.checksumDelta(entry))
    }
    let start = bank * UInt32(1 + tables.maxRealServers)
    let length = rounds.lookup(start) ?? 0
    guard length <= tables.maxRealServers else {
      throw Refusal("a round of \(length) turns is longer than rounds has room for")
    }
    var round: [UInt32] = []
    for turn in 0..<length {
      let slot = rounds.lookup(start + 1 + turn) ?? .max
      guard slot < slots.count, slots[Int(slot)].isListed else {
        throw Refusal("turn \(turn) of the round is of a slot without a real server: \(slot)")
      }
      round.append(slot)
    }
    guard Set(round).count == slots.count(where: \.isListed) else {
      throw Refusal("a listed real server has no turn in the round")
    }
    return (ServerPlan(capacity: slotCount, slots: slots, round: round), checksumDeltas)
  }
}
