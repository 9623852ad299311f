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
  /// `nil` where nothing is to be copied.
  private var copy: AssociationCopy?
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
    if let tables = kept.tables, tables.fit(configuration) {
      isShared = true
      keeper = Keeper(store, set: kept.set)
      dataPlane = try DataPlane(configuration, sharing: tables, keeper: keeper)
      report("The association table of the process before is taken over.")
      return
    }
    isShared = false
    keeper = Keeper(store, set: kept.unusedSet)
    dataPlane = try DataPlane(configuration, keeper: keeper)
    guard let former = kept.tables, former.family == configuration.family else { return }
    var copy = AssociationCopy(
      from: former, to: dataPlane.tables, plan: dataPlane.servers, progress: progress)
    do {
      try dataPlane.tables.setRoundPosition(former.tables.roundPosition())
      try copy.copyWhatFits()
    } catch {
      throw .wording(error)
    }
    self.copy = copy
  }

  /// Whether associations come from the process before.
  public var hasAssociations: Bool { isShared || copy != nil }

  /// Puts this process's program in the place of the former one. Where it throws, the former one
  /// serves as before.
  public func commit() throws(DataPlaneError) {
    let prepared = try dataPlane.prepare(configuration)
    if !isShared {
      keeper.keep(dataPlane.tables)
      keeper.keep(dataPlane.program)
      keeper.settle()
    }
    do {
      try takePlace()
      try dataPlane.commit(prepared)
    } catch {
      if !isShared { keeper.forgetSet() }
      keeper.settle()
      throw error
    }
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

  /// Swaps the program in where a link was kept, else attaches it.
  private func takePlace() throws(DataPlaneError) {
    if let link = kept.link,
      let taken = Attachment(
        takingOver: link, interface: configuration.interface, interfaceIndex: interfaceIndex,
        mode: configuration.mode, program: dataPlane.program)
    {
      dataPlane.attachment = taken
      report(
        "XDP program on \(configuration.interface) swapped in one step, in \(taken.mode) mode.")
      return
    }
    kept.link?.release()
    for notice in try dataPlane.attach(replace: configuration.replace).notices { report(notice) }
  }
}
