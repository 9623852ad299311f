// Python's rules for numbers, blanks and quoted text, which the command line and the config file
// of ulb.py inherit. Knows neither of the two.
import LoadBalancing

enum PythonText {
  /// `repr` of a string: quoted, with what cannot be printed escaped. Of a long text the beginning.
  static func quoted(_ text: String, atMost limit: Int = String.mostShown) -> String {
    let (text, isWhole) = text.beginning(limit)
    let scalars = text.unicodeScalars
    let quote: Unicode.Scalar = scalars.contains("'") && !scalars.contains("\"") ? "\"" : "'"
    return "\(quote)\(escaped(text, quote: quote))\(quote)" + (isWhole ? "" : "…")
  }

  /// The same without the quotes.
  static func escaped(_ text: String, atMost limit: Int) -> String {
    let (beginning, isWhole) = text.beginning(limit)
    return escaped(beginning, quote: nil) + (isWhole ? "" : "…")
  }

  private static func escaped(_ text: String, quote: Unicode.Scalar?) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\", quote: result += "\\\(scalar)"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case " "..."~": result.unicodeScalars.append(scalar)
      default:
        if isPrintable(scalar) {
          result.unicodeScalars.append(scalar)
        } else {
          result += escaped(scalar)
        }
      }
    }
    return result
  }

  /// `str.isspace` of one character.
  static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09...0x0d, 0x1c...0x20, 0x85, 0xa0, 0x1680, 0x2000...0x200a, 0x2028, 0x2029, 0x202f,
      0x205f, 0x3000:
      true
    default: false
    }
  }

  /// What `int` makes of a text: blanks around it, a sign, digits with single underscores between.
  struct Integer {
    /// The number in decimal, as Python prints it.
    let text: String
    /// The number, `nil` if it is beyond 64 bits.
    var value: Int? { Int(text) }
  }

  static func integer(_ text: String) -> Integer? {
    var scalars = text.unicodeScalars[...]
    while let first = scalars.first, isSpace(first) { scalars.removeFirst() }
    while let last = scalars.last, isSpace(last) { scalars.removeLast() }
    var sign = ""
    if let first = scalars.first, first == "-" || first == "+" {
      sign = first == "-" ? "-" : ""
      scalars.removeFirst()
    }
    var digits = ""
    var afterDigit = false
    for scalar in scalars {
      if let digit = decimalDigit(scalar) {
        if digits != "0" { digits += String(digit) } else { digits = String(digit) }
        afterDigit = true
      } else if scalar == "_", afterDigit {
        afterDigit = false
      } else {
        return nil
      }
    }
    guard afterDigit else { return nil }
    return Integer(text: digits == "0" ? digits : sign + digits)
  }

  /// The value of a decimal digit of any script (Unicode category Nd).
  static func decimalDigit(_ scalar: Unicode.Scalar) -> Int? {
    if scalar.isASCII {
      return ("0"..."9").contains(scalar) ? Int(scalar.value - 0x30) : nil
    }
    guard scalar.properties.numericType == .decimal,
      let value = scalar.properties.numericValue
    else { return nil }
    return Int(value)
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      false
    default: true
    }
  }

  private static func escaped(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16)
    func padded(_ width: Int) -> String {
      String(repeating: "0", count: width - digits.utf8.count) + digits
    }
    return switch scalar.value {
    case ..<0x100: "\\x\(padded(2))"
    case ..<0x10000: "\\u\(padded(4))"
    default: "\\U\(padded(8))"
    }
  }
}
