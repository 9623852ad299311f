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
    /// The last list of real servers, from the call of ``DataPlane/apply(_:)`` to its being in force.
    public var fill = Duration.zero
  }

  /// What is in force, exactly.
  public internal(set) var configuration: Configuration
  /// Where the program is attached; `nil` for nowhere.
  public private(set) var attachment: Attachment?
  public let tables: Tables
  /// How long the steps took that led to the program and the tables in service.
  public private(set) var times: Times
  /// What libbcc printed while it compiled and loaded: the dumps that `-d` asks for, and warnings.
  public private(set) var compilerOutput: String
  public private(set) var program: Program
  private(set) var servers: ServerPlan

  private var realServerTables: any RealServerWriter
  /// Whether packets may use the tables: not before they are filled for the first time.
  private var isInService: Bool
  let associations: AssociationTable
  let position: RoundPosition
  private var events: EventReader
  private var tracePipe: TracePipe?
  /// Why the program's trace points cannot be read; `nil` where they can or there are none.
  public private(set) var missingTrace: String?

  /// Where the program, its tables and its link are kept for the next process.
  let keeper: Keeper?

  /// Renders, compiles, loads and fills new tables with the configuration's real servers.
  public convenience init(_ configuration: Configuration) throws(DataPlaneError) {
    try self.init(configuration, keeper: nil)
  }

  convenience init(_ configuration: Configuration, keeper: Keeper?) throws(DataPlaneError) {
    var empty = configuration
    empty.realServers = []
    let loaded = try LoadedProgram(configuration)
    do throws(BCCError) {
      try AssociationTable.begin(loaded.tables, maxAssociations: configuration.maxAssociations)
      let capacity = ServerPlan.capacity(maxRealServers: configuration.maxRealServers)
      try self.init(
        empty, loaded, ServerPlan(capacity: capacity), tablesAreUsed: false, keeper: keeper)
    } catch {
      throw .wording(error)
    }
    if let list = try prepare(configuration.realServers) { commit(list) }
    isInService = true
  }

  /// Renders, compiles and loads a program for tables that another process has kept and that fit.
  /// The list of real servers that they hold stays in force.
  convenience init(_ configuration: Configuration, sharing kept: PresentTables, keeper: Keeper?)
    throws(DataPlaneError)
  {
    var inForce = configuration
    inForce.realServers = kept.servers.list
    let loaded = try LoadedProgram(configuration, keeping: kept.tables)
    do throws(BCCError) {
      try self.init(inForce, loaded, kept.servers, tablesAreUsed: true, keeper: keeper)
    } catch {
      throw .wording(error)
    }
    // What a process that was killed had begun to insert.
    associations.forget(slots: [AssociationTable.pendingSlot])
  }

  private init(
    _ configuration: Configuration, _ loaded: LoadedProgram, _ servers: ServerPlan,
    tablesAreUsed: Bool, keeper: Keeper?
  ) throws(BCCError) {
    self.configuration = configuration
    self.servers = servers
    self.keeper = keeper
    isInService = tablesAreUsed
    tables = loaded.tables
    realServerTables = try makeRealServerWriter(
      loaded.tables, virtualServer: configuration.virtualServer, isUsed: tablesAreUsed)
    associations = try AssociationTable(loaded.tables)
    position = try RoundPosition(loaded.tables)
    program = loaded.program
    events = EventReader(loaded.events)
    compilerOutput = loaded.output
    times = loaded.times
    openTrace()
  }

  // MARK: Changes

  /// What a change has changed.
  public struct Change: Sendable {
    /// Whether another program serves.
    public internal(set) var isRecompiled = false
    /// What became of the list; `nil` where it is the same.
    public internal(set) var realServers: ServerPlan.Change?
  }

  /// A list of real servers that is written beside the one in force.
  struct PreparedList {
    fileprivate let list: [IPAddress]
    fileprivate let plan: ServerPlan
    fileprivate let change: ServerPlan.Change
    fileprivate let written: PreparedPlan
    fileprivate var stopwatch: Stopwatch
  }

  /// Makes `next` the configuration in force: all of it, or where that fails, nothing of it.
  ///
  /// - Parameter next: differs in what a config file sets: real servers, ports, level, debug flags.
  @discardableResult
  public func apply(_ next: Configuration) throws(DataPlaneError) -> Change {
    // What is refused is refused before the compiler has been waited for.
    _ = try plan(next.realServers)
    let isRendered = next.effective.isRendered(differentlyFrom: configuration.effective)
    let loaded = isRendered ? try LoadedProgram(next, keeping: tables) : nil
    let list = try prepare(next.realServers)
    var change = Change()
    if let loaded {
      do { try attachment?.link.update(to: loaded.program) } catch { throw .wording(error) }
      take(loaded)
      change.isRecompiled = true
    }
    if let list { change.realServers = commit(list) }
    let hadTrace = configuration.effective.debug > 0
    configuration = next
    if hadTrace != (configuration.effective.debug > 0) { openTrace() }
    return change
  }

  /// Writes a list of real servers, without a packet's seeing any of it.
  ///
  /// One thing stays done where a later step fails: clients of servers that left the list some
  /// changes ago, and whose slots were to be reused, are forgotten. None of them is served by such a
  /// server until it returns.
  ///
  /// - Returns: `nil` where the list is the one in force.
  func prepare(_ list: [IPAddress]) throws(DataPlaneError) -> PreparedList? {
    let stopwatch = Stopwatch()
    guard let (plan, change) = try plan(list) else { return nil }
    // Packets under way may still ask the list before the one in force, in whose place this one is
    // written: it would lead them to the server that their client's slot is given next. They make
    // associations with servers of that list, too; after this, nobody does with one that has left.
    if isInService { GracePeriod.wait() }
    if !change.reused.isEmpty { associations.forget(slots: change.reused.map { UInt16($0) }) }
    do throws(BCCError) {
      return PreparedList(
        list: list, plan: plan, change: change, written: try realServerTables.prepare(plan),
        stopwatch: stopwatch)
    } catch {
      throw .wording(error)
    }
  }

  /// Puts a list in force in one step, which cannot fail.
  @discardableResult
  func commit(_ prepared: PreparedList) -> ServerPlan.Change {
    var prepared = prepared
    realServerTables.commit(prepared.written)
    servers = prepared.plan
    configuration.realServers = prepared.list
    times.fill = prepared.stopwatch.lap()
    return prepared.change
  }

  /// - Returns: `nil` where the list is the one in force.
  private func plan(_ list: [IPAddress]) throws(DataPlaneError)
    -> (ServerPlan, ServerPlan.Change)?
  {
    guard list != configuration.realServers else { return nil }
    var plan = servers
    do {
      let change = try plan.apply(list)
      return (plan, change)
    } catch {
      throw .tooManyAddresses(error)
    }
  }

  private func take(_ loaded: LoadedProgram) {
    program = loaded.program
    events.replaceCurrent(with: loaded.events)
    compilerOutput = loaded.output
    let fill = times.fill
    times = loaded.times
    times.fill = fill
    keeper?.keep(program)
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
  /// replaced come first.
  ///
  /// - Returns: how many there were.
  @discardableResult
  public func consumeEvents(limit: Int = .max, _ body: (EventRecord) -> Void) -> Int {
    let family = configuration.family
    return events.consume(limit: limit) { bytes in
      if let record = EventRecord(bytes, family: family) { body(record) }
    }
  }

  /// How many events were lost since the last call, because nobody took them in time.
  public func lostEvents() throws(DataPlaneError) -> UInt64 {
    do { return try events.newlyLost() } catch { throw .wording(error) }
  }

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
