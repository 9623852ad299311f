// Times of changes as four octets hold them: a copy of a table has one for each place.
import LoadBalancing

/// What times are counted from, in hundredths of a second.
struct ChangeTime: Sendable {
  /// Of a client of whom it is not known when it was seen.
  static let unknown: UInt32 = 0

  /// In ms since 1970 UTC, whole hundredths of a second: directors compare what they tell each other.
  private let base: UInt64

  /// How far back times are told apart: 124 days.
  private static let reach: UInt64 = 1 << 30

  init(from now: Timestamp) {
    let now = now.milliseconds / 10
    base = (now - min(now, Self.reach)) * 10
  }

  /// Those of the distant past count as the oldest.
  func units(_ milliseconds: UInt64) -> UInt32 {
    guard milliseconds > 0 else { return Self.unknown }
    return UInt32(clamping: max(1, (milliseconds - min(milliseconds, base)) / 10))
  }

  func milliseconds(_ units: UInt32) -> UInt64 {
    units == Self.unknown ? 0 : base + UInt64(units) * 10
  }

  /// Whether times later than this one cannot be told for much longer.
  func isEnding(at now: Timestamp) -> Bool { units(now.milliseconds) > .max - 1 << 24 }
}
