// Keeps tables and link in systemd's descriptor store, so that they outlive this process.
import DataPlane

/// What systemd keeps for the next process. Does nothing without systemd.
final class ObjectStore {
  private let serviceManager: ServiceManager
  private let set: Int
  /// What systemd did not take at once, as it was busy.
  private var pending: [String: (ObjectStore) -> Bool] = [:]

  /// - Parameter set: the number of a new set of tables.
  init(_ serviceManager: ServiceManager, set: Int) {
    self.serviceManager = serviceManager
    self.set = set
  }

  /// Keeps a new set of tables, besides the one in force if there is one.
  func keepNew(_ dataPlane: DataPlane) {
    for (name, table) in KeptObjects.names(of: dataPlane.tables, set: set) {
      keep(name) { store in table.withDescriptor { store.serviceManager.store($0, name: name) } }
    }
    let name = KeptObjects.programName(set: set)
    let program = dataPlane.program
    keep(name) { store in program.withDescriptor { store.serviceManager.store($0, name: name) } }
  }

  /// The new set is in force: forgets all that is not.
  func forget(_ names: [String]) {
    for name in names + [KeptObjects.programName(set: set)] {
      pending[name] = nil
      serviceManager.removeStored(name: name)
    }
  }

  /// Keeps a link in the place of the one before it.
  func keep(_ attachment: Attachment) {
    serviceManager.removeStored(name: KeptObjects.linkName)
    let link = attachment.link
    keep(KeptObjects.linkName) { store in
      link.withDescriptor { store.serviceManager.store($0, name: KeptObjects.linkName) }
    }
  }

  /// Tries again what systemd did not take.
  func retry() {
    for (name, attempt) in pending where attempt(self) { pending[name] = nil }
  }

  private func keep(_ name: String, _ attempt: @escaping (ObjectStore) -> Bool) {
    pending[name] = attempt(self) ? nil : attempt
  }
}
