// What the kernel says of routes and neighbours: rtnetlink(7). Knows no socket.
import CLinux
import Glibc
import LoadBalancing

/// Where packets for an address go first, out of one interface.
public enum NextHop: Sendable, Hashable {
  case gateway(IPAddress)
  /// The address itself is on the link.
  case onLink
  /// More than one gateway, in turn.
  case several
  /// No packet goes there out of this interface.
  case unreachable

  /// The request for the route to an address that has to go out of an interface: the one that is
  /// configured, whatever was learned since.
  static func request(for address: IPAddress, interface: UInt32) -> NetlinkMessage {
    var header = rtmsg()
    header.rtm_family = address.family.number
    header.rtm_dst_len = UInt8(8 * address.octets.count)
    header.rtm_flags = UInt32(RTM_F_FIB_MATCH)
    return NetlinkMessage(
      type: UInt16(RTM_GETROUTE), flags: UInt16(NLM_F_REQUEST),
      payload: octetsOf(header) + Attributes.octets(RTA_DST.rawValue, address.octets)
        + Attributes.octets(RTA_OIF.rawValue, octetsOf(interface)))
  }

  /// - Parameter message: the answer to ``request(for:interface:)``; `nil` where it is none.
  init?(_ message: NetlinkMessage, interface: UInt32) {
    guard message.type == UInt16(RTM_NEWROUTE),
      let header = message.payload[...].beginning(as: rtmsg.self)
    else { return nil }
    guard header.rtm_type == UInt8(RTN_UNICAST) else {
      self = .unreachable
      return
    }
    let attributes = Attributes(message.payload.dropFirst(MemoryLayout<rtmsg>.size))
    if let paths = attributes[RTA_MULTIPATH.rawValue] {
      self = NextHop.common(NextHop.hops(paths, interface))
    } else if attributes[RTA_OIF.rawValue]?.beginning(as: UInt32.self) == interface {
      self = NextHop.hop(attributes)
    } else {
      self = .unreachable
    }
  }

  /// Those of a route with several paths that leave by an interface.
  private static func hops(_ paths: ArraySlice<UInt8>, _ interface: UInt32) -> Set<NextHop> {
    let size = MemoryLayout<rtnexthop>.size
    var hops: Set<NextHop> = []
    var rest = paths
    while let path = rest.beginning(as: rtnexthop.self) {
      let length = Int(path.rtnh_len)
      guard length >= size, length <= rest.count else { break }
      if UInt32(bitPattern: path.rtnh_ifindex) == interface {
        hops.insert(hop(Attributes(rest.prefix(length).dropFirst(size))))
      }
      rest = rest.dropFirst((length + 3) & ~3)
    }
    return hops
  }

  private static func common(_ hops: Set<NextHop>) -> NextHop {
    hops.count > 1 ? .several : hops.first ?? .unreachable
  }

  private static func hop(_ attributes: Attributes) -> NextHop {
    if let address = attributes[RTA_GATEWAY.rawValue].flatMap(IPAddress.init(onWire:)) {
      return .gateway(address)
    }
    // A gateway of the other family: that stands before its address.
    if let address = attributes[RTA_VIA.rawValue].flatMap({ IPAddress(onWire: $0.dropFirst(2)) }) {
      return .gateway(address)
    }
    return .onLink
  }
}

/// What the kernel knows of a neighbour.
public struct Neighbour: Sendable, Equatable {
  public let interface: UInt32
  public let address: IPAddress
  /// Where it is, or was last; `nil` where that is not known.
  public let hardware: MACAddress?
  public let state: State

  public enum State: Sendable {
    /// An administrator has said where it is.
    case configured
    /// It has answered, and not long ago.
    case confirmed
    /// What is known was not confirmed for long.
    case stale
    /// It is being asked to confirm what is known.
    case asked
    /// It is asked for the first time, or again in vain.
    case incomplete
    case failed
    /// It is not in the table, or no more.
    case absent
    /// The interface has no neighbours that are asked for.
    case notAsked
  }

  /// Whether ``hardware`` is where packets go to.
  public var isKnown: Bool {
    switch state {
    case .configured, .confirmed, .asked, .stale: hardware != nil
    case .incomplete, .failed, .absent, .notAsked: false
    }
  }

  public init(interface: UInt32, address: IPAddress, hardware: MACAddress?, state: State) {
    (self.interface, self.address) = (interface, address)
    (self.hardware, self.state) = (hardware, state)
  }

  /// - Parameter message: news, or the answer to ``request(for:interface:)``; `nil` where it is of
  ///   something else.
  public init?(_ message: NetlinkMessage) {
    let isGone = message.type == UInt16(RTM_DELNEIGH)
    guard isGone || message.type == UInt16(RTM_NEWNEIGH),
      let header = message.payload[...].beginning(as: ndmsg.self)
    else { return nil }
    let attributes = Attributes(message.payload.dropFirst(MemoryLayout<ndmsg>.size))
    guard let octets = attributes[NDA_DST], let address = IPAddress(onWire: octets),
      address.family.number == header.ndm_family
    else { return nil }
    self.init(
      interface: UInt32(bitPattern: header.ndm_ifindex), address: address,
      hardware: attributes[NDA_LLADDR].flatMap { MACAddress(octets: $0) },
      state: isGone ? .absent : State(Int32(header.ndm_state)))
  }

  /// The request for what is known of a neighbour.
  static func request(for address: IPAddress, interface: UInt32) -> NetlinkMessage {
    message(
      UInt16(RTM_GETNEIGH), flags: NLM_F_REQUEST, header(of: address, interface), address)
  }

  /// Has the kernel ask a neighbour where it is, as for a packet that is to go there.
  static func use(of address: IPAddress, interface: UInt32) -> NetlinkMessage {
    var header = Self.header(of: address, interface)
    header.ndm_flags = UInt8(NTF_USE)
    return message(
      UInt16(RTM_NEWNEIGH), flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, header, address)
  }

  /// Has the kernel confirm at once what it knows of a neighbour.
  static func probe(of address: IPAddress, interface: UInt32) -> NetlinkMessage {
    var header = Self.header(of: address, interface)
    header.ndm_state = UInt16(NUD_PROBE)
    return message(
      UInt16(RTM_NEWNEIGH), flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE, header, address)
  }

  private static func header(of address: IPAddress, _ interface: UInt32) -> ndmsg {
    var header = ndmsg()
    header.ndm_family = address.family.number
    header.ndm_ifindex = Int32(bitPattern: interface)
    return header
  }

  private static func message(
    _ type: UInt16, flags: Int32, _ header: ndmsg, _ address: IPAddress
  ) -> NetlinkMessage {
    NetlinkMessage(
      type: type, flags: UInt16(flags),
      payload: octetsOf(header) + Attributes.octets(NDA_DST, address.octets))
  }
}

extension Neighbour.State {
  /// - Parameter state: `NUD_…`.
  fileprivate init(_ state: Int32) {
    self =
      switch state {
      case NUD_PERMANENT: .configured
      case NUD_REACHABLE: .confirmed
      case NUD_STALE, NUD_DELAY: .stale
      case NUD_PROBE: .asked
      case NUD_INCOMPLETE: .incomplete
      case NUD_FAILED: .failed
      case NUD_NOARP: .notAsked
      default: .absent
      }
  }
}

extension AddressFamily {
  /// `AF_…`.
  var number: UInt8 { UInt8(self == .ipv4 ? AF_INET : AF_INET6) }
}

extension IPAddress {
  /// An attribute's octets; `nil` where they are no address.
  fileprivate init?(onWire octets: ArraySlice<UInt8>) {
    guard [4, 16].contains(octets.count) else { return nil }
    self.init(octets: Array(octets))
  }
}
