// Server-sent events (WHATWG HTML, section 9.2.6), taken apart as they come. Pure.

/// An event of a stream.
struct ServerSentEvent: Sendable, Equatable {
  /// `message` where the stream names none.
  var name: String
  var data: String
}

/// Takes octets in any pieces, gives whole events.
struct EventStreamParser: Sendable {
  private var line: [UInt8] = []
  private var name = ""
  private var data: [String] = []
  /// Whether the last octet was a carriage return, that a line feed may follow.
  private var isAfterReturn = false

  mutating func events(in octets: some Sequence<UInt8>) -> [ServerSentEvent] {
    var events: [ServerSentEvent] = []
    for octet in octets {
      defer { isAfterReturn = octet == UInt8(ascii: "\r") }
      switch octet {
      case UInt8(ascii: "\n") where isAfterReturn: break
      case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
        if let event = endLine() { events.append(event) }
      default: line.append(octet)
      }
    }
    return events
  }

  private mutating func endLine() -> ServerSentEvent? {
    defer { line.removeAll(keepingCapacity: true) }
    if line.isEmpty {
      defer { (name, data) = ("", []) }
      guard !data.isEmpty else { return nil }
      return ServerSentEvent(
        name: name.isEmpty ? "message" : name, data: data.joined(separator: "\n"))
    }
    let parts = line.split(
      separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
    var value = parts.count == 2 ? parts[1] : []
    if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
    let text = String(decoding: value, as: UTF8.self)
    // A line that begins with a colon is a remark, that keeps the connection alive.
    switch String(decoding: parts[0], as: UTF8.self) {
    case "event": name = text
    case "data": data.append(text)
    default: break
    }
    return nil
  }
}
