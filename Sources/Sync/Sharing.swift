// The two directions (see Sharing+Sending.swift and Sharing+Receiving.swift), each of which is tried again
// for as long as it takes, and who is told of how they do.
import Control
import Redis
import Synchronization
import Systemd

/// Shares a daemon's associations with other directors' over Redis, until its task is cancelled.
public final class Sharing: Sendable {
  let configuration: SyncConfiguration
  let daemon: DaemonClient
  let log: SyncLog
  let state: Mutex<SyncState>
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
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.share() }
      group.addTask { await self.tell(manager) }
      if let manager { group.addTask { await self.becomeReady(manager) } }
      await group.waitForAll()
    }
    try? manager?.stopping()
  }

  // MARK: Telling

  /// Tells the manager that it may start who lets this director have clients (keepalived, bird): the daemon
  /// knows what the others know, or waiting for that has taken long enough.
  private func becomeReady(_ manager: Notifier) async {
    let clock = ContinuousClock()
    let start = clock.now
    while !state.withLock({ $0.isReady(after: clock.now - start) }) {
      do { try await Task.sleep(for: .milliseconds(50)) } catch { return }
    }
    let (hasReadAll, line, report) = state.withLock { ($0.hasReadAll, $0.line, $0.report) }
    if !hasReadAll {
      log.warning(
        "this director does not know other directors' clients yet; it is waited for no longer, and what "
          + "is known comes as soon as it can")
    }
    // Who asks the daemon now is told how it is, not how it was.
    try? await daemon.put(report)
    try? manager.ready(status: line)
  }

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

  func daemonIsAway(_ failure: DaemonFailure) {
    if Task.isCancelled { return }
    let isNews = state.withLock { state in
      defer { state.daemonSilence = failure.description }
      return state.daemonSilence == nil
    }
    if isNews { log.warning("\(failure); trying again until it is there") }
  }

  func daemonIsBack() {
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

  /// Between two attempts: the pause doubles.
  static let pauses = (first: Duration.milliseconds(100), last: Duration.seconds(1))

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
    state.withLock { state in
      guard state.identity != shared.identity else { return }
      state.identity = shared.identity
      (state.isWholeDue, state.position) = (true, nil)
    }
    let start = ContinuousClock.now
    try await announce(shared, since: start)
    redisIsThere(shared)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await self.send(to: shared) }
      group.addTask { try await self.receive(from: shared) }
      group.addTask {
        while true {
          try await Task.sleep(for: .seconds(1))
          try await self.announce(shared, since: start)
        }
      }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  /// - Parameter start: since when Redis is there.
  private func announce(
    _ shared: SharedState, since start: ContinuousClock.Instant
  ) async throws {
    let (lag, former, isWholeDue) = state.withLock { ($0.lag, $0.directors, $0.isWholeDue) }
    let name = configuration.director
    let directors = try await shared.announce(
      name, lag: lag, process: process, isWhole: !isWholeDue)
    let isFilled = !directors.contains { $0.name != name && $0.isFilling }
    let isAwaited = shared.isNew && ContinuousClock.now - start < SyncState.startPatience.empty
    state.withLock { state in
      state.directors = directors
      state.isRedisWhole = isFilled && !isAwaited
    }
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
}
