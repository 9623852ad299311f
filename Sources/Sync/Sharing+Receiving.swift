// From Redis to the daemon: all that is there once, then what comes.
import Control
import LoadBalancing
import Redis

extension Sharing {
  /// A body is at most 1 MiB. The daemon waits for packets once for each, and for as many clients at once
  /// as that has lines.
  private static let body = (bytes: 960 << 10, lines: 8000)

  /// What others tell goes to the daemon, until Redis is away.
  func receive(from shared: SharedState) async throws {
    while true {
      try Task.checkCancellation()
      let position: SharedState.Position
      if let known = state.withLock({ $0.position }) {
        position = known
      } else {
        position = try await readAll(from: shared)
      }
      let isWhole = state.withLock { $0.isRedisWhole }
      guard let entries = try await shared.read(after: position) else {
        log.notice("Redis has cut changes that were not read here: all is read anew")
        state.withLock { $0.position = nil }
        continue
      }
      if isWhole, entries.isEmpty { state.withLock { $0.hasReadAll = true } }
      guard let last = entries.last else { continue }
      var lines = PendingLines()
      for entry in entries {
        let isOwn = entry.director == configuration.director
        // What was forgotten even to who has said it: of another director's earlier change, which came
        // between, the daemon does not know that it is earlier.
        for change in entry.changes where !isOwn || change.isForgotten {
          lines.append(change)
          try await handOver(&lines, ifBeyond: Self.body)
        }
      }
      try await handOver(&lines, ifBeyond: (0, 0))
      let now = currentMilliseconds()
      state.withLock { state in
        for entry in entries where entry.director != configuration.director && entry.found > 0 {
          state.peerLags[entry.director] = Double(now > entry.found ? now - entry.found : 0)
        }
        // Unless all is to be read meanwhile.
        if state.position == position { state.position = last.position }
        if isWhole, entries.count < SharedState.readAtOnce { state.hasReadAll = true }
      }
      try await pauseReading()
    }
  }

  /// How long to wait before what has come since is asked for, for each other director and at most. Each
  /// answer takes Redis' time, and there are as many batches as directors: so more of them are fetched
  /// at once where there are many.
  private static let readPause = (each: Duration.microseconds(500), most: Duration.milliseconds(50))

  private func pauseReading() async throws {
    let others = state.withLock { $0.directors.count } - 1
    guard others > 0 else { return }
    try await Task.sleep(for: min(Self.readPause.each * others, Self.readPause.most))
  }

  private func readAll(from shared: SharedState) async throws -> SharedState.Position {
    let isWhole = state.withLock { $0.isRedisWhole }
    let position = try await shared.end()
    state.withLock { state in
      state.resyncs += 1
      state.position = position
    }
    do {
      var lines = PendingLines()
      try await shared.readAll(now: currentMilliseconds()) { changes in
        for change in changes {
          lines.append(change)
          try await handOver(&lines, ifBeyond: Self.body)
        }
      }
      try await handOver(&lines, ifBeyond: (0, 0))
      if isWhole { state.withLock { $0.hasReadAll = true } }
    } catch {
      state.withLock { $0.position = nil }
      throw error
    }
    return position
  }

  /// Hands changes over to the daemon, as soon as it is there.
  private func handOver(
    _ lines: inout PendingLines, ifBeyond limit: (bytes: Int, lines: Int)
  ) async throws {
    guard lines.bytes.count > limit.bytes || lines.count > limit.lines else { return }
    let (body, count) = lines.take()
    var pause = Self.pauses.first
    var isAgain = false
    while true {
      do {
        if let refusal = try await daemon.take(body) {
          log.warning("\(refusal); \(count) changes of others are left out")
        } else {
          state.withLock { $0.received += UInt64(count) }
        }
        if isAgain { daemonIsBack() }
        return
      } catch {
        daemonIsAway(error)
        isAgain = true
        try await Task.sleep(for: pause)
        pause = min(pause * 2, Self.pauses.last)
      }
    }
  }
}

/// Changes for the daemon, until there are enough of them.
private struct PendingLines {
  private(set) var bytes: [UInt8] = []
  private(set) var count = 0
  private var writer = AssociationChangeWriter()

  mutating func append(_ change: AssociationChange) {
    writer.append(change, to: &bytes)
    count += 1
  }

  /// Gives away what has been written.
  mutating func take() -> (bytes: [UInt8], count: Int) {
    defer { (bytes, count) = ([], 0) }
    return (bytes, count)
  }
}
