// What can happen to a packet: the rows of the packet table with their level and text.
// Knows nothing of how the kernel reports it.

/// What the packet path decided on a frame. The raw value is the code that the program writes
/// into an event.
public enum Event: UInt32, CaseIterable, Sendable {
  case invalidEthernetSize = 1
  case notIPv4
  case notIPv6
  case invalidIPSize
  case tooSmallIPHeader
  case notUDP
  case tooBigIPHeader
  case fragmentedIPPacket
  case lifetimeExpired
  case invalidUDPSize
  case noVirtualServer
  case ingressNotHandledPort
  /// Who would become a client has an address or a port that no answer can go to.
  case invalidClient
  case ingressCannotCreateAssociation
  case ingressNewNAT
  case ingressReusedNAT
  case egressNotHandledPort
  /// A server-initiated association that cannot be created; the packet is dropped.
  case egressCannotCreateAssociation
  case egressNewNAT
  case egressReusedNAT
  case egressNotAuthorized
  case unhandledTraffic
  /// A list denies the client whose packet it is.
  case ingressDenied
  /// A list denies the client that a real server wrote to first.
  case egressDenied
  /// Not from the next hop on the way to the real server whose address it has.
  case egressUnverified

  /// What becomes of a frame.
  public enum Verdict: String, Sendable, CaseIterable {
    /// The director's kernel has it, untouched.
    case pass
    case drop
    /// Rewritten, and out of the interface that it came in on.
    case send
  }

  /// Which way the packet went, as far as the program found out.
  public enum Direction: Sendable {
    /// Client to virtual server.
    case ingress
    /// Real server to client.
    case egress
    case neither
  }

  /// Which addresses an event carries.
  public enum Kind: Sendable {
    /// The frame has no address of the family.
    case withoutAddresses
    /// The packet stays as it came in.
    case unchanged
    /// The packet was rewritten: the event has the addresses before and after.
    case translated
  }

  /// The name in the C program and in JSON.
  public var name: String { row.name }
  /// What becomes of the frame.
  public var verdict: Verdict { row.verdict }
  /// An event below the configured level is not compiled in.
  public var level: LogLevel { row.level }
  /// What the log says. The translations get their second half from ``message``.
  public var text: String { row.text }
  public var direction: Direction { row.direction }
  public var kind: Kind { row.kind }

  /// ``text``, and for a translation also whether the association is new.
  public var message: String {
    switch self {
    case .ingressNewNAT, .egressNewNAT: "\(text) (NEW ASSOCIATION)"
    case .ingressReusedNAT, .egressReusedNAT: "\(text) (REUSED ASSOCIATION)"
    default: text
    }
  }

  private struct Row {
    let name: String
    let verdict: Verdict
    let level: LogLevel
    let text: String
    var direction = Direction.neither
    var kind = Kind.unchanged
  }

  private var row: Row {
    switch self {
    case .invalidEthernetSize:
      Row(
        name: "INVALID_ETH_SIZE", verdict: .drop, level: .warning,
        text: "Invalid size for ethernet packet",
        kind: .withoutAddresses)
    case .notIPv4:
      Row(
        name: "NOT_IP_V4", verdict: .pass, level: .trace, text: "Not IPv4 packet",
        kind: .withoutAddresses)
    case .notIPv6:
      Row(
        name: "NOT_IP_V6", verdict: .pass, level: .trace, text: "Not IPv6 packet",
        kind: .withoutAddresses)
    case .invalidIPSize:
      Row(
        name: "INVALID_IP_SIZE", verdict: .drop, level: .warning, text: "Invalid size for IP packet"
      )
    case .tooSmallIPHeader:
      Row(name: "TOO_SMALL_IP_HEADER", verdict: .drop, level: .warning, text: "Too small IP header")
    case .notUDP:
      Row(name: "NOT_UDP", verdict: .pass, level: .trace, text: "Not UDP packet")
    case .tooBigIPHeader:
      Row(name: "TOO_BIG_IP_HEADER", verdict: .pass, level: .info, text: "Too big IP header")
    case .fragmentedIPPacket:
      Row(name: "FRAGMENTED_IP_PACKET", verdict: .pass, level: .info, text: "Fragmented IP packet")
    case .lifetimeExpired:
      Row(
        name: "LIFETIME_EXPIRED", verdict: .drop, level: .warning, text: "TTL or hoplimit expired")
    case .invalidUDPSize:
      Row(
        name: "INVALID_UDP_SIZE", verdict: .drop, level: .warning,
        text: "Invalid size for UDP packet")
    case .noVirtualServer:
      Row(
        name: "NO_VIRTUAL_SERVER", verdict: .pass, level: .error,
        text: "No virtual server configured")
    case .ingressNotHandledPort:
      Row(
        name: "INGRESS_NOT_HANDLED_PORT", verdict: .pass, level: .trace, text: "Unhandled port",
        direction: .ingress)
    case .invalidClient:
      Row(name: "INVALID_CLIENT", verdict: .drop, level: .warning, text: "Invalid client")
    case .ingressCannotCreateAssociation:
      Row(
        name: "INGRESS_CANNOT_CREATE_ASSO", verdict: .drop, level: .error,
        text: "Unable to create association",
        direction: .ingress)
    case .ingressNewNAT:
      Row(
        name: "INGRESS_NEW_NAT", verdict: .send, level: .debug, text: "Destination NAT",
        direction: .ingress,
        kind: .translated)
    case .ingressReusedNAT:
      Row(
        name: "INGRESS_REUSED_NAT", verdict: .send, level: .debug, text: "Destination NAT",
        direction: .ingress,
        kind: .translated)
    case .egressNotHandledPort:
      Row(
        name: "EGRESS_NOT_HANDLED_PORT", verdict: .pass, level: .trace, text: "Unhandled port",
        direction: .egress)
    case .egressCannotCreateAssociation:
      Row(
        name: "EGRESS_CANNOT_CREATE_ASSO", verdict: .drop, level: .error,
        text: "Unable to create association",
        direction: .egress)
    case .egressNewNAT:
      Row(
        name: "EGRESS_NEW_NAT", verdict: .send, level: .debug, text: "Source NAT",
        direction: .egress,
        kind: .translated)
    case .egressReusedNAT:
      Row(
        name: "EGRESS_REUSED_NAT", verdict: .send, level: .debug, text: "Source NAT",
        direction: .egress,
        kind: .translated)
    case .egressNotAuthorized:
      Row(
        name: "EGRESS_NOT_AUTHORIZED", verdict: .drop, level: .info,
        text: "Not associated real server",
        direction: .egress)
    case .unhandledTraffic:
      Row(name: "UNHANDLED_TRAFFIC", verdict: .pass, level: .trace, text: "Unhandled traffic")
    case .ingressDenied:
      Row(
        name: "INGRESS_DENIED", verdict: .drop, level: .info, text: "Denied client",
        direction: .ingress)
    case .egressDenied:
      Row(
        name: "EGRESS_DENIED", verdict: .drop, level: .info, text: "Denied client",
        direction: .egress)
    case .egressUnverified:
      Row(
        name: "EGRESS_UNVERIFIED", verdict: .drop, level: .warning,
        text: "Not from the next hop of the real server",
        direction: .egress)
    }
  }
}
