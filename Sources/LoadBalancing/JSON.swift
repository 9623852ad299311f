// Just enough of JSON (RFC 8259) to write it. Reads none.

/// Writes JSON text.
public enum JSON {
  /// `text` as a JSON string with its quotes. Control characters and the line separators that
  /// break a line in a terminal or in JavaScript are escaped: the result is always one line.
  public static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}", "\u{2028}", "\u{2029}":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// An object on one line, its members in the order given; the values are JSON already.
  static func object(_ members: [(name: String, value: String)]) -> String {
    "{" + members.map { "\(quoted($0.name)):\($0.value)" }.joined(separator: ",") + "}"
  }

  /// An array on one line; the elements are JSON already.
  static func array(_ elements: some Sequence<String>) -> String {
    "[" + elements.joined(separator: ",") + "]"
  }
}

/// The daemon's own log messages, those that are not about a packet.
public enum LogLine {
  /// One JSON object on one line with the members time, level and message.
  public static func json(time: Timestamp, level: LogLevel, message: String) -> String {
    JSON.object([
      ("time", JSON.quoted(time.description)),
      ("level", JSON.quoted(level.name)),
      ("message", JSON.quoted(message)),
    ])
  }
}
