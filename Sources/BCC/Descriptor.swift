// One owner for one file descriptor.
import Glibc

/// A file descriptor that is closed with its last owner. Close-on-exec where this file made it.
final class Descriptor: Sendable {
  let number: Int32

  /// Takes the descriptor over: nobody else may close it.
  init(owning number: Int32) {
    self.number = number
  }

  /// A descriptor of its own for what `number` refers to.
  init(duplicating number: Int32, of what: String) throws(BCCError) {
    let copy = fcntl(number, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { throw .system(operation: "duplicate \(what)", errno: errno) }
    self.number = copy
  }

  deinit {
    close(number)
  }
}
