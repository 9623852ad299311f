// What ulb writes as JSON (RFC 8259): one object on one line. Knows no stream.
import JSONCoding

package enum JSONLine {
  /// A value on one line, its keys sorted.
  ///
  /// - Parameter value: of strings and whole numbers alone, which cannot fail.
  package static func text(_ value: some Encodable) -> String {
    guard let octets = try? JSON.encode(value) else { return "{}" }
    return String(decoding: octets, as: UTF8.self)
  }
}

/// The daemon's own log messages, those that are not about a packet.
public enum LogLine {
  private struct Members: Encodable {
    let time: String
    let level: String
    let message: String
    let virtualServer: String?

    private enum CodingKeys: String, CodingKey {
      case time, level, message
      case virtualServer = "virtual_server"
    }
  }

  /// One JSON object on one line with the members time, level and message.
  ///
  /// - Parameter virtualServer: the label of the virtual server that the message is about, for a
  ///   member more.
  public static func json(
    time: Timestamp, level: LogLevel, message: String, virtualServer: String? = nil
  ) -> String {
    JSONLine.text(
      Members(
        time: time.description, level: level.name, message: message, virtualServer: virtualServer))
  }
}
