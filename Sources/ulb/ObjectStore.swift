// Keeps tables and link in systemd's descriptor store, so that they outlive this process.
import DataPlane

/// What systemd keeps for the next process. Does nothing without systemd.
struct ObjectStore {
  private let serviceManager: ServiceManager
  private let set: Int

  /// - Parameter set: the number of a new set of tables.
  init(_ serviceManager: ServiceManager, set: Int) {
    self.serviceManager = serviceManager
    self.set = set
  }

  /// Keeps a new set of tables, besides the one in force if there is one.
  func keepNew(_ dataPlane: DataPlane) {
    for (name, table) in KeptObjects.names(of: dataPlane.tables, set: set) {
      table.withDescriptor { serviceManager.store($0, name: name) }
    }
    dataPlane.program.withDescriptor {
      serviceManager.store($0, name: KeptObjects.programName(set: set))
    }
  }

  /// The new set is in force: forgets all that is not.
  func forget(_ names: [String]) {
    for name in names + [KeptObjects.programName(set: set)] {
      serviceManager.removeStored(name: name)
    }
  }

  /// Keeps a link in the place of the one before it.
  func keep(_ attachment: Attachment) {
    serviceManager.removeStored(name: KeptObjects.linkName)
    attachment.link.withDescriptor {
      serviceManager.store($0, name: KeptObjects.linkName)
    }
  }
}
