// What is kept for the process after this one, and under which names.
import BCC
import LoadBalancing

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

/// Keeps the objects of one data plane. A program and its tables are kept before a link to it is, and
/// those before them are forgotten after: which program is in force, the link tells.
final class Keeper {
  private let store: any ObjectStore
  /// What no kept object has as its number.
  private var unusedNumber: Int
  private var inForce: KeptNames
  /// Of a program that is kept besides the one in force.
  private var prepared: KeptNames?
  /// The names under which links are kept.
  private var linkNames: Set<String>

  /// - Parameter kept: what the process before has kept.
  init(_ store: any ObjectStore, _ kept: KeptObjects) {
    self.store = store
    unusedNumber = kept.unusedNumber
    inForce = kept.namesInForce
    linkNames = kept.namesOfLinks
  }

  /// Keeps a program with its tables, besides those in force. Tables that are kept already stay as
  /// they are.
  ///
  /// - Parameter shared: the tables that it shares with the program in force.
  func prepare(_ loaded: LoadedProgram, sharing shared: Set<TableName>) {
    let number = unusedNumber
    unusedNumber += 1
    var names = KeptNames()
    func keep(_ object: any KernelObject, as kind: String) -> String {
      let name = KeptObjects.name(of: kind, number)
      store.keep(object, as: name)
      return name
    }
    for (name, table) in loaded.tables.all {
      let present = shared.contains(name) ? inForce.tables[name] : nil
      names.tables[name] = present ?? keep(table, as: name.description)
    }
    names.program = keep(loaded.program, as: KeptObjects.programKind)
    prepared = names
    store.settle()
  }

  /// Lets go of what ``prepare(_:sharing:)`` has kept.
  func withdraw() {
    guard let prepared else { return }
    for name in prepared.all.subtracting(inForce.all) { store.forget(name) }
    self.prepared = nil
    store.settle()
  }

  /// Lets go of all but what ``prepare(_:sharing:)`` has kept, which is in force now.
  ///
  /// - Parameter stale: names besides those that were in force.
  func commit(stale: Set<String> = []) {
    guard let prepared else { return }
    for name in inForce.all.union(stale).subtracting(prepared.all).sorted() { store.forget(name) }
    inForce = prepared
    self.prepared = nil
  }

  /// Keeps a link in the place of all before it. systemd drops a second descriptor of one file, so
  /// they go first.
  func keep(_ attachment: Attachment) {
    for name in linkNames { store.forget(name) }
    let name = KeptObjects.linkName(attachment.choice)
    store.keep(attachment.link, as: name)
    linkNames = [name]
  }
}

/// The names under which a program and its tables are kept.
struct KeptNames: Sendable {
  var tables: [TableName: String] = [:]
  var program: String?

  var all: Set<String> { Set(tables.values).union(program.map { [$0] } ?? []) }
}
