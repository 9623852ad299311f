// What happens, as it comes: GET /v1/events, a stream of server-sent events (WHATWG HTML, section
// 9.2).

/// What an event of the stream is called; its data is one line of JSON.
public enum StreamEvent: String, Sendable, CaseIterable {
  /// The stream begins; where clients are followed, their packets are reported from here on. No
  /// member.
  case ready
  /// An event of a packet: ``PacketReport``.
  case packet
  /// A line of the daemon's own in the log: ``LogReport``.
  case log
  /// Events that this listener was too slow for: ``LossReport``.
  case lost
}

/// One event of one packet: the members of the log's JSON lines, and the log's text.
public struct PacketReport: Codable, Sendable, Equatable {
  /// When it was read: RFC 3339, UTC.
  public var time: String
  public var level: String
  /// As in the packet table: `INGRESS_NEW_NAT`.
  public var event: String
  public var message: String
  /// Nothing where the packet is no virtual server's.
  public var virtualServer: String?
  public var source: String?
  public var sourcePort: UInt16?
  public var sourceMAC: String?
  public var destination: String?
  public var destinationPort: UInt16?
  public var destinationMAC: String?
  public var newSource: String?
  public var newDestination: String?
  /// The log's picture of it, of one line or two.
  public var text: String

  public init(
    time: String, level: String, event: String, message: String, virtualServer: String?,
    text: String
  ) {
    self.time = time
    self.level = level
    self.event = event
    self.message = message
    self.virtualServer = virtualServer
    self.text = text
  }

  private enum CodingKeys: String, CodingKey {
    case time, level, event, message, source, destination, text
    case virtualServer = "virtual_server"
    case sourcePort = "source_port"
    case sourceMAC = "source_mac"
    case destinationPort = "destination_port"
    case destinationMAC = "destination_mac"
    case newSource = "new_source"
    case newDestination = "new_destination"
  }
}

/// A line of the daemon's own in the log.
public struct LogReport: Codable, Sendable, Equatable {
  /// RFC 3339, UTC.
  public var time: String
  public var level: String
  public var message: String
  public var virtualServer: String?

  public init(time: String, level: String, message: String, virtualServer: String?) {
    self.time = time
    self.level = level
    self.message = message
    self.virtualServer = virtualServer
  }

  private enum CodingKeys: String, CodingKey {
    case time, level, message
    case virtualServer = "virtual_server"
  }
}

/// Events that a listener was too slow for.
public struct LossReport: Codable, Sendable, Equatable {
  public var count: UInt64

  public init(count: UInt64) { self.count = count }
}
