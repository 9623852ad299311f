// A program with its tables and what they hold: all that a packet sees, as a whole.
import BCC
import LoadBalancing

/// A loaded program whose tables are filled with a plan.
struct Service {
  let loaded: LoadedProgram
  let sizes: ProgramSizes
  /// Of each family that the program knows.
  let associations: [AddressFamily: AssociationTable]
  let counters: Counters
  let positions: RoundPositions
  /// What is in force, once the program is.
  private(set) var plan: ServicePlan
  private var writer: ServiceWriter
  private var lists: ListWriter?
  private let nextHops: NextHopWriter

  var tables: Tables { loaded.tables }

  /// Renders, compiles, loads and fills, beside whatever is in service.
  ///
  /// - Parameters:
  ///   - configuration: with its live settings put in.
  ///   - plan: that of the configuration.
  ///   - followed: clients whose packets are reported, whatever the level.
  ///   - shared: tables that are in service already; new ones are made of all others.
  init(
    _ configuration: Configuration, _ plan: ServicePlan,
    following followed: [Client] = [], sharing shared: SharedTables
  ) throws(DataPlaneError) {
    sizes = plan.sizes(maxRealServers: configuration.maxRealServers)
    loaded = try LoadedProgram(
      configuration, plan.served, sizes, following: followed, sharing: shared)
    self.plan = plan
    do throws(BCCError) {
      var associations: [AddressFamily: AssociationTable] = [:]
      for (family, tables) in loaded.tables.associations {
        associations[family] = try AssociationTable(tables)
      }
      self.associations = associations
      counters = try Counters(loaded.tables.counters, sizes)
      positions = try RoundPositions(loaded.tables.service)
      writer = try ServiceWriter(loaded, sizes)
      try writer.fill(plan)
      nextHops = try NextHopWriter(loaded.nextHops)
      if let tables = loaded.lists {
        var lists = try ListWriter(tables)
        try lists.prepare(configuration.lists)
        lists.commit()
        self.lists = lists
      }
    } catch {
      throw .wording(error)
    }
  }

  /// The tables that a program for another plan, which goes on from this one, takes over.
  func shared(with plan: ServicePlan, maxRealServers: UInt32) throws(DataPlaneError) -> SharedTables
  {
    let families = plan.families
    return SharedTables(
      associations: tables.associations.filter { families.contains($0.key) },
      counters: try CounterTables.fitting(
        Dictionary(uniqueKeysWithValues: tables.counters.all.map { ($0.name, $0.table) }),
        plan.sizes(maxRealServers: maxRealServers),
        hasSameSlots: Set(families)))
  }

  /// What was counted of real servers, where other tables than these go on counting.
  func counters(besides shared: SharedTables) -> [AddressFamily: RealServerCounterCopy.Former] {
    var former: [AddressFamily: RealServerCounterCopy.Former] = [:]
    for (family, table) in counters.realServers
    where shared.counters[TableName(.realServerCounters, of: family)] == nil {
      former[family] = (table, plan.slots(of: family))
    }
    return former
  }

  /// Whether another plan can be put in force without another program, as far as there is room.
  func fits(_ plan: ServicePlan) -> Bool { plan.fits(sizes) }

  /// Writes another plan, without a packet's seeing any of it.
  mutating func prepare(_ plan: ServicePlan) throws(DataPlaneError) -> PreparedService {
    do throws(BCCError) { return try writer.prepare(plan) } catch { throw .wording(error) }
  }

  /// Puts another plan in force, which cannot fail.
  mutating func commit(_ prepared: PreparedService, _ plan: ServicePlan) {
    writer.commit(prepared, plan)
    self.plan = plan
  }

  /// Writes from which MAC addresses packets of a plan's real servers are to come: at once for those of
  /// the plan in force. Cannot fail, and does nothing where gateways are not verified.
  func write(_ addresses: [IPAddress: MACAddress], _ plan: ServicePlan) {
    nextHops.write(addresses, plan)
  }

  /// Writes other lists of clients, without a packet's seeing any of it.
  mutating func prepare(_ other: ClientLists) throws(DataPlaneError) {
    do throws(BCCError) { try lists?.prepare(other) } catch { throw .wording(error) }
  }

  /// Removes the lists of clients that were prepared.
  mutating func withdrawLists() { lists?.withdraw() }

  /// Puts the lists of clients that were prepared in force, which cannot fail.
  mutating func commitLists() { lists?.commit() }

  /// Forgets the associations that lead to slots which another plan gives to other members, and what
  /// was counted of these. None of them is served until its real server returns.
  ///
  /// - Parameter isInService: whether packets may be under way that have seen the list before the
  ///   one in force. They make associations with servers of that list, too; after this, nobody does
  ///   with one that has left.
  func forget(slots: [AddressFamily: [UInt16]], isInService: Bool) {
    guard !slots.isEmpty else { return }
    if isInService { GracePeriod.wait() }
    for (family, slots) in slots {
      associations[family]?.forget(slots: slots)
      // Nobody counts there any more.
      counters.retire(slots, family)
    }
  }

  /// Forgets the associations of virtual servers that have left, and frees their slots and numbers.
  /// The program has been swapped in.
  mutating func forgetLeft() {
    let left = plan.left
    forget(
      slots: left.reduce(into: [:]) { slots, family in
        slots[family.key] = family.value.flatMap { plan.slots(of: $0, family.key) }
      }, isInService: true)
    plan.forgetLeft()
  }

  /// Has the rounds begin where those of another program are, as far as their virtual servers are
  /// the same.
  func copyPositions(
    from other: RoundPositions, _ virtualServers: [NumberedVirtualServer]
  ) throws(BCCError) {
    for numbered in plan.served {
      let isSame = virtualServers.contains {
        $0.number == numbered.number && $0.virtualServer.family == numbered.virtualServer.family
      }
      if isSame { try positions.write(numbered.number, other.read(numbered.number)) }
    }
  }
}

extension Renderer {
  /// The source of the program that a configuration begins with.
  ///
  /// - Parameters:
  ///   - configuration: with its live settings put in.
  ///   - cpus: how many CPUs have counters of their own: this machine's where none are given.
  public static func source(
    for configuration: Configuration, cpus: Int? = nil, traceTag: String = "ulb: "
  ) throws(DataPlaneError) -> String {
    var plan = ServicePlan()
    _ = try plan.apply(configuration, mayGrow: true)
    let cpus = if let cpus { cpus } else { try CounterBlocks.cpus() }
    return try source(
      for: configuration, plan.served, plan.sizes(maxRealServers: configuration.maxRealServers),
      cpus: cpus, traceTag: traceTag)
  }
}
