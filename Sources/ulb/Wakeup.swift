// Wakes the loop from another thread.
import CLinux
import Glibc
import SystemPackage

/// A descriptor that is ready to be read from the first ``signal()`` on until ``clear()``
/// (eventfd(2)).
final class Wakeup: Sendable {
  /// Lent for poll(2).
  let descriptor: FileDescriptor

  init() throws(WakeupError) {
    let number = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    guard number >= 0 else { throw WakeupError(errno: Errno(rawValue: errno)) }
    descriptor = FileDescriptor(rawValue: number)
  }

  deinit { try? descriptor.close() }

  /// From any thread. Never waits.
  func signal() { _ = eventfd_write(descriptor.rawValue, 1) }

  func clear() {
    var count: eventfd_t = 0
    _ = eventfd_read(descriptor.rawValue, &count)
  }
}

/// Why there is no such descriptor.
struct WakeupError: Error, CustomStringConvertible {
  let errno: Errno

  var description: String {
    "other threads cannot wake the daemon: \(errno); raise the limit of open files "
      + "(ulimit -n, LimitNOFILE=)"
  }
}
