// Signals as things to wait for: none interrupts anything.
import Glibc

/// SIGTERM, SIGINT and SIGHUP, blocked for the process and taken one by one.
struct Signals {
  private var set = sigset_t()

  /// Blocks the signals from here on, so that none is lost and none ends the process half-way.
  init() {
    signal(SIGPIPE, SIG_IGN)
    sigemptyset(&set)
    for number in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, number) }
    sigprocmask(SIG_BLOCK, &set, nil)
  }

  /// The next signal; `nil` if none comes within `time`.
  func next(within time: Duration) -> Int32? {
    var set = set
    let (seconds, attoseconds) = time.components
    var limit = timespec(
      tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    let number = sigtimedwait(&set, nil, &limit)
    return number > 0 ? number : nil
  }
}
