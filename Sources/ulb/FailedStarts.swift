// Starts that failed one after another: systemd would try at one pace for ever, so each try that
// fails ends later than the one before. Knows nothing of why a start fails.
import Glibc
import LoadBalancing
import SystemPackage
import Systemd

/// The count of the starts of a service that failed in a row.
///
/// `Restart=always` without a limit is what keeps systemd's descriptor store, and with it the
/// program of before, in service. systemd 252 knows no growing `RestartSec=`. The count is the name
/// of a descriptor in that store: it lasts as long as systemd restarts the service, and goes at a
/// stop.
struct FailedStarts {
  /// How many have failed before this one.
  private(set) var count: Int
  private let notifier: Notifier?

  private static let prefix = "failed-starts."
  /// Where counting ends.
  private static let most = 1000
  /// The most that the end of a start is put off.
  static let longestDelay = Duration.seconds(60)

  /// Takes what is its own out of what systemd has kept.
  init(_ kept: inout [DescriptorStore.Entry], notifier: Notifier?) {
    count = 0
    self.notifier = notifier
    for (name, descriptor) in kept where name.hasPrefix(Self.prefix) {
      count = max(count, Int(name.dropFirst(Self.prefix.count)).map { min($0, Self.most) } ?? 0)
      try? descriptor.close()
    }
    kept.removeAll { $0.name.hasPrefix(Self.prefix) }
  }

  /// How long the end of a start is put off that is the `count`th in a row to fail: nothing for the
  /// first, which `systemctl start` waits for, then 1, 2, 4 … s.
  static func delay(_ count: Int) -> Duration {
    count < 2 ? .zero : min(longestDelay, .seconds(1 << min(count - 2, 6)))
  }

  /// Counts one more.
  mutating func add() {
    let former = count
    count = min(count + 1, Self.most)
    guard let notifier, count != former else { return }
    // Any descriptor will do.
    let number = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard number >= 0 else { return }
    let descriptor = FileDescriptor(rawValue: number)
    try? notifier.store([descriptor], name: "\(Self.prefix)\(count)")
    try? descriptor.close()
    remove(former)
  }

  /// The next failure is the first again.
  mutating func forget() {
    remove(count)
    count = 0
  }

  private func remove(_ count: Int) {
    if count > 0 { try? notifier?.remove(name: "\(Self.prefix)\(count)") }
  }
}

/// What a start depends on outside of its command line: its files and its interface.
struct StartConditions {
  private var files: [String: FileFingerprint?] = [:]
  private var interface: (name: String, index: UInt32)?

  mutating func add(file path: String, _ state: FileFingerprint?) { files[path] = .some(state) }

  mutating func add(interface name: String) { interface = (name, if_nametoindex(name)) }

  /// Whether any of it is not as it was.
  var haveChanged: Bool {
    if let interface, if_nametoindex(interface.name) != interface.index { return true }
    return files.contains { FileFingerprint(path: $0.key) != $0.value }
  }
}

extension FailedStarts {
  /// Counts a failed start, and comes back when the process may end: after the delay, or as soon as
  /// what it depends on has changed, or by SIGHUP; by SIGTERM or SIGINT for good. Without a service
  /// manager it comes back at once.
  ///
  /// - Returns: whether a signal has asked for the end.
  mutating func putOff(_ reason: String, until conditions: StartConditions) -> Bool {
    guard let notifier else { return false }
    add()
    let delay = FailedStarts.delay(count)
    let next = Timestamp(seconds: Clock.now.seconds + delay.components.seconds)
    let more = "start \(count) in a row failed: \(reason); tried again at \(next.toTheSecond)"
    try? notifier.status(delay == .zero ? reason : more)
    guard delay > .zero, let signals = try? Signals() else { return false }
    // The limit of the start does not end the wait.
    try? notifier.extendTimeout(delay + .seconds(30))
    let end = ContinuousClock.now + delay
    while true {
      let left = end - ContinuousClock.now
      guard left > .zero, !conditions.haveChanged else { return false }
      switch signals.next(within: min(left, .seconds(1))) {
      case SIGTERM, SIGINT:
        // Whoever restarts the service by hand wants to know at once whether it starts.
        forget()
        return true
      case SIGHUP: return false
      default: continue
      }
    }
  }
}
