// Ctrl-C and SIGTERM, so that a command ends as it should.
import Glibc

/// Does something until it ends, or until Ctrl-C or SIGTERM: then it is cancelled, which is a good
/// end.
func untilInterrupted(_ body: @escaping @Sendable () async throws -> Void) async throws {
  let signals = try Signals([SIGINT, SIGTERM])
  let work = Task { try await body() }
  DetachedThread.start {
    _ = signals.next()
    // Whoever is not served soon enough may insist.
    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
    work.cancel()
  }
  do {
    try await work.value
  } catch  where work.isCancelled {}
}
