// Sockets of rtnetlink(7): one that asks, and one that hears the news.
import CLinux
import Glibc
import LoadBalancing
import SystemPackage

/// Asks the kernel of this network namespace for routes and neighbours. It answers at once: nothing here
/// waits.
public final class RouteSocket {
  private let descriptor: FileDescriptor
  private var sequence: UInt32 = 0
  private var buffer = [UInt8](repeating: 0, count: bufferSize)

  public init() throws(Errno) { descriptor = try openRouteSocket(groups: 0) }

  deinit { try? descriptor.close() }

  /// Where packets for an address go first, out of an interface; `.unreachable` where the kernel knows no way.
  public func nextHop(to address: IPAddress, interface: UInt32) -> NextHop {
    let request = NextHop.request(for: address, interface: interface)
    guard let answer = try? exchange(request) else { return .unreachable }
    return NextHop(answer, interface: interface) ?? .unreachable
  }

  /// What the kernel knows of a neighbour.
  public func neighbour(_ address: IPAddress, interface: UInt32) -> Neighbour {
    let request = Neighbour.request(for: address, interface: interface)
    guard let answer = try? exchange(request), let neighbour = Neighbour(answer),
      neighbour.address == address
    else { return Neighbour(interface: interface, address: address, hardware: nil, state: .absent) }
    return neighbour
  }

  /// Has the kernel find out where a neighbour is, unless it has just been confirmed. What comes of it is
  /// news.
  public func use(_ address: IPAddress, interface: UInt32) throws(Errno) {
    _ = try exchange(Neighbour.use(of: address, interface: interface))
  }

  /// Has the kernel confirm where a neighbour is that it knows. What comes of it is news.
  public func probe(_ address: IPAddress, interface: UInt32) throws(Errno) {
    _ = try exchange(Neighbour.probe(of: address, interface: interface))
  }

  /// Whether neighbours at an interface have link-layer addresses that they are asked for.
  public func hasNeighbours(interface: UInt32) -> Bool {
    var header = ifinfomsg()
    header.ifi_index = Int32(bitPattern: interface)
    let request = NetlinkMessage(
      type: UInt16(RTM_GETLINK), flags: UInt16(NLM_F_REQUEST), payload: octetsOf(header))
    guard let answer = try? exchange(request), answer.type == UInt16(RTM_NEWLINK),
      let found = answer.payload[...].beginning(as: ifinfomsg.self)
    else { return false }
    let without = UInt32(IFF_LOOPBACK | IFF_NOARP)
    return found.ifi_flags & without == 0
  }

  /// - Returns: the answer, or the acknowledgement.
  /// - Throws: what the kernel refuses it with.
  private func exchange(_ request: NetlinkMessage) throws(Errno) -> NetlinkMessage {
    sequence &+= 1
    let message = NetlinkMessage(
      type: request.type, flags: request.flags, sequence: sequence, payload: request.payload
    ).octets
    guard send(descriptor.rawValue, message, message.count, 0) == message.count else {
      throw Errno(rawValue: errno)
    }
    // An answer to a request before this one may be there still.
    while true {
      let count = recv(descriptor.rawValue, &buffer, bufferSize, Int32(MSG_DONTWAIT))
      guard count > 0 else { throw count < 0 ? Errno(rawValue: errno) : .protocolError }
      for answer in NetlinkMessage.all(in: buffer.prefix(count)) where answer.sequence == sequence {
        if let number = answer.errorNumber, number != 0 { throw Errno(rawValue: number) }
        return answer
      }
    }
  }
}

/// The kernel's news of neighbours, and that routes may have changed.
public final class RouteNews {
  /// What there is to be heard.
  public struct News: Sendable {
    public var neighbours: [Neighbour] = []
    /// Whether routes, or what they depend on, are others.
    public var areRoutesChanged = false
    /// Whether some were lost: then all is to be asked for anew.
    public var isIncomplete = false
  }

  /// Lent for poll(2).
  public let descriptor: FileDescriptor
  private var buffer = [UInt8](repeating: 0, count: bufferSize)

  /// Those of interfaces are among them, as routes go with these without a word of their own.
  private static let groups = [
    RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,
    RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP,
  ]

  public init() throws(Errno) {
    descriptor = try openRouteSocket(
      groups: Self.groups.reduce(0) { $0 | 1 << ($1.rawValue - 1) })
  }

  deinit { try? descriptor.close() }

  /// All that came since the last call; never waits.
  public func read() -> News {
    var news = News()
    while true {
      let count = recv(descriptor.rawValue, &buffer, bufferSize, Int32(MSG_DONTWAIT))
      if count < 0, Errno(rawValue: errno) == .noBufferSpace {
        news.isIncomplete = true
        continue
      }
      guard count > 0 else { return news }
      for message in NetlinkMessage.all(in: buffer.prefix(count)) {
        if let neighbour = Neighbour(message) {
          news.neighbours.append(neighbour)
        } else if ![RTM_NEWNEIGH, RTM_DELNEIGH].contains(Int(message.type)) {
          news.areRoutesChanged = true
        }
      }
    }
  }
}

/// More than the kernel puts into one datagram.
private let bufferSize = 65_536

private func openRouteSocket(groups: UInt32) throws(Errno) -> FileDescriptor {
  let kind = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
  let number = socket(AF_NETLINK, kind, NETLINK_ROUTE)
  guard number >= 0 else { throw Errno(rawValue: errno) }
  var address = sockaddr_nl()
  address.nl_family = sa_family_t(AF_NETLINK)
  address.nl_groups = groups
  let status = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      bind(number, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
    }
  }
  guard status == 0 else {
    let error = Errno(rawValue: errno)
    close(number)
    throw error
  }
  return FileDescriptor(rawValue: number)
}
