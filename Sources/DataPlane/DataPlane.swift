// The packet path as the daemon sees it: what is in force, and the one way to change it.
import BCC
import CLayout
import LoadBalancing
import SystemPackage

/// A loaded XDP program with its tables, and its place on an interface. Owns the configuration that
/// is in force: what is not in ``configuration``, no packet sees.
public final class DataPlane {
  /// How long the steps took that led to a program.
  public struct Times: Sendable {
    public var render = Duration.zero
    /// libbcc's work on the source, the creation of the tables included.
    public var compile = Duration.zero
    /// The kernel's work: the verifier and its just-in-time compiler.
    public var load = Duration.zero
    /// The last lists of real servers, from the call of ``DataPlane/apply(_:)`` to their being in
    /// force.
    public var fill = Duration.zero
  }

  /// What is in force, exactly.
  public internal(set) var configuration: Configuration
  /// The clients whose packets are reported, whatever the level.
  public private(set) var followed: [Client] = []
  /// From which MAC address packets of each real server are to come, as far as that is known. Programs
  /// that verify no gateway make nothing of it.
  public private(set) var nextHops: [IPAddress: MACAddress] = [:]
  /// Where the program is attached; `nil` for nowhere.
  public private(set) var attachment: Attachment?
  /// How long the steps took that led to the program and the lists in service.
  public private(set) var times: Times
  /// What libbcc printed while it compiled and loaded: the dumps that `-d` asks for, and warnings.
  public var compilerOutput: String { service.loaded.output }
  public var program: Program { service.loaded.program }
  public var tables: Tables { service.tables }
  private(set) var service: Service
  /// What of it others read on their threads.
  let inForce: ServiceInForce
  /// What other directors are told.
  public let changes: AssociationChanges

  private var events: EventReader
  /// How many of the lost events were told of already.
  private var lostBefore: UInt64
  /// What events call virtual servers by: those of the present and, as their events may come still,
  /// of some that have left.
  private var labels: [UInt8: String] = [:]
  private var tracePipe: TracePipe?
  /// Why the program's trace points cannot be read; `nil` where they can or there are none.
  public private(set) var missingTrace: String?

  /// Where the program, its tables and its link are kept for the next process.
  let keeper: Keeper?

  /// Renders, compiles, loads and fills new tables with the configuration's real servers.
  public convenience init(_ configuration: Configuration) throws(DataPlaneError) {
    var plan = ServicePlan()
    _ = try plan.apply(configuration.effective, mayGrow: true)
    try self.init(configuration, plan, sharing: SharedTables(), keeper: nil)
  }

  /// Renders, compiles, loads and fills.
  ///
  /// - Parameters:
  ///   - plan: that of the configuration.
  ///   - shared: tables that another process has kept and that fit.
  init(
    _ configuration: Configuration, _ plan: ServicePlan,
    sharing shared: SharedTables, keeper: Keeper?
  ) throws(DataPlaneError) {
    var stopwatch = Stopwatch()
    inForce = ServiceInForce()
    changes = AssociationChanges(inForce)
    service = try Service(configuration.effective, plan, sharing: shared)
    self.configuration = configuration
    self.keeper = keeper
    events = EventReader(service.loaded.events)
    lostBefore = service.counters.eventsLost
    times = service.loaded.times
    times.fill = stopwatch.lap() - times.render - times.compile - times.load
    // What a process that was killed had begun to insert.
    for family in shared.associations.keys {
      service.associations[family]?.forget(slots: [AssociationTable.pendingSlot])
    }
    inForce.publish(plan, service.associations)
    // When they were set is not known.
    changes.overrides.follow(configuration, at: 0)
    noteLabels()
    openTrace()
  }

  // MARK: Changes

  /// What a change has changed.
  public struct Change: Sendable {
    /// Whether another program serves.
    public internal(set) var isRecompiled = false
    /// What became of virtual servers and their real servers.
    public internal(set) var virtualServers: [VirtualServerChange]
    /// Slots of each family that have been given to other real servers.
    var reused: [AddressFamily: [UInt16]] = [:]
  }

  /// Makes `next` the configuration in force: all of it, or where that fails, nothing of it.
  ///
  /// One thing stays done where a late step fails: clients of servers that left some changes ago, and
  /// whose slots were to be reused, are forgotten, and what was counted of these servers is lost. None
  /// of the clients is served by such a server until it returns.
  ///
  /// - Parameter next: differs in what a config file sets: virtual servers and their real servers,
  ///   ports and schedulers, level, debug flags; in lists of clients; and in overrides.
  @discardableResult
  public func apply(_ next: Configuration) throws(DataPlaneError) -> Change {
    var stopwatch = Stopwatch()
    let (former, wanted) = (configuration.effective, next.effective)
    let isRendered = wanted.isRendered(differentlyFrom: former)
    var plan = service.plan
    // What is refused is refused before the compiler has been waited for.
    let planned = try plan.apply(wanted, mayGrow: isRendered)
    var change = Change(
      virtualServers: VirtualServerChange.changes(
        from: former.virtualServers, to: wanted.virtualServers), reused: planned.reused)
    if isRendered || !service.fits(plan) {
      try exchange(wanted, plan, reused: planned.reused, following: followed)
      change.isRecompiled = true
    } else {
      let changesLists = former.lists != wanted.lists
      if changesLists { try service.prepare(wanted.lists) }
      if !change.virtualServers.isEmpty || former.overrides != wanted.overrides {
        do throws(DataPlaneError) {
          try putInForce(plan, reused: planned.reused)
        } catch {
          service.withdrawLists()
          throw error
        }
      }
      if changesLists { service.commitLists() }
    }
    times.fill = stopwatch.lap()
    configuration = next
    changes.overrides.follow(next, at: changes.now.milliseconds)
    noteLabels()
    if (former.debug > 0) != (wanted.debug > 0) { openTrace() }
    return change
  }

  /// Puts a plan in force with the program in service.
  private func putInForce(
    _ plan: ServicePlan, reused: [AddressFamily: [UInt16]]
  ) throws(DataPlaneError) {
    // Packets under way may still ask the lists before those in force, in whose place these are
    // written: they would be led to the server that their client's slot is given next.
    GracePeriod.wait()
    service.forget(slots: reused, isInService: false)
    let prepared = try service.prepare(plan)
    // Slots of servers in force stay theirs, so that nothing changes for these.
    service.write(nextHops, plan)
    inForce.publish(plan, service.associations)
    service.commit(prepared, plan)
  }

  /// Says from which MAC addresses packets of real servers are to come, from now on and in each program
  /// after this one. Those of others are believed wherever they come from.
  public func verify(_ nextHops: [IPAddress: MACAddress]) {
    self.nextHops = nextHops
    service.write(nextHops, service.plan)
  }

  /// How many clients can be followed at once.
  public static let mostFollowed = 8

  /// Has all events reported of packets that are from or to some clients, whatever the level: of a
  /// frame that no port of is known, the address decides. Another program is compiled and swapped in,
  /// which takes as long as a start; where it fails, those before are followed still.
  ///
  /// They are followed until this is called again, whatever ``apply(_:)`` changes, and never by the next
  /// process.
  ///
  /// - Parameter clients: at most ``mostFollowed``; none for the ordinary program.
  public func follow(_ clients: [Client]) throws(DataPlaneError) {
    var distinct: [Client] = []
    for client in clients where !distinct.contains(client) { distinct.append(client) }
    guard distinct.count <= DataPlane.mostFollowed else { throw .tooManyFollowed(distinct.count) }
    guard Set(distinct) != Set(followed) else { return }
    try exchange(configuration.effective, service.plan, reused: [:], following: distinct)
    followed = distinct
  }

  /// Compiles a program with service tables of its own, and swaps it in.
  private func exchange(
    _ configuration: Configuration, _ plan: ServicePlan, reused: [AddressFamily: [UInt16]],
    following followed: [Client]
  ) throws(DataPlaneError) {
    let former = service
    let shared = try former.shared(with: plan, maxRealServers: configuration.maxRealServers)
    var next = try Service(configuration, plan, following: followed, sharing: shared)
    next.write(nextHops, plan)
    next.forget(slots: reused, isInService: true)
    var copy = RealServerCounterCopy(
      from: former.counters(besides: shared), to: next.counters, plan)
    do throws(BCCError) {
      keeper?.prepare(next.loaded, sharing: shared.names)
      try next.copyPositions(from: former.positions, former.plan.served)
      copy.begin()
      inForce.publish(plan, next.associations)
      try attachment?.link.update(to: next.loaded.program)
    } catch {
      inForce.publish(former.plan, former.associations)
      keeper?.withdraw()
      throw .wording(error)
    }
    keeper?.commit()
    copy.finish()
    next.forgetLeft()
    inForce.publish(next.plan, next.associations)
    service = next
    events.replaceCurrent(with: next.loaded.events)
    times = next.loaded.times
  }

  /// Does what is left to do when the program of another process has gone: see ``Handover``.
  func forgetLeft() {
    service.forgetLeft()
    inForce.publish(service.plan, service.associations)
  }

  // MARK: The interface

  /// Whether the program is on its interface still. Others may have detached it, and the interface
  /// may be gone.
  public var isAttached: Bool {
    guard let attachment else { return false }
    return (try? attachment.link.interfaceIndex()) != 0
  }

  /// Attaches the program to the configuration's interface, where it is on none.
  ///
  /// - Parameter replace: whether another XDP program has to go.
  @discardableResult
  public func attach(replace: Bool) throws(DataPlaneError) -> Attachment {
    let attachment = try Attachment(
      program, to: configuration.interface, mode: configuration.mode, replace: replace)
    take(attachment, isKept: false)
    return attachment
  }

  /// Makes known where the program has been attached.
  ///
  /// - Parameter isKept: whether the link is kept for the next process already, as what it is.
  func take(_ attachment: Attachment, isKept: Bool) {
    self.attachment = attachment
    if !isKept { keeper?.keep(attachment) }
  }

  /// Lets go of the interface. The program is detached if nobody else has kept the link.
  public func detach() { attachment = nil }

  // MARK: Events

  /// Hands over the events that are there, at most `limit`; never waits. Those of a program that was
  /// replaced come first. While clients are ``followed``, theirs may be of a level that is not the
  /// configuration's.
  ///
  /// - Returns: how many there were.
  @discardableResult
  public func consumeEvents(limit: Int = .max, _ body: (EventRecord) -> Void) -> Int {
    let (labels, family) = (labels, configuration.family)
    return events.consume(limit: limit) { bytes in
      if let record = EventRecord(bytes, labels: labels, family: family) { body(record) }
    }
  }

  /// How many events were lost since the last call, because nobody took them in time.
  public func lostEvents() -> UInt64 {
    let lost = service.counters.eventsLost
    defer { lostBefore = lost }
    return lost &- lostBefore
  }

  /// Leaves out what the process before has lost, whose events nobody has read since it ended.
  func beginCountingLost() { lostBefore = service.counters.eventsLost }

  /// Lent for poll(2): ready to be read while the program in service has told events. Another one
  /// after each swap.
  public var eventsDescriptor: FileDescriptor { events.descriptorToWaitFor }

  /// Whether programs that were replaced may tell events still, which nobody is woken for.
  public var mayHaveFormerEvents: Bool { events.mayHaveFormerEvents }

  /// Whether there may be trace lines. The kernel wakes a reader of them late, so they are looked for.
  public var isTracing: Bool { tracePipe != nil }

  /// Hands over the trace lines of this process' own programs that are there; never waits.
  public func consumeTraceLines(_ body: (String) -> Void) {
    tracePipe?.readLines { line in
      if line.contains(TraceTag.ofThisProcess) { body(line) }
    }
  }

  private func noteLabels() {
    for numbered in service.plan.served { labels[numbered.number] = numbered.virtualServer.label }
  }

  private func openTrace() {
    (tracePipe, missingTrace) = (nil, nil)
    guard configuration.effective.debug > 0 else { return }
    do {
      tracePipe = try TracePipe()
    } catch {
      missingTrace = "\(error)"
    }
  }
}
