// The two clocks: one for log lines, one that nobody sets back.
import Glibc
import LoadBalancing

enum Clock {
  /// The time of day.
  static var now: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int64(time.tv_nsec))
  }
}

extension Timestamp {
  /// Without the fraction of the second: `2026-01-31T23:59:59Z`.
  var toTheSecond: String { description.prefix(19) + "Z" }
}
