// Signals as things to wait for: none interrupts anything.
import CLinux
import Glibc
import SystemPackage

/// SIGTERM, SIGINT and SIGHUP, blocked for the process and taken one by one.
final class Signals {
  private var set = sigset_t()
  /// Lent for poll(2): ready to be read while a signal waits to be taken.
  let descriptor: FileDescriptor

  /// Blocks the signals from here on, so that none is lost and none ends the process half-way.
  init() throws(SignalError) {
    signal(SIGPIPE, SIG_IGN)
    sigemptyset(&set)
    for number in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, number) }
    sigprocmask(SIG_BLOCK, &set, nil)
    let number = signalfd(-1, &set, Int32(SFD_CLOEXEC))
    guard number >= 0 else { throw SignalError(errno: Errno(rawValue: errno)) }
    descriptor = FileDescriptor(rawValue: number)
  }

  deinit { try? descriptor.close() }

  /// The next signal; `nil` if none comes within `time`.
  func next(within time: Duration = .zero) -> Int32? {
    let (seconds, attoseconds) = time.components
    var limit = timespec(
      tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    let number = sigtimedwait(&set, nil, &limit)
    return number > 0 ? number : nil
  }
}

/// Why signals cannot be waited for.
struct SignalError: Error, CustomStringConvertible {
  let errno: Errno

  var description: String {
    "signals cannot be waited for: \(errno); raise the limit of open files "
      + "(ulimit -n, LimitNOFILE=)"
  }
}
