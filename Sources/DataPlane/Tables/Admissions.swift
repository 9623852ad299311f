// How associations came to be, and how many of their clients are residents: what packets and the
// daemon write at the same time.
import BCC
import CLayout
import CLinux
import Glibc

/// The one entry of a table `admissions` (`struct admissions`).
struct Admissions: Sendable {
  private let table: MappedTable<admissions>

  init(_ table: Table) throws(BCCError) { self.table = try MappedTable(table) }

  /// How many residents there are.
  var residents: UInt64 { load_64(table[0].pointer(to: \.residents)!) }

  /// When a newcomer last had to go that had come shortly before, in ns of CLOCK_MONOTONIC; 0 for
  /// never.
  var pressedAt: UInt64 { load_64(table[0].pointer(to: \.pressed_at)!) }

  /// Counts residents that the daemon makes, or forgets.
  func addResidents(_ count: Int) {
    let residents = table[0].pointer(to: \.residents)!
    while true {
      let seen = load_64(residents)
      if swap_64(residents, seen, seen &+ UInt64(bitPattern: Int64(count))) { return }
    }
  }

  /// Whether there is pressure: until none has had to go for two seconds.
  var isUnderPressure: Bool {
    let (pressedAt, now) = (pressedAt, Admissions.nanoseconds)
    return pressedAt != 0 && now < pressedAt + 2_000_000_000
  }

  /// The time of packets in half seconds.
  static var halfSeconds: UInt64 { halfSeconds(of: nanoseconds) }

  /// The half seconds of a time in ns, as packets reckon them.
  static func halfSeconds(of time: UInt64) -> UInt64 {
    ((time >> UInt64(TIME_SHIFT)) &* UInt64(HALF_SECONDS_FACTOR)) >> UInt64(HALF_SECONDS_SHIFT)
  }

  /// The time of packets in ns, of CLOCK_MONOTONIC as of the last tick.
  private static var nanoseconds: UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }
}
