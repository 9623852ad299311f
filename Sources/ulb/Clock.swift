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
