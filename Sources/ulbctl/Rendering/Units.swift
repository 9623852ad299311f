// Numbers, shares and times as an operator reads them. Pure.
import Control

/// How numbers are written.
enum NumberFormat: Sendable {
  /// Three digits and K, M, G, T, P, E (powers of 1,000) from 1,000 on.
  case compact
  /// All digits.
  case exact

  func text(_ number: UInt64) -> String {
    switch self {
    case .exact: "\(number)"
    case .compact: number < 1000 ? "\(number)" : Self.scaled(Double(number))
    }
  }

  /// Of something a second; `-` where it is not known.
  func text(perSecond rate: Double?) -> String {
    guard let rate, rate.isFinite, rate >= 0 else { return "-" }
    switch self {
    case .exact: return fixed(rate, decimals: 1)
    // What is not nothing is not shown as nothing.
    case .compact where rate == 0: return "0"
    case .compact where rate < 9.95: return fixed(max(rate, 0.1), decimals: 1)
    case .compact where rate < 999.5: return fixed(rate, decimals: 0)
    case .compact: return Self.scaled(rate)
    }
  }

  private static func scaled(_ number: Double) -> String {
    var (number, units) = (number / 1000, "KMGTPE"[...])
    // 999.5K would be read as 1000K.
    while number >= 999.5, units.count > 1 {
      number /= 1000
      units = units.dropFirst()
    }
    let decimals = number < 9.995 ? 2 : number < 99.95 ? 1 : 0
    return fixed(number, decimals: decimals) + String(units.first!)
  }
}

/// A number that is not negative, with so many decimals.
func fixed(_ number: Double, decimals: Int) -> String {
  let power = (0..<decimals).reduce(1.0) { power, _ in power * 10 }
  let scaled = (number * power).rounded()
  guard scaled < 1e18 else { return "\(number)" }
  let digits = String(UInt64(scaled)).leftFilled(to: decimals + 1)
  return decimals == 0 ? digits : "\(digits.dropLast(decimals)).\(digits.suffix(decimals))"
}

extension String {
  fileprivate func leftFilled(to width: Int) -> String {
    String(repeating: "0", count: Swift.max(0, width - count)) + self
  }
}

/// A part of something as `51%`; `<1%` is not nothing, `-` is not known.
func percent(_ part: Double?) -> String {
  guard let part, part.isFinite else { return "-" }
  return part > 0 && part < 0.005 ? "<1%" : "\(fixed(part * 100, decimals: 0))%"
}

/// `1 client`, `2 clients`, `1.20M clients`.
func counted(_ number: UInt64, _ noun: String, _ format: NumberFormat = .compact) -> String {
  "\(format.text(number)) \(noun)\(number == 1 ? "" : "s")"
}

/// How long something takes or took, in its two greatest units: `3 d 4 h`, `12 s`.
func duration(_ seconds: Double) -> String {
  guard seconds >= 0, seconds < 1e12 else { return "?" }
  let whole = Int(seconds)
  let parts = [
    (whole / 86400, "d"), (whole / 3600 % 24, "h"), (whole / 60 % 60, "min"), (whole % 60, "s"),
  ].drop { $0.0 == 0 }.prefix(2)
  let text = parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: " ")
  return text.isEmpty ? "0 s" : text
}

/// How long ago a time was: `3 min 2 s ago`; the text itself where it is no time.
func ago(_ time: String, now: Double) -> String {
  guard let then = RFC3339.seconds(time) else { return time }
  let seconds = now - then
  return seconds < 1 ? "just now" : "\(duration(seconds)) ago"
}
