// Whether the service manager keeps descriptors at all. Knows nothing of those to be kept.

import Glibc

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
    try notifier.offer(offered.writing, name: "probe")
    try notifier.barrier(barrier.writing)
    offered.closeWriting()
    barrier.closeWriting()
  }

  /// Whether the manager keeps what it is given; `nil` where it has not answered within `time`.
  public func isOpen(within time: Duration) -> Bool? {
    guard barrier.isClosed(within: time) else { return nil }
    return !offered.isClosed(within: .zero)
  }

  /// A pipe whose writing end goes to somebody else.
  private final class Pipe {
    private let reading: Int32
    private(set) var writing: Int32

    init() throws(SystemdError) {
      var ends: [Int32] = [-1, -1]
      guard pipe(&ends) == 0 else { throw .systemCall("pipe", address: "", errno: errno) }
      for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      (reading, writing) = (ends[0], ends[1])
    }

    deinit {
      close(reading)
      closeWriting()
    }

    func closeWriting() {
      if writing >= 0 { close(writing) }
      writing = -1
    }

    /// Whether nobody holds the writing end any more.
    func isClosed(within time: Duration) -> Bool {
      var request = pollfd(fd: reading, events: 0, revents: 0)
      let (seconds, attoseconds) = time.components
      let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
      return poll(&request, 1, Int32(clamping: milliseconds)) == 1
    }
  }
}
