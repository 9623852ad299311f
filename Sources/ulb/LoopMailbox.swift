// The way of other threads to the daemon's state: what they want done is done by the loop, in order.
// Knows nothing of what that is.
import Synchronization

/// Work that is handed to the loop, and what came of it handed back.
///
/// `Owner` is whoever has the state: work is given it on the loop's thread, and must not keep it.
final class LoopMailbox<Owner>: Sendable {
  /// Where the outcome of a piece of work goes, at once or later. Only the first counts.
  struct Reply<Value: Sendable>: Sendable {
    fileprivate let deliver: @Sendable (Result<Value, any Error>) -> Void

    func resume(_ value: Value) { deliver(.success(value)) }
    func fail(_ error: any Error) { deliver(.failure(error)) }
  }

  /// The daemon is on its way out: nothing is done any more.
  struct Closed: Error {}

  private struct State {
    var isClosed = false
    var work: [@Sendable (Owner) -> Void] = []
    /// How to give up what has no outcome yet.
    var outstanding: [UInt64: @Sendable () -> Void] = [:]
    var lastNumber: UInt64 = 0
  }

  private let state = Mutex(State())
  private let wakeup: Wakeup

  init() throws(WakeupError) { wakeup = try Wakeup() }

  /// Does `work` on the loop.
  ///
  /// - Returns: what it returns.
  /// - Throws: what it throws, or ``Closed``.
  func submit<Value: Sendable>(
    _ work: @escaping @Sendable (Owner) throws -> Value
  ) async throws -> Value {
    try await begin { owner, reply in
      do { reply.resume(try work(owner)) } catch { reply.fail(error) }
    }
  }

  /// Begins `work` on the loop, and waits for its reply.
  ///
  /// - Throws: what it fails with, or ``Closed``.
  func begin<Value: Sendable>(
    _ work: @escaping @Sendable (Owner, Reply<Value>) -> Void
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      let isTaken = state.withLock { state in
        guard !state.isClosed else { return false }
        state.lastNumber += 1
        let number = state.lastNumber
        state.outstanding[number] = { continuation.resume(throwing: Closed()) }
        let reply = Reply<Value> { [weak self] result in
          if self?.settle(number) == true { continuation.resume(with: result) }
        }
        state.work.append { work($0, reply) }
        return true
      }
      if isTaken { wakeup.signal() } else { continuation.resume(throwing: Closed()) }
    }
  }

  /// Does `work` on the loop, unless that has ended. Nobody waits for it.
  func post(_ work: @escaping @Sendable (Owner) -> Void) {
    let isTaken = state.withLock { state in
      if !state.isClosed { state.work.append(work) }
      return !state.isClosed
    }
    if isTaken { wakeup.signal() }
  }

  /// - Returns: whether there was no outcome before.
  private func settle(_ number: UInt64) -> Bool {
    state.withLock { $0.outstanding.removeValue(forKey: number) != nil }
  }

  /// Whether anybody waits for an outcome.
  var hasOutstanding: Bool { state.withLock { !$0.outstanding.isEmpty } }

  /// Does what comes in from now on, in its order, one piece of work in each round of the loop: each
  /// may take long, and everything else is done in between. To be called once.
  ///
  /// - Parameter owner: outlives the loop's run.
  func start(on loop: EventLoop, owner: @escaping () -> Owner) {
    _ = loop.watch(self.wakeup.descriptor, for: .reading) { [unowned self] in
      wakeup.clear()
      let (work, hasMore) = state.withLock { state in
        (state.work.isEmpty ? nil : state.work.removeFirst(), !state.work.isEmpty)
      }
      if hasMore { wakeup.signal() }
      work?(owner())
    }
  }

  /// Refuses what comes in from now on, and what has no outcome yet.
  func close() {
    let outstanding = state.withLock { state in
      state.isClosed = true
      state.work = []
      return exchange(&state.outstanding, with: [:])
    }
    for giveUp in outstanding.values { giveUp() }
  }
}

/// Puts a value in another's place.
private func exchange<Value>(_ place: inout Value, with next: Value) -> Value {
  defer { place = next }
  return place
}
