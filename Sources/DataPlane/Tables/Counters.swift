// What packets have counted, and where it stands in the tables of counters.
import BCC
import CLayout
import Glibc
import LoadBalancing

/// The counters of a program.
struct Counters: Sendable {
  private let events: CounterTable<traffic>
  /// Of each family that the program knows, by the real server's slot.
  let realServers: [AddressFamily: CounterTable<real_server_counters>]
  private let associations: [AddressFamily: CounterTable<association_counters>]

  init(_ tables: CounterTables, _ sizes: ProgramSizes) throws(BCCError) {
    events = try CounterTable(tables[.eventCounters, .ipv4], count: Int(EVENT_COUNTERS))
    var realServers: [AddressFamily: CounterTable<real_server_counters>] = [:]
    var associations: [AddressFamily: CounterTable<association_counters>] = [:]
    for family in tables.families {
      realServers[family] = try CounterTable(
        tables[.realServerCounters, family], count: sizes.slots[family] ?? 1)
      associations[family] = try CounterTable(tables[.associationCounters, family], count: 1)
    }
    (self.realServers, self.associations) = (realServers, associations)
  }

  /// Makes a table of event counters that has just been created one that begins now.
  static func begin(_ tables: CounterTables) throws(BCCError) {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let table = try CounterTable<traffic>(
      tables[.eventCounters, .ipv4], count: Int(EVENT_COUNTERS))
    let nanoseconds = UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    table.add(Int(COUNTING_SINCE), traffic(packets: nanoseconds, bytes: 0))
  }

  /// Counts associations that the daemon has forgotten for another client. By the daemon's loop alone.
  func addForgotten(_ count: Int, _ family: AddressFamily) {
    guard count > 0 else { return }
    var counts = association_counters()
    counts.forgotten_newcomers = UInt64(count)
    associations[family]?.add(0, counts)
  }

  // MARK: Reading

  /// When counting began.
  var since: Timestamp {
    let nanoseconds = events.own(Int(COUNTING_SINCE)).packets
    return Timestamp(
      seconds: Int64(nanoseconds / 1_000_000_000), nanoseconds: Int64(nanoseconds % 1_000_000_000))
  }

  subscript(event: Event) -> TrafficCount { TrafficCount(events[Int(event.rawValue)]) }

  /// Events that nobody took in time.
  var eventsLost: UInt64 { events[Int(EVENTS_LOST)].packets }

  /// None of a slot that there is not.
  func realServer(_ slot: UInt16, _ family: AddressFamily) -> RealServerCounts {
    guard let table = realServers[family], Int(slot) < table.count else {
      return RealServerCounts()
    }
    let counters = table[Int(slot)]
    return RealServerCounts(
      ingress: TrafficCount(counters.ingress), egress: TrafficCount(counters.egress),
      created: CreationCount(counters.created))
  }

  func associations(of family: AddressFamily) -> AssociationCounts {
    guard let counters = associations[family]?[0] else { return AssociationCounts() }
    return AssociationCounts(
      created: CreationCount(counters.created),
      forgottenNewcomers: counters.forgotten_newcomers,
      forgottenAnswered: counters.forgotten_answered,
      forgottenResidents: counters.forgotten_residents, withoutPlace: counters.without_place)
  }
}

extension TrafficCount {
  fileprivate init(_ traffic: traffic) {
    self.init(packets: traffic.packets, bytes: traffic.bytes)
  }
}

extension CreationCount {
  fileprivate init(_ created: created) {
    self.init(
      byClient: created.by_client, byRealServer: created.by_real_server,
      takenOver: created.taken_over)
  }
}

// MARK: From program to program

extension CounterTables {
  /// Those that a program of other sizes can count in.
  ///
  /// - Parameters:
  ///   - kept: by their names; of the layout's shapes.
  ///   - sizes: of the other program.
  ///   - hasSameSlots: families whose slots mean the same in both.
  static func fitting(
    _ kept: [TableName: Table], _ sizes: ProgramSizes, hasSameSlots: Set<AddressFamily>
  ) throws(DataPlaneError) -> [TableName: Table] {
    let blocks = CounterBlocks.count(cpus: try CounterBlocks.cpus())
    var fitting: [TableName: Table] = [:]
    for name in TableName.counters(of: sizes.families) {
      guard let table = kept[name] else { continue }
      let fits =
        switch (name.kind, name.family) {
        case (.realServerCounters, let family?):
          hasSameSlots.contains(family) && table.capacity == blocks * (sizes.slots[family] ?? 0)
        case (.eventCounters, _): table.capacity == blocks * Int(EVENT_COUNTERS)
        default: table.capacity == blocks
        }
      if fits { fitting[name] = table }
    }
    return fitting
  }
}

extension PresentTables {
  /// What was counted of real servers, with the members of their slots, where other tables than these
  /// go on counting.
  func realServerCounters(
    besides shared: SharedTables
  ) throws(BCCError) -> [AddressFamily: RealServerCounterCopy.Former] {
    var former: [AddressFamily: RealServerCounterCopy.Former] = [:]
    for (family, slots) in slots {
      let name = TableName(.realServerCounters, of: family)
      guard shared.counters[name] == nil, let table = counters[name], !slots.isEmpty,
        table.capacity.isMultiple(of: slots.count)
      else { continue }
      former[family] = (try CounterTable(table, count: slots.count), slots)
    }
    return former
  }
}

/// Takes what was counted of real servers into tables with other slots.
struct RealServerCounterCopy {
  /// Counters that leave service, and what their slots mean.
  typealias Former = (table: CounterTable<real_server_counters>, slots: [SlotPlan.Slot?])

  private var copies: [CounterCopy<real_server_counters>] = []

  /// - Parameters:
  ///   - former: of each family that is copied, with the members of its slots.
  ///   - next: what they are copied to, with the slots of the plan.
  init(
    from former: [AddressFamily: Former], to next: Counters, _ plan: ServicePlan
  ) {
    for (family, former) in former {
      guard let table = next.realServers[family] else { continue }
      var entries: [(from: Int, to: Int)] = []
      for (index, slot) in former.slots.enumerated() where index < former.table.count {
        guard let member = slot?.member,
          let slot = plan.slot(of: member.address, member.virtualServer, family)
        else { continue }
        entries.append((index, Int(slot)))
      }
      copies.append(CounterCopy(from: former.table, to: table, entries: entries))
    }
  }

  /// Before the other program serves.
  mutating func begin() {
    for index in copies.indices { copies[index].begin() }
  }

  /// Once it does, and before slots are freed: what is added to one of those afterwards, its next real
  /// server would begin with. Waits for the packets that the former program has under way.
  mutating func finish() {
    guard copies.contains(where: { !$0.isEmpty }) else { return }
    GracePeriod.wait()
    for index in copies.indices { copies[index].finish() }
  }
}
