// Keeps tables and link in systemd's descriptor store, so that they outlive this process.
import DataPlane

/// What systemd keeps for the next process. Does nothing without systemd.
final class ObjectStore {
  private let serviceManager: ServiceManager
  private var generation: Int
  /// What systemd did not take at once, as it was busy.
  private var pending: [String: (ObjectStore) -> Bool] = [:]

  init(_ serviceManager: ServiceManager, generation: Int) {
    self.serviceManager = serviceManager
    self.generation = generation
  }

  /// Keeps a new set of tables, besides the one in force if there is one.
  func keepNew(_ dataPlane: DataPlane) {
    generation += 1
    for (name, table) in KeptObjects.names(of: dataPlane.tables, generation: generation) {
      keep(name) { store in table.withDescriptor { store.serviceManager.store($0, name: name) } }
    }
    let name = KeptObjects.programName(generation: generation)
    let program = dataPlane.program
    keep(name) { store in program.withDescriptor { store.serviceManager.store($0, name: name) } }
  }

  /// The new set is in force: forgets all that is not.
  func forget(_ names: [String]) {
    for name in names + [KeptObjects.programName(generation: generation)] {
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
