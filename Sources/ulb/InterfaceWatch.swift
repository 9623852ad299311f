// Keeps the program on its interface, and knows how that is.
import DataPlane
import LoadBalancing
import SystemPackage

/// Looks at the interface when the kernel has news of it, and each second, as the program may be
/// taken off it without any. An interface that comes back gets its program again.
final class InterfaceWatch {
  /// What is wrong with the interface, in words, and since when.
  private(set) var fault: (text: String, since: Timestamp)?
  /// Called when ``fault`` or the attachment has changed.
  var onChange: () -> Void = {}
  /// Called when the interface has been gone for too long, with the reason.
  var onLoss: (DataPlaneError) -> Void = { _ in }

  private let dataPlane: DataPlane
  private let log: Log
  private let monitor: InterfaceMonitor?
  private var state = InterfaceState.up
  private var lostAt: ContinuousClock.Instant?

  private static let interval = Duration.seconds(1)

  init(_ dataPlane: DataPlane, log: Log) {
    self.dataPlane = dataPlane
    self.log = log
    do throws(Errno) {
      monitor = try InterfaceMonitor()
    } catch {
      monitor = nil
      log.warning("the state of the interface is not seen: \(error)")
    }
  }

  func start(on loop: EventLoop) {
    _ = loop.watch(self.monitor?.descriptor, for: .reading) { [unowned self] in
      monitor?.clear()
      look()
    }
    loop.every(Self.interval) { [unowned self] in look() }
    look()
  }

  private func look() {
    if let attachment = dataPlane.attachment {
      guard !dataPlane.isAttached else {
        return follow(monitor?.state(of: attachment.interfaceIndex) ?? .up)
      }
      dataPlane.detach()
      lostAt = .now
      let name = dataPlane.configuration.interface
      let isThere = (try? Attachment.index(of: name)) != nil
      let text =
        isThere
        ? "the XDP program was removed from \(name), or it was replaced"
        : "the interface \(name) is gone"
      log.error(text)
      show(text)
    }
    guard let lostAt else { return }
    do throws(DataPlaneError) {
      // Whoever took the interface over keeps it: two that replace each other would never end.
      for notice in try dataPlane.attach(replace: false).notices { log.notice(notice) }
      (self.lostAt, state) = (nil, .up)
      show(nil)
      look()
    } catch {
      guard .now - lostAt >= .seconds(dataPlane.configuration.interfaceWait) else { return }
      onLoss(error)
    }
  }

  /// Says when the interface no longer carries packets, and when it does again.
  private func follow(_ state: InterfaceState) {
    guard state != self.state else { return }
    self.state = state
    let name = dataPlane.configuration.interface
    if let text = state.fault(of: name) {
      log.warning(text)
      show(text)
    } else {
      log.notice("The interface \(name) is up again.")
      show(nil)
    }
  }

  private func show(_ text: String?) {
    fault = text.map { ($0, Clock.now) }
    onChange()
  }
}
