// From the daemon to Redis: what the daemon tells is written, and told anew from where it broke off.
import Control
import HTTP
import LoadBalancing
import Redis
import Synchronization

extension Sharing {
  /// The most changes of a batch, and batches that are sent together.
  private static let batch = (changes: 500, batches: 16)
  /// The daemon gives a sign of life each second.
  private static let silence: Duration = .seconds(10)

  /// What the daemon tells goes to Redis, until that is away.
  func send(to shared: SharedState) async throws {
    var pause = Self.pauses.first
    while true {
      try Task.checkCancellation()
      do {
        let body = try await daemon.changes(
          since: state.withLock { $0.isWholeDue ? nil : $0.cursor })
        daemonIsBack()
        pause = Self.pauses.first
        try await follow(body, to: shared)
        // It has ended: whether the daemon has as well is seen when it is asked again.
      } catch let failure as DaemonFailure {
        daemonIsAway(failure)
      }
      try await Task.sleep(for: pause)
      pause = min(pause * 2, Self.pauses.last)
    }
  }

  /// Carries a stream to its end.
  private func follow(_ body: HTTPClientResponse.Body, to shared: SharedState) async throws {
    let heard = LastTime()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await self.carry(body, to: shared, heard) }
      group.addTask {
        while heard.isWithin(Self.silence) { try await Task.sleep(for: .seconds(1)) }
        throw DaemonFailure(description: "\(self.configuration.control) says nothing any more")
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  /// - Parameter isMakingUp: to the end of what the log has, not of the stream.
  /// - Returns: false where it makes up from what the log has no more.
  @discardableResult
  private func carry(
    _ body: HTTPClientResponse.Body, to shared: SharedState, _ heard: LastTime,
    isMakingUp: Bool = false
  ) async throws -> Bool {
    var pieces = body.makeAsyncIterator()
    var reader = ToldReader()
    // What the whole is made of was found long ago.
    var wholeUntil: UInt64 = 0
    var isUnreadable = false
    return try await withThrowingTaskGroup(of: Void.self) { group in
      while let bytes = try await next(&pieces) {
        heard.set()
        let piece = reader.read(bytes)
        if let line = piece.unreadable, !isUnreadable {
          log.warning(
            "\(configuration.control) tells of a change what this ulb-sync does not know: "
              + "\(String(decoding: line.prefix(200), as: UTF8.self)); upgrade it")
          isUnreadable = true
        }
        // While Redis takes one piece, the next is read.
        try await group.next()
        if let reset = piece.reset {
          if isMakingUp { return false }
          wholeUntil = currentMilliseconds()
          try await begin(reset, shared, heard)
        }
        group.addTask { [wholeUntil] in
          try await self.write(piece.changes, to: shared, wholeUntil: wholeUntil)
          // Cancelled, it may be that another Redis is asked already.
          try Task.checkCancellation()
          guard let cursor = piece.cursor else { return }
          self.state.withLock { state in
            state.advance(to: cursor, isMakingUp: isMakingUp)
            if !isMakingUp { state.isWholeDue = false }
          }
        }
        if isMakingUp, reader.isAtEnd, piece.cursor != nil { break }
      }
      try await group.next()
      return true
    }
  }

  private func next(
    _ pieces: inout HTTPClientResponse.Body.AsyncIterator
  ) async throws -> [UInt8]? {
    do throws(HTTPClientError) {
      return try await pieces.next()
    } catch {
      throw DaemonFailure(description: "\(error)")
    }
  }

  /// The daemon tells all from here on.
  private func begin(
    _ cursor: ChangeCursor, _ shared: SharedState, _ heard: LastTime
  ) async throws {
    let former = state.withLock { state -> [ChangeCursor] in
      state.resyncs += 1
      state.isWholeDue = true
      if let before = state.generation, before != cursor.generation {
        // It has another table, perhaps: what came from others may not be in there.
        state.position = nil
        state.forgetCursors()
      }
      state.generation = cursor.generation
      return state.cursorsToMakeUp
    }
    // The whole does not have who was forgotten before: the log has.
    for cursor in former {
      let body = try await daemon.changes(since: cursor)
      if try await carry(body, to: shared, heard, isMakingUp: true) { break }
    }
  }

  private func write(
    _ changes: [AssociationChange], to shared: SharedState, wholeUntil: UInt64
  ) async throws {
    var rest = changes[...]
    while !rest.isEmpty {
      var batches: [SharedState.Batch] = []
      while !rest.isEmpty, batches.count < Self.batch.batches {
        let some = rest.prefix(Self.batch.changes)
        rest = rest.dropFirst(some.count)
        let now = currentMilliseconds()
        batches.append(
          SharedState.Batch(
            changes: some.compactMap { StoredChange($0) },
            found: some.lazy.map(\.at).filter { $0 >= wholeUntil && $0 < now }.min() ?? now))
      }
      try await shared.write(batches, of: configuration.director)
      let now = currentMilliseconds()
      let found = batches.map(\.found).min() ?? now
      let count = batches.reduce(0) { $0 + $1.changes.count }
      state.withLock { state in
        state.sent += UInt64(count)
        state.lag = Double(now > found ? now - found : 0)
      }
    }
  }
}

/// When something was last heard.
private final class LastTime: Sendable {
  private let time = Mutex(ContinuousClock.now)

  func set() { time.withLock { $0 = .now } }

  func isWithin(_ duration: Duration) -> Bool { time.withLock { .now - $0 < duration } }
}
