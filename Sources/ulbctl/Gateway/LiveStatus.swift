// What all daemons say of themselves, each second, for as many as look at it. While nobody does, no
// daemon is asked.
import Control
import JSONCoding
import Synchronization

/// A stream of server-sent events (WHATWG HTML, section 9.2), the same for all who iterate it: one
/// reading each second, and nothing for who is too slow to take it before the next.
struct LiveStatus: AsyncSequence, Sendable {
  typealias Element = [UInt8]
  typealias Failure = Never
  typealias Read = @Sendable () async -> LiveMessage

  private let sender: Sender

  /// - Parameter read: Reads all daemons.
  init(interval: Duration = .seconds(1), read: @escaping Read) {
    sender = Sender(interval, read)
  }

  init(_ daemons: DaemonReader, interval: Duration = .seconds(1)) {
    self.init(interval: interval) {
      LiveMessage(daemons: await daemons.readAll().map(LiveMessage.Daemon.init))
    }
  }

  func makeAsyncIterator() -> AsyncStream<[UInt8]>.AsyncIterator {
    sender.listen().makeAsyncIterator()
  }

  private final class Sender: Sendable {
    private struct State {
      var listeners: [Int: AsyncStream<[UInt8]>.Continuation] = [:]
      var nextNumber = 0
      var task: Task<Void, Never>?
      /// The last event, for who comes between two; nothing while nobody listens.
      var last: [UInt8]?
    }

    private let state = Mutex(State())
    private let interval: Duration
    private let read: Read

    init(_ interval: Duration, _ read: @escaping Read) {
      self.interval = interval
      self.read = read
    }

    func listen() -> AsyncStream<[UInt8]> {
      let (stream, continuation) = AsyncStream.makeStream(
        of: [UInt8].self, bufferingPolicy: .bufferingNewest(1))
      let number = state.withLock { state in
        state.nextNumber += 1
        state.listeners[state.nextNumber] = continuation
        if let last = state.last { continuation.yield(last) }
        if state.task == nil { state.task = Task { await self.send() } }
        return state.nextNumber
      }
      continuation.onTermination = { _ in self.leave(number) }
      return stream
    }

    private func leave(_ number: Int) {
      state.withLock { state in
        state.listeners[number] = nil
        guard state.listeners.isEmpty else { return }
        state.task?.cancel()
        state.task = nil
        state.last = nil
      }
    }

    private func send() async {
      let clock = ContinuousClock()
      var next = clock.now
      while !Task.isCancelled {
        // What cannot be written is left out: the next second's may be.
        if let data = try? JSON.encode(await read()) {
          tell(Array("data: ".utf8) + data + Array("\n\n".utf8))
        }
        next = Swift.max(next + interval, clock.now)
        try? await Task.sleep(until: next, clock: clock)
      }
    }

    private func tell(_ event: [UInt8]) {
      state.withLock { state in
        // A task that was left by its listeners, which is done under this lock, does not speak to who
        // has come since.
        guard !Task.isCancelled else { return }
        state.last = event
        for listener in state.listeners.values { listener.yield(event) }
      }
    }
  }
}

extension LiveMessage.Daemon {
  fileprivate init(_ reading: DaemonReader.Reading) {
    switch reading.result {
    case .success(let answer):
      self.init(
        interface: reading.name, status: answer.status, virtualServers: answer.virtualServers,
        counters: answer.counters)
    case .failure(let silence):
      self.init(interface: reading.name, error: silence.description)
    }
  }
}
