// A network interface by its name, as the kernel tells it: rtnetlink(7).
import BCC
import CLinux
import Glibc
import SystemPackage

/// What an XDP program's place has to be known of.
struct NetworkInterface {
  /// The kernel's number of it.
  let index: UInt32
  /// `ARPHRD_…`: what the frames begin with.
  let hardware: UInt16

  /// Whether frames begin with an Ethernet header.
  var isEthernet: Bool { [UInt16(ARPHRD_ETHER), UInt16(ARPHRD_LOOPBACK)].contains(hardware) }

  /// Looks an interface up.
  ///
  /// - Parameter name: its name, or one of its alternative names, which may be of up to 127 bytes.
  init(named name: String) throws(DataPlaneError) {
    // Longer than any name can be (ALTIFNAMSIZ).
    guard (1..<128).contains(name.utf8.count), !name.utf8.contains(0) else {
      throw .noSuchInterface(name)
    }
    let reply: [UInt8]
    do throws(BCCError) {
      reply = try NetworkInterface.exchange(NetworkInterface.request(name), about: name)
    } catch {
      throw .wording(error)
    }
    let header = MemoryLayout<nlmsghdr>.size
    let (kind, error, found) = reply.withUnsafeBytes { reply in
      (
        reply.loadUnaligned(as: nlmsghdr.self).nlmsg_type,
        reply.loadUnaligned(fromByteOffset: header, as: Int32.self),
        reply.loadUnaligned(fromByteOffset: header, as: ifinfomsg.self)
      )
    }
    guard kind == UInt16(RTM_NEWLINK) else {
      guard Errno(rawValue: -error) == .operationNotSupportedByDevice else {
        throw .wording(
          .system(operation: "look for the interface \(name)", errno: Errno(rawValue: -error)))
      }
      throw .noSuchInterface(name)
    }
    index = UInt32(bitPattern: found.ifi_index)
    hardware = found.ifi_type
  }

  /// RTM_GETLINK with the name: IFLA_ALT_IFNAME stands for names of either kind.
  private static func request(_ name: String) -> [UInt8] {
    let name = Array(name.utf8) + [0]
    let attribute = MemoryLayout<rtattr>.size + name.count
    let size = MemoryLayout<nlmsghdr>.size + MemoryLayout<ifinfomsg>.size + attribute
    var header = nlmsghdr()
    header.nlmsg_len = UInt32(size)
    header.nlmsg_type = UInt16(RTM_GETLINK)
    header.nlmsg_flags = UInt16(NLM_F_REQUEST)
    let message = ifinfomsg()
    let attributeHeader = rtattr(
      rta_len: UInt16(attribute), rta_type: UInt16(IFLA_ALT_IFNAME))
    var bytes: [UInt8] = []
    withUnsafeBytes(of: header) { bytes += $0 }
    withUnsafeBytes(of: message) { bytes += $0 }
    withUnsafeBytes(of: attributeHeader) { bytes += $0 }
    return bytes + name
  }

  /// Sends a request to the kernel, and returns the beginning of its answer.
  private static func exchange(_ request: [UInt8], about name: String) throws(BCCError) -> [UInt8] {
    let operation = "look for the interface \(name)"
    let descriptor = socket(
      AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), NETLINK_ROUTE)
    guard descriptor >= 0 else {
      throw .system(operation: operation, errno: Errno(rawValue: errno))
    }
    defer { close(descriptor) }
    guard send(descriptor, request, request.count, 0) == request.count else {
      throw .system(operation: operation, errno: Errno(rawValue: errno))
    }
    var reply = [UInt8](repeating: 0, count: 65_536)
    let count = recv(descriptor, &reply, reply.count, 0)
    guard count >= MemoryLayout<nlmsghdr>.size + MemoryLayout<ifinfomsg>.size else {
      throw .system(
        operation: operation, errno: count < 0 ? Errno(rawValue: errno) : .protocolError)
    }
    return Array(reply.prefix(count))
  }
}
