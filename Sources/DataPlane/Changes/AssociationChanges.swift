// What changes in the association tables, for other directors: found by comparing, so that packets pay
// nothing for it.
import Glibc
import LoadBalancing
import Synchronization

/// Finds changes, and keeps the last of them, while somebody listens. May be used from any thread.
public final class AssociationChanges: Sendable {
  struct State {
    /// What times are counted from; `nil` where nobody listens.
    var clock: ChangeTime?
    var tables: [AddressFamily: any TableComparing] = [:]
    fileprivate var version: UInt64 = 0
    fileprivate var walk = AssociationChanges.beginning
    fileprivate var usesLeft = 0
    fileprivate var usesOf: Int64 = 0
    fileprivate var lastHeard = Timestamp(seconds: 0)

    func table<Key: ClientKey>(_ family: AddressFamily, of type: Key.Type) -> ComparedTable<Key>? {
      tables[family] as? ComparedTable<Key>
    }
  }

  let service: ServiceInForce
  let log: ChangeLog
  let overrides = OverrideBook()
  private let clock: @Sendable () -> Timestamp
  private let state = Mutex(State())
  private let listeners = Atomic(0)
  /// Whether a task compares while somebody listens. Not where a test says when that is done: what it
  /// does in several steps would be seen between them.
  let comparesByItself = Atomic(true)

  /// The most uses that are told in a second: they keep the order of use, and may be late.
  private static let mostUses = 2_000
  /// Buckets of a piece: a millisecond or two where all of them have changed.
  private static let atOnce = 1 << 14
  /// How long the copies stay when nobody listens, in seconds.
  private static let patience: Int64 = 600

  /// - Parameter clock: the time of day.
  init(
    _ service: ServiceInForce, log: ChangeLog = ChangeLog(),
    clock: @escaping @Sendable () -> Timestamp = AssociationChanges.timeOfDay
  ) {
    (self.service, self.log, self.clock) = (service, log, clock)
  }

  @Sendable private static func timeOfDay() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
  }

  fileprivate static var beginning: BucketWalk { BucketWalk(atOnce: atOnce) }

  var now: Timestamp { clock() }

  // MARK: Listening

  /// Begins to read changes.
  ///
  /// - Parameter cursor: where to go on; where that cannot be, the whole of what is shared comes first.
  public func read(since cursor: ChangeCursor? = nil) -> ChangeReading {
    begin()
    return ChangeReading(self, since: cursor)
  }

  /// Begins to compare, where that has not begun. Takes some ten milliseconds then.
  public func begin() {
    let hasBegun = state.withLock { state in
      let now = clock()
      state.lastHeard = now
      guard state.clock == nil else { return false }
      begin(&state, at: now)
      return true
    }
    guard hasBegun, comparesByItself.load(ordering: .relaxed) else { return }
    // Who compares must not hold what is compared.
    Task.detached { [weak self] in
      var pace = ChangePace()
      while let (look, cost) = self?.lookIfFree() {
        switch look {
        case .ended: return
        case .piece, .pass: await pace.rest(after: cost, isPass: look == .pass)
        case nil: try? await Task.sleep(for: .milliseconds(2))
        }
      }
    }
  }

  /// Copies the tables as they are.
  private func begin(_ state: inout State, at now: Timestamp) {
    let clock = ChangeTime(from: now)
    var content = service.now
    while true {
      state.tables = [:]
      for (family, table) in content.tables {
        let slots = SharedSlots(content.plan, family)
        let compared: any TableComparing =
          switch family {
          case .ipv4: ComparedTable<IPv4ClientKey>(table, family, slots)
          case .ipv6: ComparedTable<IPv6ClientKey>(table, family, slots)
          }
        var findings = ChangeFindings(clock: clock, now: clock.units(now.milliseconds), uses: 0)
        findings.timesOfRanks = content.timesOfRanks(family, at: now, clock)
        for piece in table.pieces { compared.take(compared.differing(piece), &findings) }
        state.tables[family] = compared
      }
      let present = service.now
      if present.version == content.version { break }
      content = present
    }
    (state.clock, state.version, state.walk) = (clock, content.version, Self.beginning)
    log.begin()
  }

  /// Somebody listens from now on.
  func join() { listeners.add(1, ordering: .relaxed) }

  /// Somebody listens no more.
  func leave() {
    listeners.subtract(1, ordering: .relaxed)
    state.withLock { $0.lastHeard = clock() }
  }

  /// Whether nobody has listened for so long that the copies have gone.
  private func endsIfUnheard(_ state: inout State, at now: Timestamp) -> Bool {
    guard listeners.load(ordering: .relaxed) == 0,
      now.seconds - state.lastHeard.seconds > Self.patience
    else { return false }
    state = State()
    log.begin()
    return true
  }

  // MARK: Comparing

  /// What came of a look at some buckets.
  enum Look {
    /// There are more.
    case piece
    /// They were the last of a pass.
    case pass
    /// Nobody listens any more.
    case ended
  }

  /// As ``look()``, and what it has cost of a CPU; `nil` where another thread is at it, which may take
  /// tens of milliseconds.
  private func lookIfFree() -> (look: Look?, cost: Duration) {
    let began = ChangePace.processorTime
    let found = state.withLockIfAvailable { look(&$0, at: clock()) }
    return (found, ChangePace.processorTime - began)
  }

  /// Looks at the next buckets.
  func look() -> Look { state.withLock { look(&$0, at: clock()) } }

  private func look(_ state: inout State, at now: Timestamp) -> Look {
    guard let clock = state.clock, !endsIfUnheard(&state, at: now) else { return .ended }
    guard !clock.isEnding(at: now), follow(&state) else {
      begin(&state, at: now)
      return .pass
    }
    var walk = state.walk
    guard let (family, buckets) = walk.next(service.now.tables),
      let table = state.tables[family]
    else {
      state.walk = Self.beginning
      return .pass
    }
    let lines = table.differing(buckets)
    // What was seen has the meaning that it had before and has still.
    guard service.now.version == state.version else { return .piece }
    state.walk = walk
    find(&state, at: now) { findings in
      table.take(lines, &findings)
      // The last bucket of a table is the last of a pass over it.
      if buckets.upperBound == table.bucketCount { table.settle(&findings) }
    }
    var rest = walk
    guard rest.next(service.now.tables) == nil else { return .piece }
    state.walk = Self.beginning
    return .pass
  }

  /// Takes over the plan in force.
  ///
  /// - Returns: false where the tables are others.
  private func follow(_ state: inout State) -> Bool {
    let content = service.now
    guard content.version != state.version else { return true }
    guard Set(content.tables.keys) == Set(state.tables.keys) else { return false }
    for (family, table) in content.tables where state.tables[family]?.isOf(table) != true {
      return false
    }
    for (family, table) in content.tables {
      state.tables[family]?.take(table, SharedSlots(content.plan, family))
    }
    state.version = content.version
    return true
  }

  /// Has changes found, and tells them.
  private func find(
    _ state: inout State, at now: Timestamp, _ body: (inout ChangeFindings) -> Void
  ) {
    guard let clock = state.clock else { return }
    if state.usesOf != now.seconds {
      (state.usesOf, state.usesLeft) = (now.seconds, Self.mostUses)
    }
    var findings = ChangeFindings(
      clock: clock, now: clock.units(now.milliseconds), uses: state.usesLeft)
    body(&findings)
    state.usesLeft = findings.uses
    log.append(findings.changes, at: now)
  }

  // MARK: What this process does itself

  /// Does something with the tables and their copies, while nobody else looks at these. Nothing where
  /// nobody listens.
  func change(_ body: (State, inout ChangeFindings) -> Void) {
    state.withLock { state in
      let now = clock()
      guard state.clock != nil else { return }
      if !follow(&state) { begin(&state, at: now) }
      find(&state, at: now) { [state] in body(state, &$0) }
    }
  }

  /// Tells that clients were forgotten on request.
  ///
  /// - Parameter isWhole: whether those are told too who are shared with nobody.
  func tell(forgotten: [AssociationReading.Found], isWhole: Bool) {
    guard !forgotten.isEmpty else { return }
    change { state, findings in
      for found in forgotten {
        guard let (label, wasShared) = state.tables[found.client.address.family]?.forget(found),
          isWhole || wasShared
        else { continue }
        findings.changes.append(
          .gone(
            GoneAssociation(
              at: findings.clock.milliseconds(findings.now), client: found.client,
              reason: .forgotten, virtualServer: label)))
      }
    }
  }

  /// Tells what is set of a real server now.
  public func tellOverride(of realServer: IPAddress, behind virtualServer: VirtualServer) {
    let target = Overrides.Target(name: virtualServer.name, address: realServer)
    guard let override = overrides[target] else { return }
    log.append([.override(override)], at: clock())
  }

  // MARK: The whole

  /// Where the whole begins: behind all that the copies have.
  func beginWhole() -> ChangeCursor { state.withLock { _ in log.end } }

  /// The next of what is shared; `nil` at the end, and where it is that of another generation.
  func associations(
    _ walk: inout BucketWalk, of generation: UInt64
  ) -> [AssociationChange]? {
    state.withLock { state in
      guard let clock = state.clock, log.end.generation == generation,
        let (family, buckets) = walk.next(counting: { state.tables[$0]?.bucketCount ?? 0 })
      else { return nil }
      return state.tables[family]?.associations(buckets, clock) ?? []
    }
  }
}

extension ServiceInForce.Content {
  /// When clients of each rank were seen at the earliest: what is not known is older than all.
  fileprivate func timesOfRanks(
    _ family: AddressFamily, at now: Timestamp, _ clock: ChangeTime
  ) -> [UInt32] {
    (0...UInt8.max).map { rank in
      guard let after = lastUse(rank: rank, family, at: now)?.after else {
        return ChangeTime.unknown
      }
      return clock.units(after.milliseconds)
    }
  }
}
