// The answers' times as numbers.

public enum RFC3339 {
  /// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted, of a time in UTC
  /// (RFC 3339, section 5.6): `2026-01-31T23:59:59.999Z`. Nothing where the text is none.
  public static func seconds(_ text: String) -> Double? {
    let bytes = Array(text.utf8)
    // The shortest form; a fraction of a second stands between it and the Z.
    guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z"),
      let year = number(bytes[0..<4]), bytes[4] == UInt8(ascii: "-"),
      let month = number(bytes[5..<7]), 1...12 ~= month, bytes[7] == UInt8(ascii: "-"),
      let day = number(bytes[8..<10]), 1...31 ~= day, bytes[10] == UInt8(ascii: "T"),
      let hour = number(bytes[11..<13]), hour < 24, bytes[13] == UInt8(ascii: ":"),
      let minute = number(bytes[14..<16]), minute < 60, bytes[16] == UInt8(ascii: ":"),
      let second = number(bytes[17..<19]), second <= 60
    else { return nil }
    var fraction = 0.0
    let rest = bytes[19..<(bytes.count - 1)]
    if !rest.isEmpty {
      guard rest.first == UInt8(ascii: "."), rest.count > 1, rest.count <= 10,
        let digits = number(rest.dropFirst())
      else { return nil }
      fraction = Double(digits) / (1..<rest.count).reduce(1.0) { scale, _ in scale * 10 }
    }
    let whole = (daysSince1970(year, month, day) * 24 + hour) * 3600 + minute * 60 + second
    return Double(whole) + fraction
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
    digits.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
      ? digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) } : nil
  }

  /// Of a date of the proleptic Gregorian calendar. Years are counted from 1 March, so that the leap day
  /// comes last.
  private static func daysSince1970(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let years = month > 2 ? year : year - 1
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return years * 365 + years / 4 - years / 100 + years / 400 + dayOfYear - 719_468
  }
}
