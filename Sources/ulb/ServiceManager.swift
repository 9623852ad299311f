// What the service manager is told. Without one, nothing happens; a failure is said once.
import Systemd

/// Tells systemd how the daemon does; never stops the daemon.
final class ServiceManager {
  private let notifier: Notifier?
  private let log: Log
  private var hasFailed = false

  init(log: Log) {
    self.log = log
    do {
      notifier = try Notifier()
    } catch {
      notifier = nil
      log.warning("the service manager cannot be told anything: \(error)")
    }
  }

  /// How often the watchdog wants to be told; `nil` if it does not.
  var watchdogInterval: Duration? { notifier?.watchdogInterval }

  func ready(_ status: String) { tell { try $0.ready(status: status) } }
  func status(_ text: String) { tell { try $0.status(text) } }
  func reloading() { tell { try $0.reloading() } }
  func stopping() { tell { try $0.stopping() } }
  func watchdog() { tell { try $0.watchdog() } }

  /// Hands a descriptor to systemd's store under a name. Does nothing without systemd.
  ///
  /// - Returns: false where it has to be tried again.
  func store(_ descriptor: Int32, name: String) -> Bool {
    tell { try $0.store([descriptor], name: name) }
  }

  /// Takes what is stored under a name out of systemd's store.
  func removeStored(name: String) {
    tell { try $0.remove(name: name) }
  }

  @discardableResult
  private func tell(_ message: (Notifier) throws -> Void) -> Bool {
    guard let notifier else { return true }
    do {
      try message(notifier)
      hasFailed = false
      return true
    } catch {
      if !hasFailed { log.warning("the service manager does not hear: \(error)") }
      hasFailed = true
      return false
    }
  }
}
