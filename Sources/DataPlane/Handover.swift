// One process takes the place of the one before: adopts or copies its tables, swaps the program.
import BCC
import LoadBalancing

/// The change from the process before to this one. Until ``commit()`` the former program serves with
/// tables of which nothing was taken, and where it fails it goes on so.
public final class Handover {
  /// Compiled, loaded and filled. Attached by ``commit()``.
  public let dataPlane: DataPlane
  private let configuration: Configuration
  private let kept: KeptObjects
  private let interfaceIndex: UInt32
  private let keeper: Keeper
  /// The tables that are those of the process before.
  private let shared: SharedTables
  /// Slots that are given to other real servers.
  private var reused: [AddressFamily: [UInt16]] = [:]
  /// Whether this process's program is kept besides that of the process before.
  private var isKept = false
  /// Of each family of which there is something to be copied.
  private var copies: [any AssociationCopying] = []
  private var counterCopy: RealServerCounterCopy?
  private let report: (String) -> Void
  private let warn: (String) -> Void

  /// Adopts the association tables that fit, else makes new ones and copies what associations fit.
  ///
  /// - Parameters:
  ///   - kept: what the process before has handed on.
  ///   - store: where this one's objects are kept for the process after it.
  ///   - report: is told what an operator wants to know, a line each.
  ///   - warn: is told what was dealt with but did not go well.
  ///   - progress: is told how far steps are that may take long.
  public init(
    _ configuration: Configuration, from kept: KeptObjects, store: any ObjectStore,
    report: @escaping (String) -> Void, warn: @escaping (String) -> Void,
    progress: @escaping (String) -> Void
  ) throws(DataPlaneError) {
    self.configuration = configuration
    self.kept = kept
    self.report = report
    self.warn = warn
    // A name that does not exist is said before anything is compiled.
    interfaceIndex = try Attachment.index(of: configuration.interface)
    keeper = Keeper(store, kept)
    let start = try Start(configuration, kept.tables)
    shared = start.shared
    reused = start.reused
    dataPlane = try DataPlane(
      configuration, start.plan, sharing: start.shared, keeper: keeper)
    if !shared.associations.isEmpty {
      report("The association table of the process before is taken over.")
    }
    guard let former = kept.tables else { return }
    do throws(BCCError) {
      try copyPositions(from: former)
      for family in former.families {
        guard shared.associations[family] == nil, let table = dataPlane.service.associations[family]
        else { continue }
        var copy = try makeAssociationCopy(
          from: former, family, to: table, plan: dataPlane.service.plan, progress: progress)
        try copy.copyWhatFits()
        copies.append(copy)
      }
      if case .present(let tables) = former {
        counterCopy = RealServerCounterCopy(
          from: try tables.realServerCounters(besides: shared), to: dataPlane.service.counters,
          dataPlane.service.plan)
      }
    } catch {
      throw .wording(error)
    }
  }

  /// With what a process begins.
  private struct Start {
    var plan: ServicePlan
    var shared = SharedTables()
    var reused: [AddressFamily: [UInt16]] = [:]

    /// - Parameter tables: those of the process before.
    init(_ configuration: Configuration, _ tables: KeptTables?) throws(DataPlaneError) {
      guard case .present(let present)? = tables else {
        plan = ServicePlan()
        _ = try plan.apply(configuration.effective, mayGrow: true)
        return
      }
      // Each name that is configured still has its number, and so the associations.
      let holders = present.virtualServers.compactMapValues { server in
        server.name.map { VirtualServerPlan.Holder(name: $0, family: server.family) }
      }
      var fitting = present.associations.filter {
        present.maxAssociations[$0.key] == configuration.maxAssociations
          && present.hasClasses[$0.key] == configuration.hasClasses
      }
      do throws(DataPlaneError) {
        let slots = present.slots.filter { [fitting] in fitting[$0.key] != nil }
          .mapValues { slots in
            SlotPlan(capacity: (slots.lastIndex { $0 != nil } ?? -1) + 1, slots: slots)
          }
        let numbers = slots.values.flatMap { $0.slots.compactMap { $0?.member.virtualServer } }
        var plan = ServicePlan(
          numbers: VirtualServerPlan(
            holders: holders, unswept: Set(numbers).subtracting(present.virtualServers.keys)),
          slots: slots)
        reused = try plan.apply(configuration.effective, mayGrow: true).reused
        fitting = fitting.filter { plan.families.contains($0.key) }
        (self.plan, shared.associations) = (plan, fitting)
      } catch {
        // What is too much beside all that was there may not be beside none of it.
        plan = ServicePlan(numbers: VirtualServerPlan(holders: holders))
        _ = try plan.apply(configuration.effective, mayGrow: true)
      }
      shared.counters = try CounterTables.fitting(
        present.counters, plan.sizes(maxRealServers: configuration.maxRealServers),
        hasSameSlots: Set(shared.associations.keys))
    }
  }

  /// Whether associations come from the process before.
  public var hasAssociations: Bool { !shared.associations.isEmpty || !copies.isEmpty }

  /// Has the rounds of virtual servers begin where those of the process before are.
  private func copyPositions(from former: KeptTables) throws(BCCError) {
    let service = dataPlane.service
    for numbered in service.plan.served {
      let (number, family) = (numbered.number, numbered.virtualServer.family)
      switch former {
      case .present(let tables) where tables.virtualServers[number]?.family == family:
        try service.positions.write(number, tables.roundPositions.read(number))
      case .former(let tables) where number == 0 && tables.family == family:
        try service.positions.write(number, tables.roundPosition)
      default: break
      }
    }
  }

  /// Puts this process's program in the place of the former one. Where it throws, the former one
  /// serves as before.
  public func commit() throws(DataPlaneError) {
    dataPlane.service.forget(slots: reused, isInService: true)
    do throws(DataPlaneError) {
      do throws(BCCError) {
        if case .present(let tables)? = kept.tables { try copyPositions(from: .present(tables)) }
      } catch {
        throw .wording(error)
      }
      counterCopy?.begin()
      try takePlace()
    } catch {
      if isKept { keeper.withdraw() }
      throw error
    }
    keeper.commit(stale: kept.names)
    dataPlane.beginCountingLost()
    counterCopy?.finish()
    dataPlane.forgetLeft()
    settle()
  }

  /// Copies what is left to copy. The program serves already, and goes on where this fails.
  func settle() {
    guard !copies.isEmpty else { return }
    var count = 0
    do {
      for index in copies.indices { count += try copies[index].copyRest() }
      report("\(count) association(s) copied into the new tables.")
    } catch {
      warn("Not all associations could be copied into the new tables: \(error)")
    }
    copies = []
  }

  // MARK: The interface

  /// Swaps the program in where a link was kept, else attaches it. Where it throws, the program of
  /// before is in its place, or what it throws says that it is not.
  private func takePlace() throws(DataPlaneError) {
    let links = kept.links.filter { (try? $0.link.interfaceIndex()) != 0 }
    guard let own = links.first(where: { (try? $0.link.interfaceIndex()) == interfaceIndex }),
      let mode = (try? XDPAttachment.current(interfaceIndex: interfaceIndex))?.mode
    else {
      let attachment = try Attachment(
        dataPlane.program, to: configuration.interface, mode: configuration.mode,
        replace: configuration.replace)
      keepProgram()
      dataPlane.take(attachment, isKept: false)
      for notice in attachment.notices { report(notice) }
      // Those of another interface, which ulb has left for this one.
      for other in links { other.link.release() }
      return
    }
    let former = Attachment(
      link: own.link, interface: configuration.interface, interfaceIndex: interfaceIndex,
      mode: mode, choice: own.choice ?? Attachment.Choice(mode, wanted: .generic))
    keepProgram()
    if stays(in: mode, former.choice) {
      return try swap(former, as: Attachment.Choice(mode, wanted: configuration.mode))
    }
    if let program = kept.program(of: own.link) { return try changeMode(former, program) }
    guard configuration.mode == .auto else {
      throw .modeInUse(interface: configuration.interface, mode: mode.rawValue)
    }
    report("The program of before was not kept: the mode is chosen at the next restart.")
    try swap(former, as: former.choice)
  }

  /// Keeps the new program and its tables before a link to it is kept: what is in force is told by the
  /// program that the link holds.
  private func keepProgram() {
    isKept = true
    keeper.prepare(dataPlane.service.loaded, sharing: shared.names)
  }

  /// Whether the mode of a kept link is right. In generic mode `auto` is right only where it has
  /// tried: to try it each time would leave packets alone for a moment each time.
  private func stays(in mode: XDPMode, _ choice: Attachment.Choice) -> Bool {
    switch configuration.mode {
    case .auto: mode == .native || choice == .fallback
    case .native: mode == .native
    case .generic: mode == .generic
    }
  }

  private func swap(_ former: Attachment, as choice: Attachment.Choice) throws(DataPlaneError) {
    let taken = try Attachment(
      dataPlane.program, into: former.link, on: former.interface, interfaceIndex: interfaceIndex,
      mode: former.mode, choice: choice)
    let isKept = kept.links.count == 1 && kept.links[0].choice == choice
    dataPlane.take(taken, isKept: isKept)
    report("XDP program on \(taken.interface) swapped in one step, in \(taken.mode) mode.")
  }

  /// Detaches the program of before and attaches this one in another mode: the kernel knows no swap
  /// between the two, and lets neither be tried beside the other.
  private func changeMode(_ former: Attachment, _ program: Program) throws(DataPlaneError) {
    report(
      "XDP on \(former.interface) leaves \(former.mode) mode: this is no swap, and packets are not "
        + "balanced for a moment.")
    former.link.release()
    do throws(DataPlaneError) {
      for notice in try dataPlane.attach(replace: false).notices { report(notice) }
    } catch let first {
      do throws(BCCError) {
        keeper.keep(try Attachment(back: program, on: former))
      } catch {
        throw .notRestored(wanted: "\(first)", former: "\(error)")
      }
      throw first
    }
  }
}
