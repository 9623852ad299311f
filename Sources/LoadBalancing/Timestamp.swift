// A point in time as RFC 3339 text. Knows no clock: whoever logs reads one.

/// Time since 1970-01-01T00:00:00Z, leap seconds not counted, as `clock_gettime` gives it.
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Whole seconds, negative before 1970.
  public let seconds: Int64
  /// The rest, 0…999,999,999.
  public let nanoseconds: Int64

  public init(seconds: Int64, nanoseconds: Int64 = 0) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// - Parameter milliseconds: since 1970.
  public init(milliseconds: UInt64) {
    self.init(
      seconds: Int64(milliseconds / 1000), nanoseconds: Int64(milliseconds % 1000) * 1_000_000)
  }

  /// In ms since 1970, cut off; 0 before.
  public var milliseconds: UInt64 {
    seconds < 0 ? 0 : UInt64(seconds) * 1000 + UInt64(nanoseconds / 1_000_000)
  }

  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
  }

  /// RFC 3339 section 5.6 in UTC with milliseconds, cut off: `2026-01-31T23:59:59.999Z`.
  public var description: String {
    // Rounded down, so that times before 1970 count from midnight too.
    let day = (seconds >= 0 ? seconds : seconds - 86399) / 86400
    let second = seconds - day * 86400
    let (year, month, date) = Self.civil(daysSince1970: day)
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(date, 2))"
      + "T\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
      + ".\(padded(nanoseconds / 1_000_000, 3))Z"
  }

  /// The proleptic Gregorian date, counted in years that begin on 1 March, so that the leap day
  /// comes last, and in eras of 400 years (146,097 days).
  private static func civil(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let days = daysSince1970 + 719_468
    let era = (days >= 0 ? days : days - 146_096) / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * shifted + 2) / 5 + 1)
  }

  private func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}
