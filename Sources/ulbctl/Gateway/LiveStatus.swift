// The status of all daemons, each second, for as many as look at it. While nobody does, no daemon is
// asked.
import Control
import Synchronization

/// A stream of server-sent events (WHATWG HTML, section 9.2), the same for all who iterate it: one
/// reading each second, and nothing for who is too slow to take it before the next.
struct LiveStatus: AsyncSequence, Sendable {
  typealias Element = [UInt8]
  typealias Failure = Never

  private let sender: Sender

  init(_ daemons: DaemonReader, interval: Duration = .seconds(1)) {
    sender = Sender(daemons, interval)
  }

  /// How many iterate.
  var listeners: Int { sender.state.withLock { $0.listeners.count } }

  func makeAsyncIterator() -> AsyncStream<[UInt8]>.AsyncIterator {
    sender.listen().makeAsyncIterator()
  }

  /// An event's data.
  private struct Message: Encodable {
    let daemons: [Daemon]

    struct Daemon: Encodable {
      let interface: String
      let up: Bool
      let status: Status?
      let virtualServers: [VirtualServerDetail]
      let counters: Counters?
      let error: String?

      private enum CodingKeys: String, CodingKey {
        case interface, up, status, counters, error
        case virtualServers = "virtual_servers"
      }

      init(_ reading: DaemonReader.Reading) {
        interface = reading.name
        switch reading.result {
        case .success(let answer):
          up = true
          status = answer.status
          virtualServers = answer.virtualServers
          counters = answer.counters
          error = nil
        case .failure(let silence):
          up = false
          status = nil
          virtualServers = []
          counters = nil
          error = silence.description
        }
      }
    }
  }

  private final class Sender: Sendable {
    struct State {
      var listeners: [Int: AsyncStream<[UInt8]>.Continuation] = [:]
      var nextNumber = 0
      var task: Task<Void, Never>?
      /// The last event, for who comes between two; nothing while nobody listens.
      var last: [UInt8]?
    }

    let state = Mutex(State())
    private let daemons: DaemonReader
    private let interval: Duration

    init(_ daemons: DaemonReader, _ interval: Duration) {
      self.daemons = daemons
      self.interval = interval
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
        let message = Message(daemons: await daemons.readAll().map(Message.Daemon.init))
        // A task that was left by its listeners does not speak to who has come since.
        guard !Task.isCancelled, let data = try? JSON.encode(message) else { return }
        let event = Array("data: ".utf8) + data + Array("\n\n".utf8)
        state.withLock { state in
          state.last = event
          for listener in state.listeners.values { listener.yield(event) }
        }
        next = Swift.max(next + interval, clock.now)
        try? await Task.sleep(until: next, clock: clock)
      }
    }
  }
}
