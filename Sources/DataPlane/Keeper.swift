// What is kept for the process after this one, and under which names.
import BCC

/// A table, a program or a link.
public typealias KernelObject = BCC.KernelObject

/// Keeps kernel objects by name over the end of this process.
public protocol ObjectStore: AnyObject {
  /// Keeps an object under a name, besides what is kept under it already.
  func keep(_ object: any KernelObject, as name: String)
  /// Lets go of all that is kept under a name.
  func forget(_ name: String)
  /// Waits a moment for what was asked to be done.
  func settle()
}

/// Keeps the objects of one data plane.
final class Keeper {
  private let store: any ObjectStore
  /// The number of the set that the data plane's tables are.
  private let set: Int

  /// The names under which links are kept.
  private var linkNames: Set<String>

  /// - Parameter kept: what the process before has kept.
  init(_ store: any ObjectStore, set: Int, kept: KeptObjects) {
    self.store = store
    self.set = set
    linkNames = kept.namesOfLinks
  }

  /// Keeps a new set of tables and their program, besides the set in force if there is one.
  func keepSet(_ tables: Tables, _ program: Program) {
    for (name, object) in objects(tables, program) { store.keep(object, as: name) }
    store.settle()
  }

  /// Lets go of what ``keepSet(_:_:)`` has kept.
  func forgetSet(_ tables: Tables, _ program: Program) {
    for (name, _) in objects(tables, program) { store.forget(name) }
    store.settle()
  }

  private func objects(
    _ tables: Tables, _ program: Program
  ) -> [(name: String, object: any KernelObject)] {
    KeptObjects.names(of: tables, set: set).map { ($0.name, $0.table) }
      + [(KeptObjects.programName(set: set), program)]
  }

  /// Keeps the program that uses the tables, in the place of the one before it.
  func keep(_ program: Program) {
    let name = KeptObjects.programName(set: set)
    store.forget(name)
    store.keep(program, as: name)
  }

  /// Keeps a link in the place of all before it. systemd drops a second descriptor of one file, so
  /// they go first.
  func keep(_ attachment: Attachment) {
    for name in linkNames { store.forget(name) }
    let name = KeptObjects.linkName(attachment.choice)
    store.keep(attachment.link, as: name)
    linkNames = [name]
  }

  func forget(_ name: String) { store.forget(name) }
}
