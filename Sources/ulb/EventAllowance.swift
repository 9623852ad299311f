// How many events the journal is given: it drops what is too much for it, without regard to what.
import LoadBalancing

/// A rate of events for each level, so that many of one hide none of another.
///
/// journald.conf(5) would limit all lines of the service alike, those of the daemon's own among
/// them. The unit turns that limit off, and this one, which has the same measure, knows events only.
struct EventAllowance {
  /// The most events of a level at once.
  static let burst = 10_000
  /// In how much time that many are allowed again.
  static let interval = Duration.seconds(30)

  private var levels: [LogLevel: (left: Double, at: ContinuousClock.Instant)] = [:]

  /// Whether one more event may be written.
  mutating func take(_ level: LogLevel, now: ContinuousClock.Instant) -> Bool {
    var (left, at) = levels[level] ?? (Double(Self.burst), now)
    left = min(Double(Self.burst), left + (now - at) / Self.interval * Double(Self.burst))
    at = now
    let isAllowed = left >= 1
    levels[level] = (isAllowed ? left - 1 : left, at)
    return isAllowed
  }
}
