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
  private let isShared: Bool
  /// Whether new tables are kept besides those of the process before.
  private var isSetKept = false
  /// `nil` where nothing is to be copied.
  private var copy: (any AssociationCopying)?
  private let report: (String) -> Void
  private let warn: (String) -> Void

  /// Adopts the tables that fit, else makes new ones and copies what associations fit.
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
    if case .present(let tables)? = kept.tables, tables.fit(configuration) {
      isShared = true
      keeper = Keeper(store, set: kept.set, kept: kept)
      dataPlane = try DataPlane(configuration, sharing: tables, keeper: keeper)
      report("The association table of the process before is taken over.")
      return
    }
    isShared = false
    keeper = Keeper(store, set: kept.unusedSet, kept: kept)
    dataPlane = try DataPlane(configuration, keeper: keeper)
    guard let former = kept.tables, former.family == configuration.family else { return }
    do {
      var copy = try makeAssociationCopy(
        from: former, to: dataPlane.associations, plan: dataPlane.servers, progress: progress)
      try dataPlane.position.write(former.roundPosition.read())
      try copy.copyWhatFits()
      self.copy = copy
    } catch {
      throw .wording(error)
    }
  }

  /// Whether associations come from the process before.
  public var hasAssociations: Bool { isShared || copy != nil }

  /// Puts this process's program in the place of the former one. Where it throws, the former one
  /// serves as before.
  public func commit() throws(DataPlaneError) {
    let list = try dataPlane.prepare(configuration.realServers)
    do throws(DataPlaneError) {
      try takePlace()
    } catch {
      if isSetKept { keeper.forgetSet(dataPlane.tables, dataPlane.program) }
      throw error
    }
    if let list { dataPlane.commit(list) }
    if isShared { keeper.keep(dataPlane.program) }
    settle()
    for name in kept.staleNames(isReplaced: !isShared) { keeper.forget(name) }
  }

  /// Copies what is left to copy. The program serves already, and goes on where this fails.
  func settle() {
    guard var copy else { return }
    do {
      report("\(try copy.copyRest()) association(s) copied into the new tables.")
    } catch {
      warn("Not all associations could be copied into the new tables: \(error)")
    }
    self.copy = nil
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
      keepSet()
      dataPlane.take(attachment, isKept: false)
      for notice in attachment.notices { report(notice) }
      // Those of another interface, which ulb has left for this one.
      for other in links { other.link.release() }
      return
    }
    let former = Attachment(
      link: own.link, interface: configuration.interface, interfaceIndex: interfaceIndex,
      mode: mode, choice: own.choice ?? Attachment.Choice(mode, wanted: .generic))
    keepSet()
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

  /// Keeps the new tables and their program before a link to it is kept: which set is in force is told
  /// by the program that the link holds.
  private func keepSet() {
    guard !isShared else { return }
    isSetKept = true
    keeper.keepSet(dataPlane.tables, dataPlane.program)
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
