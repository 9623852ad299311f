// The row INVALID_ETH_SIZE. BPF_PROG_TEST_RUN takes no frame that short, and no Ethernet carries
// one. A tun interface has no Ethernet header: what is written to it is what the program sees.
import BCC
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite("Shorter than an Ethernet header", .serialized)
struct EthernetSizeTests {
  /// Nothing of the frame is known but how long it is.
  static func cases(_ addresses: Addresses) -> [Case] {
    (1..<Datagram.ethernetSize).map { size in
      Case(
        name: "\(size) octets", event: .invalidEthernetSize, verdict: .drop,
        datagram: addresses.request(client: 1), size: size, known: .nothing)
    }
  }

  @Test(arguments: AddressFamily.allCases, LogLevel.allCases)
  func invalidEthernetSize(family: AddressFamily, level: LogLevel) throws {
    let director = try Director(family, level: level)
    let tun = try Tun(program: director.dataPlane.program)
    // The kernel looks at the first octet for the IP version, and takes no other packet.
    let packet = [family == .ipv4 ? 0x45 : 0x60] + [UInt8](repeating: 0x5a, count: 63)
    // What is long enough, the program passes on as no IP of ours.
    #expect(try tun.isReceived(packet))
    #expect(director.events().count == (level == .trace ? 1 : 0))

    for row in Self.cases(director.addresses) {
      #expect(try !tun.isReceived(Array(packet.prefix(row.size ?? .max))), "\(row.name)")
      let isCompiledIn = row.event.level >= level
      #expect(
        director.events() == (isCompiledIn ? [director.labelled(row.record)] : []), "\(row.name)")
    }
    #expect(try tun.isReceived(Array(packet.prefix(Datagram.ethernetSize))))
  }
}

/// An interface without link-layer headers, in a namespace of its own, that a program is attached
/// to; and a tap of what the kernel's stack receives from it.
private final class Tun {
  private let namespace: NetworkNamespace
  private let descriptor: Int32
  private let tap: Int32
  private let link: Link

  init(program: Program) throws {
    let namespace = try NetworkNamespace.create(named: "ulb-tun-\(UUID().uuidString.prefix(8))")
    do {
      (descriptor, tap, link) = try namespace.run {
        let descriptor = open("/dev/net/tun", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open /dev/net/tun") }
        // struct ifreq: the name, then the flags IFF_TUN | IFF_NO_PI.
        var request = Array("tun0".utf8) + [UInt8](repeating: 0, count: 36)
        (request[16], request[17]) = (0x01, 0x10)
        let setInterface: UInt = 0x4004_54ca
        guard ioctl(descriptor, setInterface, &request) == 0 else {
          throw SystemError("make a tun interface")
        }
        let up = try TestSupport.run("ip", "link", "set", "dev", "tun0", "up", in: namespace)
        guard up.status == 0 else { throw SystemError(up.standardError) }
        let everything = Int32(UInt16(0x0003).bigEndian)
        let kind = Int32(SOCK_RAW.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let tap = socket(AF_PACKET, kind, everything)
        guard tap >= 0 else { throw SystemError("open a packet socket") }
        let index = if_nametoindex("tun0")
        return (descriptor, tap, try Link(program: program, interfaceIndex: index, mode: .generic))
      }
    } catch {
      try? namespace.delete()
      throw error
    }
    self.namespace = namespace
  }

  deinit {
    close(descriptor)
    close(tap)
    try? namespace.delete()
  }

  /// Puts a packet in, and tells whether the program let it pass.
  func isReceived(_ packet: [UInt8]) throws -> Bool {
    try #require(write(descriptor, packet, packet.count) == packet.count)
    var buffer = [UInt8](repeating: 0, count: 2048)
    while true {
      let count = recv(tap, &buffer, buffer.count, 0)
      guard count >= 0 else { return false }
      // The kernel itself may send something there.
      if Array(buffer.prefix(count)) == packet { return true }
    }
  }
}
