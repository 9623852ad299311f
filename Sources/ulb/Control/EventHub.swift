// What happens, handed to whoever listens. Nobody who listens can hold up what happens.
import Control
import LoadBalancing
import Synchronization

/// What is handed to listeners.
enum Happening: Sendable {
  case packet(EventRecord, at: Timestamp)
  case log(LogReport)
}

/// What a listener wants to hear of.
struct EventFilter: Sendable {
  /// Packets from and to these, of any level; of all, if there are none.
  var clients: Set<Client> = []
  /// Packets from and to clients in these; of all, if there are none.
  var networks: Set<IPNetwork> = []
  /// Of all, if there are none.
  var events: Set<Event> = []

  /// The most networks: each is looked at for each packet.
  static let mostNetworks = 16

  /// Who has no wish hears the daemon's own lines as well.
  var wantsLog: Bool { clients.isEmpty && networks.isEmpty && events.isEmpty }

  /// - Parameters:
  ///   - ends: those of the packet that may be the client (``EventRecord/clientEnds``).
  ///   - isLogged: whether the log has it too.
  func wants(_ event: Event, ofClientAt ends: [Client], isLogged: Bool) -> Bool {
    guard events.isEmpty || events.contains(event) else { return false }
    if clients.isEmpty {
      guard isLogged else { return false }
    } else if !ends.contains(where: clients.contains) {
      return false
    }
    return networks.isEmpty
      || ends.contains { end in networks.contains { $0.contains(end.address) } }
  }
}

extension EventRecord {
  /// Who may be the client of the packet: of one that goes neither way, either end.
  var clientEnds: [Client] {
    guard event.kind != .withoutAddresses else { return [] }
    let from = Client(address: source, port: sourcePort)
    let to = Client(address: destination, port: destinationPort)
    return switch event.direction {
    case .ingress: [from]
    case .egress: [to]
    case .neither: [from, to]
    }
  }
}

/// Gives each listener what it wants to hear of, as fast as it listens.
///
/// What a listener is too slow for is lost to it, the oldest first, and it is told how much.
final class EventHub: Sendable {
  /// The most listeners at once.
  static let mostListeners = 16
  /// The most that waits for one listener.
  static let longestQueue = 1000
  /// How often who hears nothing is sent a sign, so that a dead connection is seen.
  private let heartbeat: Duration

  private struct State {
    var listeners: [UInt64: EventListener] = [:]
    var lastNumber: UInt64 = 0
    var isClosed = false
    var heart: Task<Void, Never>?
  }

  private let state = Mutex(State())
  private let count = Atomic(0)

  init(heartbeat: Duration = .seconds(10)) { self.heartbeat = heartbeat }

  /// Whether there is anybody to tell anything. Costs nothing worth naming.
  var isHeard: Bool { count.load(ordering: .relaxed) > 0 }

  /// Tells of a packet. Never waits.
  ///
  /// - Parameter isLogged: whether the log has it too.
  func tell(_ record: EventRecord, isLogged: Bool) {
    guard isHeard else { return }
    let ends = record.clientEnds
    var at: Timestamp?
    for listener in listeners
    where listener.filter.wants(record.event, ofClientAt: ends, isLogged: isLogged) {
      let time = at ?? Clock.now
      at = time
      listener.put(.packet(record, at: time))
    }
  }

  /// Tells of a line of the daemon's own in the log. Never waits.
  func tell(_ report: @autoclosure () -> LogReport) {
    guard isHeard else { return }
    let listeners = listeners.filter(\.filter.wantsLog)
    guard !listeners.isEmpty else { return }
    let report = report()
    for listener in listeners { listener.put(.log(report)) }
  }

  /// Begins to listen. It ends when the listener is told to, or goes.
  ///
  /// - Throws: where too many listen, or the daemon stops.
  func listen(_ filter: EventFilter, onEnd: @escaping @Sendable () -> Void) throws(Problem)
    -> EventListener
  {
    let result = state.withLock { state -> Result<EventListener, Problem> in
      guard !state.isClosed else {
        return .failure(.unavailable("the daemon is stopping; ask again when it has started"))
      }
      guard state.listeners.count < Self.mostListeners else {
        return .failure(
          .tooMany(
            "\(Self.mostListeners) connections listen to events, which is the most; end one"))
      }
      state.lastNumber += 1
      let number = state.lastNumber
      let listener = EventListener(filter) { [weak self] in
        self?.leave(number)
        onEnd()
      }
      state.listeners[number] = listener
      count.store(state.listeners.count, ordering: .relaxed)
      if state.heart == nil {
        // Who waits must not hold the hub.
        state.heart = Task { [weak self, heartbeat] in
          while (try? await Task.sleep(for: heartbeat)) != nil, self?.beat() != nil {}
        }
      }
      return .success(listener)
    }
    return try result.get()
  }

  /// Ends all that listen, and lets nobody begin any more.
  func close() {
    let all = state.withLock { state in
      state.isClosed = true
      return Array(state.listeners.values)
    }
    for listener in all { listener.end() }
  }

  private var listeners: [EventListener] { state.withLock { Array($0.listeners.values) } }

  private func leave(_ number: UInt64) {
    state.withLock { state in
      state.listeners[number] = nil
      count.store(state.listeners.count, ordering: .relaxed)
      if state.listeners.isEmpty {
        state.heart?.cancel()
        state.heart = nil
      }
    }
  }

  private func beat() {
    for listener in listeners { listener.beat() }
  }
}

/// The queue of one who listens.
final class EventListener: Sendable {
  /// What there was to hear, and how much before it was lost; nothing for a sign of life.
  struct Batch: Sendable {
    var lost: UInt64 = 0
    var happenings: [Happening] = []
  }

  private struct State {
    var queue: [Happening] = []
    /// Where the oldest stands: the queue is a ring once it is full.
    var first = 0
    var lost: UInt64 = 0
    var isBeatDue = false
    var isEnded = false
    var waiting: CheckedContinuation<Batch?, Never>?
  }

  let filter: EventFilter
  private let onEnd: @Sendable () -> Void
  private let state = Mutex(State())

  fileprivate init(_ filter: EventFilter, onEnd: @escaping @Sendable () -> Void) {
    self.filter = filter
    self.onEnd = onEnd
  }

  fileprivate func put(_ happening: Happening) {
    wake { state in
      if state.queue.count < EventHub.longestQueue {
        state.queue.append(happening)
      } else {
        state.queue[state.first] = happening
        state.first = (state.first + 1) % EventHub.longestQueue
        state.lost += 1
      }
    }
  }

  fileprivate func beat() { wake { $0.isBeatDue = true } }

  /// Changes the state, and hands over what there is to who waits for it.
  private func wake(_ change: (inout State) -> Void) {
    let (waiting, batch) = state.withLock { state in
      change(&state)
      guard let waiting = state.waiting else {
        return (CheckedContinuation<Batch?, Never>?.none, Batch?.none)
      }
      state.waiting = nil
      return (waiting, Self.take(&state))
    }
    waiting?.resume(returning: batch)
  }

  /// What there is now; `nil` where nothing is.
  private static func take(_ state: inout State) -> Batch? {
    guard !state.queue.isEmpty || state.isBeatDue else { return nil }
    let happenings = Array(state.queue[state.first...] + state.queue[..<state.first])
    defer {
      state.queue.removeAll()
      (state.first, state.lost, state.isBeatDue) = (0, 0, false)
    }
    return Batch(lost: state.lost, happenings: happenings)
  }

  /// Whether somebody waits for something to hear.
  var isAwaited: Bool { state.withLock { $0.waiting != nil } }

  /// Waits for something to hear.
  ///
  /// - Returns: `nil` at the end: when the task is cancelled, or ``end()`` was called.
  func next() async -> Batch? {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let (isReady, batch) = state.withLock { state in
          if state.isEnded { return (true, Batch?.none) }
          if let batch = Self.take(&state) { return (true, batch) }
          state.waiting = continuation
          return (false, nil)
        }
        if isReady { continuation.resume(returning: batch) }
      }
    } onCancel: {
      end()
    }
  }

  /// Listens no longer. What is called again does nothing.
  func end() {
    let (wasEnded, waiting) = state.withLock { state in
      let result = (state.isEnded, state.waiting)
      (state.isEnded, state.waiting, state.queue) = (true, nil, [])
      return result
    }
    waiting?.resume(returning: nil)
    if !wasEnded { onEnd() }
  }
}
