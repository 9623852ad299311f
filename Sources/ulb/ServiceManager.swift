// What the service manager is to be told, in order, and again until it has taken it.
import Glibc
import SystemPackage
import Systemd

/// Tells systemd how the daemon does; never stops the daemon. Without systemd nothing happens.
///
/// systemd's queue may be full at any moment, or its socket not there. What it has not taken waits
/// here, in its order: what is stored before `READY=1`, `RELOADING=1` before the `READY=1` after it.
/// Of the status only the last counts.
final class ServiceManager {
  private let notifier: Notifier?
  private let log: Log
  private var outbox: [Message] = []
  private var status: String?
  private var isStatusTold = true
  private var isWatchdogDue = false
  private var hasFailed = false
  /// Whether the last failure was that the manager's queue is full.
  private var isBusy = false
  private var lastProgress: ContinuousClock.Instant?
  private var probe: StoreProbe?
  /// Asked for when it is needed first: meanwhile systemd has had time to answer.
  private lazy var isStoreOpen = askForStore()

  private enum Message {
    case ready
    /// With the time at which it began: CLOCK_MONOTONIC, in microseconds.
    case reloading(since: UInt64)
    case stopping
    case store(name: String, descriptor: OwnedDescriptor)
    case remove(name: String)
  }

  /// - Parameters:
  ///   - hasKept: whether it has handed on something, and so keeps descriptors; else it is asked.
  ///   - notifier: the way to the service manager; by default that of the environment.
  init(log: Log, hasKept: Bool, notifier: () throws -> Notifier? = { try Notifier() }) {
    self.log = log
    do {
      self.notifier = try notifier()
    } catch {
      self.notifier = nil
      log.warning("the service manager cannot be told anything: \(error)")
    }
    probe = hasKept ? nil : self.notifier.flatMap { try? StoreProbe($0) }
  }

  /// How often the watchdog wants to be told; `nil` if it does not.
  var watchdogInterval: Duration? { notifier?.watchdogInterval }

  /// Whether something waits for the manager to listen: see ``retry()``.
  var isBehind: Bool { !outbox.isEmpty || !isStatusTold || isWatchdogDue }

  /// What `systemctl status` shows from now on.
  func show(_ text: String) {
    guard text != status else { return }
    (status, isStatusTold) = (text, false)
    retry()
  }

  /// The start, or a reload, is complete.
  func ready() { tell(.ready) }

  /// A reload begins; ``ready()`` follows.
  func reloading() {
    // A reload that began and ended untold is not worth telling any more.
    if case .ready? = outbox.last, case .reloading? = outbox.dropLast().last {
      outbox.removeLast(2)
    }
    tell(.reloading(since: Notifier.monotonicMicroseconds))
  }

  /// The daemon is on its way out. What was to be stored is not any more: what is here is let go.
  func stopping() {
    outbox.removeAll {
      if case .store = $0 { true } else { false }
    }
    tell(.stopping)
  }

  /// The daemon is alive.
  func watchdog() {
    isWatchdogDue = true
    retry()
  }

  /// Shows how far a long step of the start is, and asks for more time for it once a second.
  func progress(_ text: String) {
    let now = ContinuousClock.now
    if let notifier, lastProgress.map({ now - $0 >= .seconds(1) }) ?? true {
      lastProgress = now
      _ = attempt { try notifier.extendTimeout(Self.extension) }
    }
    show(text)
  }

  /// How long after a sign of progress the next may be.
  private static let `extension` = Duration.seconds(30)

  /// Hands a descriptor to systemd's store, beside what is there under this name.
  func store(_ descriptor: FileDescriptor, name: String) {
    guard notifier != nil, isStoreOpen else { return }
    do throws(Errno) {
      tell(.store(name: name, descriptor: try OwnedDescriptor(duplicating: descriptor)))
    } catch {
      log.warning("\(name) is not kept over a restart: \(error)")
    }
  }

  /// One that does not answer in time is taken to keep what it gets. One that keeps nothing has said
  /// so in its own log, and is spared the rest.
  private func askForStore() -> Bool {
    // What was offered goes with the question.
    defer { probe = nil }
    return probe?.isOpen(within: .milliseconds(500)) != false
  }

  /// Takes what is stored under a name out of systemd's store.
  func removeStored(name: String) {
    guard isStoreOpen else { return }
    outbox.removeAll {
      if case .store(name, _) = $0 { true } else { false }
    }
    tell(.remove(name: name))
  }

  /// Tells what the manager has not taken before.
  func retry() {
    guard let notifier else {
      (outbox, isStatusTold, isWatchdogDue) = ([], true, false)
      return
    }
    if isWatchdogDue, attempt({ try notifier.watchdog() }) { isWatchdogDue = false }
    while let message = outbox.first {
      guard attempt({ try send(message, notifier) }) else { return }
      outbox.removeFirst()
    }
    if !isStatusTold, let status, attempt({ try notifier.status(status) }) { isStatusTold = true }
  }

  /// How soon to try again: a manager that is behind catches up soon, one that is not there may not
  /// come back.
  var retryInterval: Duration { isBusy ? .milliseconds(100) : .seconds(1) }

  /// Tells the rest, with patience of a second for a manager that is behind.
  func drain() {
    if isBehind { retry() }
    for _ in 0..<50 where isBehind && isBusy {
      usleep(20_000)
      retry()
    }
  }

  private func tell(_ message: Message) {
    guard notifier != nil else { return }
    outbox.append(message)
    retry()
  }

  private func send(_ message: Message, _ notifier: Notifier) throws {
    switch message {
    case .ready:
      // One step: what was in force before is not shown as ready.
      try notifier.ready(status: status)
      isStatusTold = true
    case .reloading(let since): try notifier.reloading(since: since)
    case .stopping: try notifier.stopping()
    case .store(let name, let descriptor):
      try notifier.store([descriptor.file], name: name)
    case .remove(let name): try notifier.remove(name: name)
    }
  }

  /// - Returns: whether it is done with: taken, or such that it never will be.
  private func attempt(_ send: () throws -> Void) -> Bool {
    do {
      try send()
      (hasFailed, isBusy) = (false, false)
      return true
    } catch {
      if !hasFailed { log.warning("the service manager does not hear: \(error)") }
      (hasFailed, isBusy) = (true, (error as? SystemdError)?.isBusy == true)
      return (error as? SystemdError)?.mayPass == false
    }
  }
}

/// A descriptor of our own, closed with this.
private final class OwnedDescriptor {
  let file: FileDescriptor

  /// Fails where the process has no room for another one.
  init(duplicating other: FileDescriptor) throws(Errno) {
    let number = fcntl(other.rawValue, F_DUPFD_CLOEXEC, 3)
    guard number >= 0 else { throw Errno(rawValue: errno) }
    file = FileDescriptor(rawValue: number)
  }

  deinit { try? file.close() }
}
