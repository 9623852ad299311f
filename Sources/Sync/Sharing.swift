// The two directions: what the daemon tells goes to Redis, what Redis tells goes to the daemon. Each is
// tried again for as long as it takes.
import Control
import HTTP
import LoadBalancing
import Redis
import Synchronization
import Systemd

/// Shares a daemon's associations with other directors' over Redis, until its task is cancelled.
public final class Sharing: Sendable {
  private let configuration: SyncConfiguration
  private let daemon: DaemonClient
  private let log: SyncLog
  private let state: Mutex<SyncState>
  /// Tells two directors of one name apart.
  private let process = UInt64.random(in: 1..<1 << 53)

  public init(_ configuration: SyncConfiguration, log: SyncLog) {
    self.configuration = configuration
    self.log = log
    daemon = DaemonClient(socket: configuration.control)
    state = Mutex(
      SyncState(director: configuration.director, server: configuration.redis.name))
  }

  /// - Parameter manager: who is told that it runs, and how.
  public func run(manager: Notifier? = nil) async {
    try? manager?.ready(status: state.withLock { $0.line })
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.share() }
      group.addTask { await self.tell(manager) }
      await group.waitForAll()
    }
    try? manager?.stopping()
  }

  // MARK: Telling

  /// Tells the daemon each second how it goes, and the manager that there is life.
  private func tell(_ manager: Notifier?) async {
    let clock = ContinuousClock()
    var next = clock.now
    var line = ""
    while !Task.isCancelled {
      let (report, newLine) = state.withLock { ($0.report, $0.line) }
      if newLine != line { try? manager?.status(newLine) }
      line = newLine
      try? manager?.watchdog()
      // Where it is not there, who reads its changes says so.
      try? await daemon.put(report)
      next = max(next + .seconds(1), clock.now)
      try? await Task.sleep(until: next, clock: clock)
    }
  }

  private func daemonIsAway(_ failure: DaemonFailure) {
    if Task.isCancelled { return }
    let isNews = state.withLock { state in
      defer { state.daemonSilence = failure.description }
      return state.daemonSilence == nil
    }
    if isNews { log.warning("\(failure); trying again until it is there") }
  }

  private func daemonIsBack() {
    let wasAway = state.withLock { state in
      defer { state.daemonSilence = nil }
      return state.daemonSilence != nil
    }
    if wasAway { log.notice("\(configuration.control) is there again") }
  }

  private func redisIsAway(_ error: RedisError) {
    let server = configuration.redis.name
    let isNews = state.withLock { state in
      let before = state.redis
      state.set(error.isLoading ? .loading : .away, server: server, error: "\(error)")
      // Another reason, such as a password, is worth a line of its own.
      return before.state == .connecting || before.state == .connected
        || isRefusal(error) && before.error != state.redis.error
    }
    if isNews {
      log.warning("Redis is away: \(error); nothing is shared until it is back, all else goes on")
    }
  }

  private func isRefusal(_ error: RedisError) -> Bool {
    if case .refused = error { !error.isLoading } else { false }
  }

  private func redisIsThere(_ shared: SharedState) {
    let before = state.withLock { state in
      defer { state.set(.connected, server: shared.server) }
      return state.redis.state
    }
    let others = "cluster \(configuration.cluster), as \(configuration.director)"
    switch before {
    case .connecting: log.notice("sharing over Redis at \(shared.server), \(others)")
    case .away, .loading: log.notice("Redis is back at \(shared.server)")
    case .connected: break
    }
  }

  // MARK: Redis comes and goes

  private static let pauses = (first: Duration.milliseconds(100), last: Duration.seconds(1))

  private func share() async {
    var pause = Self.pauses.first
    while !Task.isCancelled {
      let start = ContinuousClock.now
      do {
        let shared = try await SharedState(configuration.redis, cluster: configuration.cluster)
        defer { shared.close() }
        try await exchange(shared)
      } catch SharedState.Failure.emptied {
        log.notice("Redis was emptied: all is written and read anew")
      } catch SharedState.Failure.redis(let error) {
        if !Task.isCancelled { redisIsAway(error) }
      } catch let error as RedisError {
        if !Task.isCancelled { redisIsAway(error) }
      } catch {}
      // What lasted is not held against it.
      if ContinuousClock.now - start > .seconds(10) { pause = Self.pauses.first }
      try? await Task.sleep(for: pause)
      pause = min(pause * 2, Self.pauses.last)
    }
  }

  private func exchange(_ shared: SharedState) async throws {
    // What may be written is seen before anybody is told that it is there.
    try await shared.write(
      [SharedState.Batch(changes: [], found: 0)], of: configuration.director)
    try await announce(shared)
    redisIsThere(shared)
    state.withLock { state in
      guard state.identity != shared.identity else { return }
      state.identity = shared.identity
      (state.isWholeDue, state.position) = (true, nil)
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await self.send(to: shared) }
      group.addTask { try await self.receive(from: shared) }
      group.addTask {
        while true {
          try await Task.sleep(for: .seconds(1))
          try await self.announce(shared)
        }
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  private func announce(_ shared: SharedState) async throws {
    let (lag, former) = state.withLock { ($0.lag, $0.directors) }
    let name = configuration.director
    let directors = try await shared.announce(name, lag: lag, process: process)
    state.withLock { $0.directors = directors }
    // Its changes would be taken for this one's own.
    func isOther(_ director: SharedState.Director) -> Bool {
      director.name == name && director.process != process && director.process != nil
    }
    if let other = directors.first(where: isOther), let before = former.first(where: isOther),
      other.process == before.process, other.seen > before.seen,
      state.withLock({ state in
        defer { state.hasNamesake = true }
        return !state.hasNamesake
      })
    {
      log.warning(
        "another director of cluster \(configuration.cluster) is called \(name), too; set director = "
          + "to another name at one of them")
    }
  }

  // MARK: From the daemon to Redis

  /// The most changes of a batch, and batches that are sent together.
  private static let batch = (changes: 500, batches: 16)
  /// The daemon gives a sign of life each second.
  private static let silence: Duration = .seconds(10)

  private func send(to shared: SharedState) async throws {
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
  private func carry(
    _ body: HTTPClientResponse.Body, to shared: SharedState, _ heard: LastTime,
    isMakingUp: Bool = false
  ) async throws {
    var pieces = body.makeAsyncIterator()
    var lines = LineSplitter()
    var reader = AssociationChangeReader(unknownMembers: .ignored)
    let start = currentMilliseconds()
    // What the whole is made of was found long ago.
    var wholeUntil: UInt64 = 0
    var isFirst = true
    // The last batch was empty, or has what was found since: all that the log had has come.
    var (isEmpty, isAtEnd) = (true, false)
    var isUnreadable = false
    while let piece = try await next(&pieces) {
      heard.set()
      var changes: [AssociationChange] = []
      var (cursor, reset): (ChangeCursor?, ChangeCursor?)
      lines.feed(piece) { line in
        switch reader.read(line: line) {
        case .change(let change)?:
          changes.append(change)
          isEmpty = false
          if change.at >= start { isAtEnd = true }
        case .cursor(let place, let isReset)?:
          if isReset {
            reset = place
          } else if !isFirst, place.sequence > 0 {
            // Redis has what stands before it when all of this piece is written. From 0, as in the
            // whole's midst, nobody can go on.
            cursor = place
            if isEmpty { isAtEnd = true }
          }
          (isFirst, isEmpty) = (false, true)
        case nil:
          if !isUnreadable {
            log.warning(
              "\(configuration.control) tells of a change what this ulb-sync does not know: "
                + "\(String(decoding: line.prefix(200), as: UTF8.self)); upgrade it")
          }
          isUnreadable = true
        }
      }
      if let reset {
        // The log has it no more.
        if isMakingUp { return }
        wholeUntil = currentMilliseconds()
        try await begin(reset, shared, heard)
      }
      try await write(changes, to: shared, wholeUntil: wholeUntil)
      // Cancelled, it may be that another Redis is asked already.
      try Task.checkCancellation()
      guard let cursor else { continue }
      state.withLock { state in
        state.cursor = cursor
        if !isMakingUp { state.isWholeDue = false }
      }
      if isMakingUp, isAtEnd { return }
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
    let former = state.withLock { state -> ChangeCursor? in
      state.resyncs += 1
      state.isWholeDue = true
      if let before = state.generation, before != cursor.generation {
        // It has another table, perhaps: what came from others may not be in there.
        (state.position, state.cursor) = (nil, nil)
      }
      state.generation = cursor.generation
      return state.cursor
    }
    // The whole does not have what was forgotten up to now since Redis was told last: the log has.
    guard let former else { return }
    try await carry(
      try await daemon.changes(since: former), to: shared, heard, isMakingUp: true)
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

  // MARK: From Redis to the daemon

  /// A body is at most 1 MiB. The daemon waits for packets once for each, and for as many clients at once
  /// as that has lines.
  private static let body = (bytes: 960 << 10, lines: 8000)

  private func receive(from shared: SharedState) async throws {
    while true {
      try Task.checkCancellation()
      let position: SharedState.Position
      if let known = state.withLock({ $0.position }) {
        position = known
      } else {
        position = try await readAll(from: shared)
      }
      guard let entries = try await shared.read(after: position) else {
        log.notice("Redis has cut changes that were not read here: all is read anew")
        state.withLock { $0.position = nil }
        continue
      }
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

/// When something was last heard.
private final class LastTime: Sendable {
  private let time = Mutex(ContinuousClock.now)

  func set() { time.withLock { $0 = .now } }

  func isWithin(_ duration: Duration) -> Bool { time.withLock { .now - $0 < duration } }
}
