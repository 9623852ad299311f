// Signals as something to wait for, so that a command ends as it should.
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

/// Does something until it ends, or until Ctrl-C or SIGTERM: then it is cancelled, which is a good
/// end.
func untilInterrupted(_ body: @escaping @Sendable () async throws -> Void) async throws {
  let signals = try Signals([SIGINT, SIGTERM])
  let work = Task { try await body() }
  Thread.detach {
    _ = signals.next()
    // Whoever is not served soon enough may insist.
    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
    work.cancel()
  }
  do {
    try await work.value
  } catch  where work.isCancelled {}
}

/// Threads for what waits in system calls.
enum Thread {
  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// Starts one that lasts as long as what it does, or as the process.
  static func detach(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let work = Unmanaged.passRetained(Work(body))
    let result = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, work.toOpaque())
    guard result == 0 else { return work.release() }
    pthread_detach(thread)
  }
}
