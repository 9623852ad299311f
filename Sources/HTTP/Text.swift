// Texts that the protocol has.
import Glibc
import NIOHTTP1

/// A status in words (RFC 9110, section 15).
func reasonPhrase(_ status: Int) -> String {
  HTTPResponseStatus(statusCode: status).reasonPhrase
}

/// Now, as `Date` says it (RFC 9110, section 5.6.7).
func httpDate() -> String {
  var now = time(nil)
  var parts = tm()
  gmtime_r(&now, &parts)
  let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
  func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
  let date = "\(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(1900 + Int(parts.tm_year))"
  let clock = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
  return "\(days[Int(parts.tm_wday)]), \(date) \(clock) GMT"
}
