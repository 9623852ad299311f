// What packets have counted, and where it stands in the tables of counters.
import BCC
import CLayout
import Glibc
import LoadBalancing
import Synchronization

/// The counters of a program.
struct Counters: Sendable {
  private let events: CounterTable<traffic>
  /// Of each family that the program knows, by the real server's slot; the last entry is of those
  /// whose slots others have.
  let realServers: [AddressFamily: CounterTable<real_server_counters>]
  private let associations: [AddressFamily: CounterTable<association_counters>]

  /// Held while counts go from one entry to another, so that no sum of entries misses any.
  private static let moves = Mutex(())

  init(_ tables: CounterTables, _ sizes: ProgramSizes) throws(BCCError) {
    events = try CounterTable(tables[.eventCounters, .ipv4], count: Int(EVENT_COUNTERS))
    var realServers: [AddressFamily: CounterTable<real_server_counters>] = [:]
    var associations: [AddressFamily: CounterTable<association_counters>] = [:]
    for family in tables.families {
      realServers[family] = try CounterTable(
        tables[.realServerCounters, family], count: sizes.counted(family))
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

  /// Frames on which so was decided, by the event.
  func counts(of events: some Sequence<Event>) -> [Event: TrafficCount] {
    Counters.moves.withLock { _ in
      var counts: [Event: TrafficCount] = [:]
      for event in events { counts[event] = TrafficCount(self.events[Int(event.rawValue)]) }
      guard counts[.ingressReusedNAT] != nil || counts[.egressReusedNAT] != nil else {
        return counts
      }
      for table in realServers.values {
        let known = table.ofKnownClients
        counts[.ingressReusedNAT]? += TrafficCount(known.ingress)
        counts[.egressReusedNAT]? += TrafficCount(known.egress)
      }
      return counts
    }
  }

  /// Events that nobody took in time.
  var eventsLost: UInt64 { events[Int(EVENTS_LOST)].packets }

  /// None of a slot that there is not.
  func realServer(_ slot: UInt16, _ family: AddressFamily) -> RealServerCounts {
    guard let table = realServers[family], Int(slot) < table.count - 1 else {
      return RealServerCounts()
    }
    let counters = table[Int(slot)]
    return RealServerCounts(
      ingress: TrafficCount(counters.known_ingress, counters.new_ingress),
      egress: TrafficCount(counters.known_egress, counters.new_egress),
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
  fileprivate init(_ traffic: traffic, _ other: traffic = traffic(packets: 0, bytes: 0)) {
    self.init(packets: traffic.packets &+ other.packets, bytes: traffic.bytes &+ other.bytes)
  }

  fileprivate static func += (sum: inout TrafficCount, other: TrafficCount) {
    sum.packets &+= other.packets
    sum.bytes &+= other.bytes
  }
}

extension CreationCount {
  fileprivate init(_ created: created) {
    self.init(
      byClient: created.by_client, byRealServer: created.by_real_server,
      takenOver: created.taken_over)
  }
}

extension Counters {
  /// Has slots begin at zero, which others are given. Nobody counts there any more. What was counted
  /// of events stays.
  func retire(_ slots: [UInt16], _ family: AddressFamily) {
    guard let table = realServers[family] else { return }
    for slot in slots {
      Counters.moves.withLock { _ in
        table.add(table.count - 1, table[Int(slot)].ofKnownClients)
        table.reset(Int(slot))
      }
    }
  }

  /// Goes on with the events of a family that no program knows any more, and whose counters are begun
  /// anew.
  fileprivate func takeEvents(of former: CounterTable<real_server_counters>) {
    Counters.moves.withLock { _ in
      let known = former.ofKnownClients
      events.add(Int(Event.ingressReusedNAT.rawValue), known.ingress)
      events.add(Int(Event.egressReusedNAT.rawValue), known.egress)
      for index in 0..<former.count { former.reset(index) }
    }
  }
}

extension CounterTable<real_server_counters> {
  /// What known clients' packets have counted of all entries, which is counted as events too.
  fileprivate var ofKnownClients: (ingress: traffic, egress: traffic) {
    // What packets write is read as words, and each entry once: there may be a million.
    let size = MemoryLayout<UInt64>.size
    let start = MemoryLayout<real_server_counters>.offset(of: \.known_ingress)! / size
    let end = MemoryLayout<real_server_counters>.offset(of: \.padding_to_a_line)! / size
    let words = total(start..<end)
    return (
      traffic(packets: words[0], bytes: words[1]), traffic(packets: words[2], bytes: words[3])
    )
  }
}

extension real_server_counters {
  /// What counts as events too.
  fileprivate var ofKnownClients: real_server_counters {
    var counters = real_server_counters()
    (counters.known_ingress, counters.known_egress) = (known_ingress, known_egress)
    return counters
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
          hasSameSlots.contains(family) && table.capacity == blocks * sizes.counted(family)
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
        table.capacity.isMultiple(of: slots.count + 1)
      else { continue }
      former[family] = (try CounterTable(table, count: slots.count + 1), slots)
    }
    return former
  }
}

/// Takes what was counted of real servers into tables with other slots, in two steps.
struct RealServerCounterCopy {
  /// Counters that leave service, and what their slots mean.
  typealias Former = (table: CounterTable<real_server_counters>, slots: [SlotPlan.Slot?])

  /// One entry, and what of it was taken.
  private struct Entry {
    let former, next: CounterTable<real_server_counters>
    let from, to: Int
    /// Whether it goes on as a real server's.
    let isListed: Bool
    var taken: real_server_counters?

    var counts: real_server_counters { isListed ? former[from] : former[from].ofKnownClients }
  }

  private var entries: [Entry] = []
  /// Of families that the next program does not know.
  private var left: [CounterTable<real_server_counters>] = []
  private let next: Counters

  /// - Parameters:
  ///   - former: of each family that is copied, with the members of its slots.
  ///   - next: what they are copied to, with the slots of the plan.
  init(from former: [AddressFamily: Former], to next: Counters, _ plan: ServicePlan) {
    self.next = next
    for (family, former) in former {
      guard let table = next.realServers[family] else {
        left.append(former.table)
        continue
      }
      for index in 0..<former.table.count {
        let member = index < former.slots.count ? former.slots[index]?.member : nil
        let slot = member.flatMap { plan.slot(of: $0.address, $0.virtualServer, family) }
        entries.append(
          Entry(
            former: former.table, next: table, from: index,
            to: slot.map { Int($0) } ?? table.count - 1, isListed: slot != nil))
      }
    }
  }

  /// Takes what was counted so far. To be called before the other program serves.
  mutating func begin() {
    for index in entries.indices {
      let counts = entries[index].counts
      entries[index].next.add(entries[index].to, counts)
      entries[index].taken = counts
    }
  }

  /// Takes what was counted since, once the other program serves, and before slots are freed: what is
  /// added to one of those afterwards, its next real server would begin with. Waits for the packets
  /// that the former program has under way.
  mutating func finish() {
    guard !entries.isEmpty || !left.isEmpty else { return }
    GracePeriod.wait()
    for entry in entries { entry.next.add(entry.to, entry.counts, less: entry.taken) }
    for table in left { next.takeEvents(of: table) }
    (entries, left) = ([], [])
  }
}
