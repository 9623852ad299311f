// What both directions know, and what of it the daemon and the operator are told.
import Control
import Glibc
import LoadBalancing

/// Milliseconds since 1970 UTC.
func currentMilliseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
}

/// Where the two directions are, and how they have done so far.
struct SyncState: Sendable {
  let director: String
  var redis: SyncReport.Redis
  /// The data set that cursor and position are of.
  var identity: SharedState.Identity?
  /// Up to where Redis has what the daemon told; `nil`: all is to be told.
  private(set) var cursor: ChangeCursor?
  /// Where that was before, the oldest first.
  private var formerCursors: [(cursor: ChangeCursor, at: ContinuousClock.Instant)] = []
  /// All is to be told, as Redis may lack what it had. The cursor holds all the same, for what the whole
  /// does not have: what was forgotten.
  var isWholeDue = false
  /// Up to where the daemon has what Redis told; `nil`: all is to be read.
  var position: SharedState.Position?
  /// Redis has all that is known: no director is still filling it.
  var isRedisWhole = false
  /// The daemon has had all that Redis had when that was whole.
  var hasReadAll = false
  /// That of the daemon's cursors: another one after it has begun anew.
  var generation: UInt64?
  /// Why the daemon is not there.
  var daemonSilence: String?
  var lag: Double?
  /// Of each director whose changes came.
  var peerLags: [String: Double] = [:]
  var directors: [SharedState.Director] = []
  /// Another director has this one's name, which was said.
  var hasNamesake = false
  var sent: UInt64 = 0
  var received: UInt64 = 0
  var resyncs: UInt64 = 0

  init(director: String, server: String) {
    self.director = director
    redis = SyncReport.Redis(server: server, state: .connecting, since: Self.now, error: nil)
  }

  private static var now: String { Timestamp(milliseconds: currentMilliseconds()).description }

  mutating func set(_ state: SyncReport.Redis.State, server: String, error: String? = nil) {
    if state != redis.state { redis.since = Self.now }
    (redis.state, redis.server, redis.error) = (state, server, error)
  }

  var report: SyncReport {
    SyncReport(
      director: director, redis: redis, lagMilliseconds: lag,
      peers: directors.filter { $0.name != director }.map {
        SyncReport.Peer(
          director: $0.name, seen: Timestamp(milliseconds: $0.seen).description,
          lagMilliseconds: peerLags[$0.name] ?? $0.lag)
      }, sent: sent, received: received, resyncs: resyncs)
  }

  // MARK: Cursors

  /// In how much time others have read what was told, and how close to each other cursors are kept.
  private static let reading = (time: Duration.seconds(10), step: Duration.seconds(1))

  /// Redis has what the daemon told up to there.
  ///
  /// - Parameter isMakingUp: it had it before.
  mutating func advance(
    to cursor: ChangeCursor, isMakingUp: Bool = false, now: ContinuousClock.Instant = .now
  ) {
    self.cursor = cursor
    guard !isMakingUp else { return }
    if let last = formerCursors.last, now - last.at < Self.reading.step { return }
    formerCursors.append((cursor, now))
    while formerCursors.count > 1, now - formerCursors[1].at >= Self.reading.time {
      formerCursors.removeFirst()
    }
  }

  /// What was told is of another table.
  mutating func forgetCursors() { (cursor, formerCursors) = (nil, []) }

  /// From where on an empty Redis is told who was forgotten, the first that the log still has: what others
  /// have not read before Redis lost it is told again.
  var cursorsToMakeUp: [ChangeCursor] {
    guard let cursor else { return [] }
    let former = formerCursors.first?.cursor ?? cursor
    return former == cursor ? [cursor] : [former, cursor]
  }

  /// How long a start waits for others' associations: where Redis or the daemon is away, where they come,
  /// and where Redis is empty, which others may be about to fill.
  static let startPatience = (
    away: Duration.seconds(10), reading: Duration.seconds(60), empty: Duration.seconds(3)
  )

  /// Whether this director need not be held back any longer.
  ///
  /// - Parameter time: since the start.
  func isReady(after time: Duration) -> Bool {
    if hasReadAll { return true }
    let comes =
      switch redis.state {
      case .connected: daemonSilence == nil
      case .loading: true
      case .connecting, .away: false
      }
    return time >= (comes ? Self.startPatience.reading : Self.startPatience.away)
  }

  /// For `systemctl status`.
  var line: String {
    if let daemonSilence { return daemonSilence }
    switch redis.state {
    case .connected:
      let others = report.peers.map(\.director).joined(separator: ", ")
      return "sharing over \(redis.server) with \(others.isEmpty ? "nobody yet" : others)"
    case .connecting: return "connecting to \(redis.server)"
    case .loading: return "\(redis.server) reads its data set"
    case .away: return "Redis is away: \(redis.error ?? redis.server)"
    }
  }
}
