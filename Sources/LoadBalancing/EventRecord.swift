// One event of one packet, and its line in the log. Knows neither the ring buffer nor its layout.

/// An event with the addresses of the packet it is about.
public struct EventRecord: Sendable, Equatable {
  public var event: Event
  /// What the virtual server is called whose packet it is: its label; `nil` where it is nobody's.
  public var virtualServer: String?
  /// MAC addresses of the frame as it came in, 6 octets each.
  public var sourceMAC: [UInt8]
  public var destinationMAC: [UInt8]
  /// Addresses of the packet as it came in; unspecified where they are unknown. Their family is the
  /// line's.
  public var source: IPAddress
  public var destination: IPAddress
  /// UDP ports in host order; 0 where they are unknown. Ports are never rewritten.
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  /// The addresses after a translation: the MAC addresses are swapped then.
  public var newSourceMAC: [UInt8]
  public var newDestinationMAC: [UInt8]
  public var newSource: IPAddress
  public var newDestination: IPAddress

  public init(
    event: Event, virtualServer: String? = nil, sourceMAC: [UInt8], destinationMAC: [UInt8],
    source: IPAddress, destination: IPAddress, sourcePort: UInt16, destinationPort: UInt16,
    newSourceMAC: [UInt8], newDestinationMAC: [UInt8], newSource: IPAddress,
    newDestination: IPAddress
  ) {
    self.event = event
    self.virtualServer = virtualServer
    self.sourceMAC = sourceMAC
    self.destinationMAC = destinationMAC
    self.source = source
    self.destination = destination
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.newSourceMAC = newSourceMAC
    self.newDestinationMAC = newDestinationMAC
    self.newSource = newSource
    self.newDestination = newDestination
  }

  /// What ulb.py prints: one line, or for a translation two, joined by a newline. MAC/address
  /// pairs are padded to 33 columns for IPv4, 57 for IPv6.
  public var line: String {
    let width = source.family == .ipv4 ? 33 : 57
    let blank = String(repeating: " ", count: width)
    func pad(_ text: String) -> String {
      String(repeating: " ", count: max(0, width - text.utf8.count))
    }
    func right(_ text: String) -> String { pad(text) + text }
    func left(_ text: String) -> String { text + pad(text) }

    let from = Self.pair(sourceMAC, source)
    let to = Self.pair(destinationMAC, destination)
    let newFrom = Self.pair(newSourceMAC, newSource)
    let newTo = Self.pair(newDestinationMAC, newDestination)
    let age = event.message.utf8.dropFirst(event.text.utf8.count)
    let ageText = String(Substring(age))

    switch (event.kind, event.direction) {
    case (.withoutAddresses, _):
      return "\(blank) <-> \(blank) \(event.text)"
    case (.translated, .egress):
      return "\(blank)   ┌ \(left(from)) \(event.text)\n"
        + "\(right(newTo)) <─┘ \(left(newFrom))\(ageText)"
    case (.translated, _):
      return "\(right(from)) ─┐  \(left(to)) \(event.text)\n"
        + "\(blank)  └> \(left(newTo))\(ageText)"
    case (.unchanged, .ingress):
      return "\(right(from)) ──> \(left(to)) \(event.text)"
    case (.unchanged, .egress):
      return "\(right(to)) <── \(left(from)) \(event.text)"
    case (.unchanged, .neither):
      return "\(right(from)) <─> \(left(to)) \(event.text)"
    }
  }

  /// One JSON object on one line. The virtual server and ports are there if they are known, addresses
  /// if the event has some, the new addresses for translations.
  public func json(time: Timestamp) -> String {
    var members = Members(
      time: time.description, level: event.level.name, event: event.name,
      virtualServer: virtualServer, message: event.message)
    if event.kind != .withoutAddresses {
      members.source = source.description
      members.sourcePort = sourcePort == 0 ? nil : sourcePort
      members.sourceMAC = Self.text(mac: sourceMAC)
      members.destination = destination.description
      members.destinationPort = destinationPort == 0 ? nil : destinationPort
      members.destinationMAC = Self.text(mac: destinationMAC)
    }
    if event.kind == .translated {
      members.newSource = newSource.description
      members.newDestination = newDestination.description
    }
    return JSONLine.text(members)
  }

  private struct Members: Encodable {
    let time: String
    let level: String
    let event: String
    let virtualServer: String?
    let message: String
    var source: String?
    var sourcePort: UInt16?
    var sourceMAC: String?
    var destination: String?
    var destinationPort: UInt16?
    var destinationMAC: String?
    var newSource: String?
    var newDestination: String?

    private enum CodingKeys: String, CodingKey {
      case time, level, event, message, source, destination
      case virtualServer = "virtual_server"
      case sourcePort = "source_port"
      case sourceMAC = "source_mac"
      case destinationPort = "destination_port"
      case destinationMAC = "destination_mac"
      case newSource = "new_source"
      case newDestination = "new_destination"
    }
  }

  private static func pair(_ mac: [UInt8], _ address: IPAddress) -> String {
    "\(text(mac: mac))/\(address)"
  }

  /// Lower-case hexadecimal octets with colons between.
  package static func text(mac: [UInt8]) -> String {
    mac.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
  }
}
