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
          if lines.isBeyond(Self.body) { try await handOver(lines.take()) }
        }
      }
      try await handOver(lines.take())
      let now = currentMilliseconds()
      state.withLock { state in
        for entry in entries where entry.director != configuration.director && entry.found > 0 {
          state.peerLags[entry.director] = Double(now > entry.found ? now - entry.found : 0)
        }
        // Unless all is to be read meanwhile.
        if state.position == position { state.position = last.position }
        if isWhole, entries.count < SharedState.readAtOnce { state.hasReadAll = true }
      }
      try await Task.sleep(for: Self.readPause)
    }
  }

  /// How long to wait before what has come since is asked for. Each answer takes Redis' time, and the
  /// daemon's: so more batches of others are fetched at once.
  private static let readPause = Duration.milliseconds(80)

  private func readAll(from shared: SharedState) async throws -> SharedState.Position {
    let isWhole = state.withLock { $0.isRedisWhole }
    let position = try await shared.end()
    state.withLock { state in
      state.resyncs += 1
      state.position = position
    }
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        var lines = PendingLines()
        // While the daemon takes one body over, the next is read.
        try await shared.readAll(now: currentMilliseconds()) { changes in
          for change in changes {
            lines.append(change)
            guard lines.isBeyond(Self.body) else { continue }
            let body = lines.take()
            try await group.next()
            group.addTask { try await self.handOver(body) }
          }
        }
        try await group.next()
        try await handOver(lines.take())
      }
      if isWhole { state.withLock { $0.hasReadAll = true } }
    } catch {
      state.withLock { $0.position = nil }
      throw error
    }
    return position
  }

  /// Hands changes over to the daemon, as soon as it is there.
  private func handOver(_ body: (bytes: [UInt8], lines: Int)) async throws {
    guard body.lines > 0 else { return }
    var pause = Self.pauses.first
    var isAgain = false
    while true {
      do {
        if let refusal = try await daemon.take(body.bytes) {
          log.warning("\(refusal); \(body.lines) changes of others are left out")
        } else {
          state.withLock { $0.received += UInt64(body.lines) }
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
  private var bytes: [UInt8] = []
  private var count = 0
  private var writer = AssociationChangeWriter()

  mutating func append(_ change: AssociationChange) {
    writer.append(change, to: &bytes)
    count += 1
  }

  func isBeyond(_ limit: (bytes: Int, lines: Int)) -> Bool {
    bytes.count > limit.bytes || count > limit.lines
  }

  /// Gives away what has been written.
  mutating func take() -> (bytes: [UInt8], lines: Int) {
    defer { (bytes, count) = ([], 0) }
    return (bytes, count)
  }
}
