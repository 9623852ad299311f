// Signals as something to wait for. Knows not what they are to do.
import Glibc
import SystemPackage

/// Signals of this process from here on, whichever thread is given them.
struct Signals: Sendable {
  /// Ready to be read when a signal has come: its number, an octet each.
  let descriptor: FileDescriptor

  /// Where the handler writes; set before there is a handler.
  private nonisolated(unsafe) static var writer: Int32 = -1

  init(_ numbers: [Int32]) throws(Errno) {
    let (reader, writer): (FileDescriptor, FileDescriptor)
    do { (reader, writer) = try FileDescriptor.pipe() } catch { throw error as! Errno }
    for end in [reader, writer] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
    // A handler never waits.
    _ = fcntl(writer.rawValue, F_SETFL, O_NONBLOCK)
    Self.writer = writer.rawValue
    descriptor = reader
    for number in numbers {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { number in
        let saved = errno
        var octet = UInt8(truncatingIfNeeded: number)
        _ = Glibc.write(Signals.writer, &octet, 1)
        errno = saved
      }
      action.sa_flags = SA_RESTART
      sigaction(number, &action, nil)
    }
  }

  /// Waits for the next.
  func next() -> Int32 {
    var octet: UInt8 = 0
    _ = Glibc.read(descriptor.rawValue, &octet, 1)
    return Int32(octet)
  }
}
