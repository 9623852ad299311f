// Keeps tables, program and link in systemd's descriptor store, so that they outlive this process.
import DataPlane

/// What systemd keeps for the next process. Does nothing without systemd.
final class SystemdStore: ObjectStore {
  private let serviceManager: ServiceManager

  init(_ serviceManager: ServiceManager) {
    self.serviceManager = serviceManager
  }

  func keep(_ object: any KernelObject, as name: String) {
    object.withDescriptor { serviceManager.store($0, name: name) }
  }

  func forget(_ name: String) { serviceManager.removeStored(name: name) }

  func settle() { serviceManager.drain() }
}
