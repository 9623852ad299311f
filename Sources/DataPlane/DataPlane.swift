// The packet path as the daemon sees it: compiled, loaded, filled, and kept up to date.
import BCC
import CLayout
import LoadBalancing

/// A loaded XDP program with its tables. Attached to nothing yet: see ``Attachment``.
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

  /// How long the steps took that led to the program and the tables in service.
  public private(set) var times: Times

  /// What the program was rendered from.
  public private(set) var configuration: Configuration
  public private(set) var program: Program
  public private(set) var tables: Tables
  var servers: ServerTable
  private var ringBuffer: RingBuffer
  private var counters: Table
  private var lostBefore: UInt64 = 0
  private var lostOfFormerPrograms: UInt64 = 0

  private var tracePipe: TracePipe?
  /// Why the program's trace points cannot be read; `nil` where they can or there are none.
  public private(set) var missingTrace: String?

  /// What libbcc printed while it compiled and loaded: the dumps that `-d` asks for, and warnings.
  public private(set) var compilerOutput: String

  /// Tables whose associations were copied into new ones, and their slots: see ``copyLate()``.
  var former: (tables: Tables, slots: [ServerTable.Slot?])?

  /// What became of the tables that another process has kept.
  public enum Adoption: Sendable, Equatable {
    /// There were none, or none that this program knows how to read.
    case none
    /// The program uses them.
    case shared
    /// Their sizes no longer fit: this many associations were copied into new tables.
    case copied(Int)
  }

  /// What became of the tables that another process has kept.
  public internal(set) var adoption = Adoption.none

  /// Renders, compiles, loads and fills the tables with the configuration's real servers.
  ///
  /// - Parameter kept: tables that another process has kept. Those that fit are used as they are,
  ///   and what they hold stays in force until ``apply(_:)``; else associations are copied.
  public convenience init(_ configuration: Configuration, adopting kept: KeptTables? = nil)
    throws(DataPlaneError)
  {
    let capacity = Renderer.slotCount(maxRealServers: configuration.maxRealServers)
    guard let kept, kept.family == configuration.family else {
      self.init(
        configuration, try DataPlane.load(configuration, keeping: nil),
        ServerTable(capacity: capacity))
      try apply(configuration.realServers)
      return
    }
    if kept.fit(configuration) {
      let plan = kept.servers
      self.init(configuration, try DataPlane.load(configuration, keeping: kept.tables), plan)
      self.configuration.realServers = plan.round.compactMap { plan.slots[Int($0)]?.address }
      adoption = .shared
      return
    }
    self.init(
      configuration, try DataPlane.load(configuration, keeping: nil),
      ServerTable(capacity: capacity))
    try apply(configuration.realServers)
    former = (kept.tables, kept.servers.slots)
    adoption = .copied(try copyFormer(onlyMissing: false))
  }

  private init(_ configuration: Configuration, _ parts: Parts, _ servers: ServerTable) {
    self.configuration = configuration
    self.servers = servers
    (program, tables) = (parts.program, parts.tables)
    (ringBuffer, counters) = (parts.ringBuffer, parts.counters)
    compilerOutput = parts.output
    times = parts.times
    openTrace()
  }

  /// Renders and compiles anew for other settings of the same tables, beside the program in
  /// service, and hands the new one to `swap`. Where any of it fails nothing has changed.
  ///
  /// - Parameter next: differs in ports, level and debug flags alone.
  public func respecialise(_ next: Configuration, swap: (Program) throws -> Void) throws {
    let parts = try DataPlane.load(next, keeping: tables)
    try swap(parts.program)
    lostOfFormerPrograms += ((try? counters.sum(Counter.eventsLost.key)) ?? 0) - lostBefore
    lostBefore = 0
    (program, ringBuffer, counters) = (parts.program, parts.ringBuffer, parts.counters)
    compilerOutput = parts.output
    let fill = times.fill
    times = parts.times
    times.fill = fill
    let hadTrace = configuration.debug > 0
    let realServers = configuration.realServers
    configuration = next
    configuration.realServers = realServers
    if hadTrace != (next.debug > 0) { openTrace() }
  }

  // MARK: Compiling

  /// What one compilation yields.
  private struct Parts {
    let program: Program
    let tables: Tables
    let ringBuffer: RingBuffer
    let counters: Table
    let output: String
    let times: Times
  }

  /// Compiles and loads. With `kept` the program uses those tables, which must fit.
  private static func load(_ configuration: Configuration, keeping kept: Tables?)
    throws(DataPlaneError) -> Parts
  {
    if let version = LibraryVersion.loaded, version < .oldestSupported {
      throw .libraryTooOld(version)
    }
    guard configuration.maxRealServers <= Tables.mostRealServers else {
      throw .outOfMemory(
        table: "real_servers",
        advice: "\(configuration.maxRealServers) real servers; lower --max_realservers (-mrs)")
    }
    var times = Times()
    var stopwatch = Stopwatch()
    let source = try Renderer.source(
      for: configuration, createdAssociations: kept == nil ? nil : 1,
      traceTag: TraceTag.ofThisProcess)
    times.render = stopwatch.lap()
    let flags = DebugFlags(rawValue: UInt32(configuration.debug))
    let headers = try KernelHeaderTree(configuration.kernelHeaders)
    do throws(BCCError) {
      let module = try Module(
        source: source, flags: flags, compilerFlags: ["-Wall"] + headers.compilerFlags)
      times.compile = stopwatch.lap()
      if let kept {
        for (name, table) in kept.all { try module.replaceTable(name, with: table) }
      }
      let tables: Tables
      if let kept { tables = kept } else { tables = try Tables(of: module) }
      if configuration.distinctPorts.count > Renderer.mostComparedPorts {
        try fillPorts(try module.table("ports"), configuration.distinctPorts)
      }
      let program = try module.loadXDPProgram("ulb", flags: flags)
      times.load = stopwatch.lap()
      return Parts(
        program: program, tables: tables, ringBuffer: try RingBuffer(module.table("events")),
        counters: try module.table("counters"), output: module.output + program.log, times: times)
    } catch {
      throw wording(error, configuration)
    }
  }

  private static func fillPorts(_ table: Table, _ ports: [UInt16]) throws(BCCError) {
    var words: [UInt32: UInt64] = [:]
    for port in ports { words[UInt32(port) / 64, default: 0] |= 1 << (UInt64(port) % 64) }
    try table.update(keys: Array(words.keys), leaves: Array(words.values))
  }

  private static func wording(_ error: BCCError, _ configuration: Configuration) -> DataPlaneError {
    guard case .tableCreation(let table, let number) = error, outOfMemory.contains(number) else {
      return .wording(error)
    }
    guard table == "associations" else {
      return .outOfMemory(
        table: table,
        advice: "\(configuration.maxRealServers) real servers; lower --max_realservers (-mrs)")
    }
    let needed = TableMemory.associations(configuration)
    return .outOfMemory(
      table: table,
      advice: """
        \(configuration.maxAssociations) associations need about \(needed); free memory, or lower \
        --max_associations (-ma)
        """)
  }

  /// ENOMEM, E2BIG and EINVAL: the last is what the kernel says to sizes beyond 32 bits.
  private static let outOfMemory: Set<Int32> = [12, 7, 22]

  // MARK: Real servers

  /// Makes `list` the list in service, in one step: no packet sees half of it. Where it fails the
  /// list before it stays in service.
  @discardableResult
  public func apply(_ list: [IPAddress]) throws(DataPlaneError) -> ServerTable.Change {
    var stopwatch = Stopwatch()
    var plan = servers
    let change = plan.apply(list)
    do throws(BCCError) {
      try write(plan, configuration.family.layout)
    } catch {
      throw .wording(error)
    }
    servers = plan
    configuration.realServers = list
    times.fill = stopwatch.lap()
    return change
  }

  private func write<Layout: FamilyLayout>(_ plan: ServerTable, _ layout: Layout.Type)
    throws(BCCError)
  {
    try RealServerTables<Layout>(
      tables: tables, virtualServer: configuration.virtualServer,
      maxRealServers: Int(configuration.maxRealServers)
    ).write(plan, replacing: servers)
  }

  // MARK: Events

  /// Hands over the events that are there, at most `limit`; never waits.
  ///
  /// - Returns: how many there were.
  @discardableResult
  public func consumeEvents(limit: Int = .max, _ body: (EventRecord) -> Void) -> Int {
    let family = configuration.family
    return ringBuffer.consume(limit: limit) { bytes in
      if let record = EventRecord(bytes, family: family) { body(record) }
    }
  }

  /// Lent for poll(2): ready to be read while there are events. Another one after each swap.
  public var eventsDescriptor: Int32 { ringBuffer.descriptorToWaitFor }

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
    guard configuration.debug > 0 else { return }
    do {
      tracePipe = try TracePipe()
    } catch {
      missingTrace = "\(error)"
    }
  }

  /// How many events were lost since the last call, because nobody took them in time.
  public func lostEvents() throws(DataPlaneError) -> UInt64 {
    do {
      let total = try counters.sum(Counter.eventsLost.key)
      defer { (lostBefore, lostOfFormerPrograms) = (total, 0) }
      return total - lostBefore + lostOfFormerPrograms
    } catch {
      throw .wording(error)
    }
  }
}

extension Configuration {
  /// The balanced ports, each once, in order.
  var distinctPorts: [UInt16] { Set(ports).sorted() }
}
