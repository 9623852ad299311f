// Renders, compiles and loads the program of a configuration, beside whatever is in service.
import BCC
import CLayout
import LoadBalancing
import SystemPackage

/// A program that the kernel has accepted, attached to nothing, with its tables.
struct LoadedProgram {
  let program: Program
  let tables: Tables
  /// The table of slots by the hash of their addresses, of each family with several virtual servers.
  /// It is not kept.
  let likelySlots: [AddressFamily: Table]
  /// The lists of clients, where there are any. They are not kept.
  let lists: ListTables?
  /// What frames of real servers begin with, of each family, where gateways are verified. They are not
  /// kept.
  let nextHops: [AddressFamily: Table]
  let events: RingBuffer
  /// What libbcc printed while it compiled and loaded.
  let output: String
  let passes: Passes
  private(set) var times: DataPlane.Times

  /// Who optimises the program. libbcc hands what clang returns to passes of its own, so that clang's
  /// are a third of the time for nothing a packet would notice; but not each verifier follows all that
  /// libbcc's alone make of it.
  enum Passes {
    case libbcc, clangAndLibbcc

    /// Whose are tried, and whose where the verifier refuses that. A program that has trace points and
    /// follows clients keeps the most at hand, and what clang's passes leave of it takes less of the stack:
    /// LLVM ends the process where that is more than the 512 bytes that there are.
    static func attempts(
      _ configuration: Configuration, following followed: [Client]
    ) -> (first: Passes, second: Passes) {
      followed.isEmpty || configuration.debug == 0
        ? (.libbcc, .clangAndLibbcc) : (.clangAndLibbcc, .libbcc)
    }

    /// What clang is told besides where the kernel's headers are. What debuggers want, and which types share
    /// no address, libbcc asks for, and both together are a quarter of the time, for the same byte code. Its
    /// dumps of byte code want the lines, and so does who reads why a program is refused.
    func compilerFlags(for dumps: DebugFlags = []) -> [String] {
      let hasLines = dumps.contains(.byteCode) || self == .clangAndLibbcc
      let flags = ["-Wall", "-fno-strict-aliasing", hasLines ? "-gline-tables-only" : "-g0"]
      return switch self {
      case .libbcc: flags + ["-Xclang", "-disable-llvm-passes"]
      case .clangAndLibbcc: flags
      }
    }
  }

  /// Compiles and loads. The service tables are new.
  ///
  /// - Parameters:
  ///   - configuration: with its live settings put in.
  ///   - followed: clients whose packets are reported, whatever the level.
  ///   - shared: tables that the program is to use, which must fit; new ones are made of all others.
  init(
    _ configuration: Configuration, _ served: [NumberedVirtualServer], _ sizes: ProgramSizes,
    following followed: [Client] = [], sharing shared: SharedTables = SharedTables()
  ) throws(DataPlaneError) {
    let attempts = Passes.attempts(configuration, following: followed)
    var stopwatch = Stopwatch()
    do throws(DataPlaneError) {
      try self.init(configuration, served, sizes, followed, shared, optimisedBy: attempts.first)
    } catch {
      guard case .bpf(.verification) = error else { throw error }
      let lost = stopwatch.lap()
      try self.init(configuration, served, sizes, followed, shared, optimisedBy: attempts.second)
      times.compile += lost
    }
  }

  private init(
    _ configuration: Configuration, _ served: [NumberedVirtualServer], _ sizes: ProgramSizes,
    _ followed: [Client], _ shared: SharedTables, optimisedBy passes: Passes
  ) throws(DataPlaneError) {
    if let version = LibraryVersion.loaded, version < .oldestSupported {
      throw .libraryTooOld(version)
    }
    var times = DataPlane.Times()
    var stopwatch = Stopwatch()
    let source = try Renderer.source(
      for: configuration, served, sizes, following: followed, cpus: CounterBlocks.cpus(),
      sharing: shared.names, traceTag: TraceTag.ofThisProcess)
    times.render = stopwatch.lap()
    let flags = DebugFlags(rawValue: UInt32(configuration.debug))
    let headers = try KernelHeaderTree(configuration.kernelHeaders)
    do throws(BCCError) {
      let module = try Module(
        source: source, flags: flags,
        compilerFlags: passes.compilerFlags(for: flags) + headers.compilerFlags)
      times.compile = stopwatch.lap()
      tables = try LoadedProgram.tables(of: module, configuration, sizes.families, shared)
      let maps = Renderer.serviceMaps(served)
      try LoadedProgram.fillServiceMaps(module, maps)
      likelySlots = try LoadedProgram.likelySlots(of: module, maps)
      lists = configuration.lists.isAny ? try ListTables(of: module, sizes.families) : nil
      var nextHops: [AddressFamily: Table] = [:]
      if configuration.verifiesGateway {
        for family in sizes.families {
          nextHops[family] = try module.table("next_hops_v\(family.version)")
        }
      }
      self.nextHops = nextHops
      program = try module.loadXDPProgram("ulb", flags: flags)
      // What is kept belongs together by what the program is said to use: the names, too, which no
      // packet asks for.
      for (_, table) in tables.all { try program.bind(table) }
      times.load = stopwatch.lap()
      events = try RingBuffer(module.table("events"))
      output = module.output + program.log
      self.passes = passes
      self.times = times
    } catch {
      throw LoadedProgram.wording(error, configuration)
    }
  }

  private static func tables(
    of module: Module, _ configuration: Configuration, _ families: [AddressFamily],
    _ shared: SharedTables
  ) throws(BCCError) -> Tables {
    var associations: [AddressFamily: AssociationTables] = [:]
    for family in families {
      if let tables = shared.associations[family] {
        for (name, table) in tables.all {
          try module.replaceTable(name.description, with: table)
        }
        associations[family] = tables
      } else {
        let tables = try AssociationTables(of: module, family)
        try AssociationTable.begin(
          tables, maxAssociations: configuration.maxAssociations,
          hasClasses: configuration.hasClasses)
        associations[family] = tables
      }
    }
    for (name, table) in shared.counters { try module.replaceTable(name.description, with: table) }
    let counters = try CounterTables(of: module, families, sharing: shared.counters)
    if shared.counters[TableName(.eventCounters, of: .ipv4)] == nil {
      try Counters.begin(counters)
    }
    return Tables(
      associations: associations, counters: counters,
      service: try ServiceTables(of: module, families))
  }

  /// Fills what the packet path looks up of addresses and ports. It is the program's own: nobody
  /// else asks for it.
  private static func fillServiceMaps(_ module: Module, _ maps: [ServiceMap]) throws(BCCError) {
    func fill<Leaf: BitwiseCopyable>(_ name: String, _ entries: [UInt32: Leaf]) throws(BCCError) {
      guard !entries.isEmpty else { return }
      let table = try TypedTable<UInt32, Leaf>(try module.table(name))
      try table.update(keys: Array(entries.keys), leaves: Array(entries.values))
    }
    for map in maps {
      if map.addressesAreHashed { try fill("addresses_v\(map.family.version)", map.cells) }
      try fill("virtual_server_of_port", map.portLines)
    }
  }

  private static func likelySlots(
    of module: Module, _ maps: [ServiceMap]
  ) throws(BCCError) -> [AddressFamily: Table] {
    var tables: [AddressFamily: Table] = [:]
    for map in maps where map.count > 1 {
      tables[map.family] = try module.table("likely_slots_v\(map.family.version)")
    }
    return tables
  }

  private static func wording(_ error: BCCError, _ configuration: Configuration) -> DataPlaneError {
    guard case .tableCreation(let text, let number) = error, outOfMemory.contains(number) else {
      return .wording(error)
    }
    let name = TableName(text)
    let table = name?.kind.rawValue ?? text
    guard let name, let family = name.family, [.associations, .clients].contains(name.kind) else {
      return .outOfMemory(
        table: table,
        advice: "\(configuration.maxRealServers) real servers; lower --max_realservers (-mrs)")
    }
    let needed = TableMemory.associations(configuration.maxAssociations, family)
    return .outOfMemory(
      table: TableKind.associations.rawValue,
      advice: """
        \(configuration.maxAssociations) associations need about \(needed); free memory, or lower \
        --max_associations (-ma)
        """)
  }

  /// The last is what the kernel says to sizes beyond 32 bits.
  private static let outOfMemory: Set<Errno> = [.noMemory, .argListTooLong, .invalidArgument]
}
