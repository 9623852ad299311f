// Whether the service manager keeps descriptors at all. Knows nothing of those to be kept.

import Glibc
import SystemPackage

/// A question that systemd answers without meaning to.
///
/// A unit without `FileDescriptorStoreMax=` refuses each descriptor with a warning, and says nothing
/// to the service; systemd 254 tells it in a variable, those before do not. So one is offered, the
/// writing end of a pipe: who refuses it closes it, which the reading end sees. `BARRIER=1` says when
/// it has been looked at. What was taken goes by itself: without a reader poll(2) reports an error for
/// it, and then the manager lets go of it.
public final class StoreProbe {
  private let offered: Pipe
  private let barrier: Pipe

  /// Asks. The answer is there a moment later: see ``isOpen(within:)``.
  ///
  /// - Throws: ``SystemdError/systemCall(_:address:errno:)``.
  public init(_ notifier: Notifier) throws(SystemdError) {
    offered = try Pipe()
    barrier = try Pipe()
    try offered.pass { end throws(SystemdError) in try notifier.offer(end, name: "probe") }
    try barrier.pass(notifier.barrier)
  }

  /// Whether the manager keeps what it is given; `nil` where it has not answered within `time`.
  public func isOpen(within time: Duration) -> Bool? {
    guard barrier.isClosed(within: time) else { return nil }
    return !offered.isClosed(within: .zero)
  }

  /// A pipe whose writing end goes to somebody else.
  private final class Pipe {
    private let reading: FileDescriptor
    /// `nil` once it is the other's alone.
    private var writing: FileDescriptor?

    init() throws(SystemdError) {
      do throws(Errno) {
        (reading, writing) = try FileDescriptor.pipe(options: .closeOnExec)
      } catch {
        throw .systemCall("pipe", address: "", errno: error)
      }
    }

    deinit {
      try? reading.close()
      try? writing?.close()
    }

    /// Hands the writing end to `body`, and keeps none.
    func pass(_ body: (FileDescriptor) throws(SystemdError) -> Void) throws(SystemdError) {
      guard let writing else { return }
      try body(writing)
      try? writing.close()
      self.writing = nil
    }

    /// Whether nobody holds the writing end any more.
    func isClosed(within time: Duration) -> Bool {
      var request = pollfd(fd: reading.rawValue, events: 0, revents: 0)
      let (seconds, attoseconds) = time.components
      let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
      return poll(&request, 1, Int32(clamping: milliseconds)) == 1
    }
  }
}
