// Renders, compiles and loads the program of a configuration, beside whatever is in service.
import BCC
import LoadBalancing
import SystemPackage

/// A program that the kernel has accepted, attached to nothing, with the tables of its own.
struct LoadedProgram {
  let program: Program
  let tables: Tables
  let events: EventSource
  /// What libbcc printed while it compiled and loaded.
  let output: String
  let times: DataPlane.Times

  /// Compiles and loads.
  ///
  /// - Parameters:
  ///   - configuration: as it stands; what its live settings say counts.
  ///   - kept: tables that the program is to use, which must fit; `nil` for new ones.
  init(_ configuration: Configuration, keeping kept: Tables? = nil) throws(DataPlaneError) {
    let configuration = configuration.effective
    if let version = LibraryVersion.loaded, version < .oldestSupported {
      throw .libraryTooOld(version)
    }
    var times = DataPlane.Times()
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
        for (name, table) in kept.all { try module.replaceTable(name.rawValue, with: table) }
      }
      if let kept { tables = kept } else { tables = try Tables(of: module, configuration.family) }
      if configuration.distinctPorts.count > Renderer.mostComparedPorts {
        try LoadedProgram.fillPorts(try module.table("ports"), configuration.distinctPorts)
      }
      program = try module.loadXDPProgram("ulb", flags: flags)
      times.load = stopwatch.lap()
      events = try EventSource(of: module)
      output = module.output + program.log
      self.times = times
    } catch {
      throw LoadedProgram.wording(error, configuration)
    }
  }

  private static func fillPorts(_ table: Table, _ ports: [UInt16]) throws(BCCError) {
    let table = try TypedTable<UInt32, UInt64>(table)
    var words: [UInt32: UInt64] = [:]
    for port in ports { words[UInt32(port) / 64, default: 0] |= 1 << (UInt64(port) % 64) }
    try table.update(keys: Array(words.keys), leaves: Array(words.values))
  }

  private static func wording(_ error: BCCError, _ configuration: Configuration) -> DataPlaneError {
    guard case .tableCreation(let table, let number) = error, outOfMemory.contains(number) else {
      return .wording(error)
    }
    let associations = TableName.associations.rawValue
    guard [associations, TableName.clients.rawValue].contains(table) else {
      return .outOfMemory(
        table: table,
        advice: "\(configuration.maxRealServers) real servers; lower --max_realservers (-mrs)")
    }
    let needed = TableMemory.associations(configuration)
    return .outOfMemory(
      table: associations,
      advice: """
        \(configuration.maxAssociations) associations need about \(needed); free memory, or lower \
        --max_associations (-ma)
        """)
  }

  /// The last is what the kernel says to sizes beyond 32 bits.
  private static let outOfMemory: Set<Errno> = [.noMemory, .argListTooLong, .invalidArgument]
}

extension Configuration {
  /// The balanced ports, each once, in order.
  var distinctPorts: [UInt16] { Set(ports).sorted() }
}
