// Frames as the standards have them, built from nothing of ulb's: what goes in, and what must come
// out. Every checksum is computed afresh over the whole of what it covers.
import LoadBalancing

/// The Internet checksum's sum (RFC 1071): 16-bit words, one's complement.
func internetSum(_ bytes: [UInt8]) -> UInt16 {
  var sum: UInt64 = 0
  for (index, byte) in bytes.enumerated() {
    sum += index % 2 == 0 ? UInt64(byte) << 8 : UInt64(byte)
  }
  while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
  return UInt16(sum)
}

extension FixedWidthInteger where Self: UnsignedInteger {
  /// In network byte order.
  var octets: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
}

/// One UDP datagram in an Ethernet frame.
struct Datagram {
  enum Checksum {
    /// As RFC 768 has it: 0xFFFF where the sum is 0.
    case computed
    /// 0: the sender computed none.
    case none
    /// Not the computed one, by this much of the sum.
    case wrong(by: UInt16)
  }

  var source: IPAddress
  var sourcePort: UInt16
  var destination: IPAddress
  var destinationPort: UInt16
  var lifetime: UInt8 = 64
  var payload: [UInt8] = Array("a datagram".utf8)
  var checksum = Checksum.computed
  var sourceMAC: [UInt8] = [0x02, 0, 0, 0, 0, 0x01]
  var destinationMAC: [UInt8] = [0x02, 0, 0, 0, 0, 0xfe]
  /// IPv4: flags and fragment offset.
  var fragment: UInt16 = 0
  /// IPv4: tells the packets of one sender apart, and so gives their headers any checksum.
  var identification: UInt16 = 0x1234
  /// IPv4: how much of the sum the header's checksum is wrong by.
  var headerChecksumError: UInt16 = 0
  /// The version in the IP header, where it is not the family's.
  var version: UInt8?
  /// The length in the IP header, IPv4's total or IPv6's payload length, where it is not the true one.
  var ipLength: UInt16?
  /// The length in the UDP header, where it is not the true one.
  var udpLength: UInt16?
  /// Octets behind the IP packet.
  var padding: [UInt8] = []
  /// IPv4: the header's length in words, where it is not what the header has.
  var headerWords: UInt8?
  /// IPv4: options, a multiple of four octets.
  var options: [UInt8] = []
  /// UDP, else the protocol of a foreign packet with the same octets.
  var ipProtocol: UInt8 = 17
  var etherType: UInt16?

  static let ethernetSize = 14

  /// Octets of the IP header without options.
  var ipSize: Int { destination.family == .ipv4 ? 20 : 40 }

  var bytes: [UInt8] {
    let type = etherType ?? (destination.family == .ipv4 ? 0x0800 : 0x86dd)
    return destinationMAC + sourceMAC + type.octets + ipHeader + udp + padding
  }

  /// The packet's own family is told by its source where it is not for a family at all.
  private var ipHeader: [UInt8] {
    let length = UInt16(8 + payload.count)
    switch destination.family {
    case .ipv6:
      return [(version ?? 6) << 4 | 0xa, 0xbc, 0xde, 0xf0] + (ipLength ?? length).octets
        + [ipProtocol, lifetime] + source.octets + destination.octets
    case .ipv4:
      let words = headerWords ?? UInt8(5 + options.count / 4)
      let total = ipLength ?? UInt16(20 + options.count) + length
      var header =
        [(version ?? 4) << 4 | words, 0x10] + total.octets + identification.octets
        + fragment.octets + [lifetime, ipProtocol, 0, 0] + source.octets + destination.octets
        + options
      let sum = internetSum(header + headerChecksumError.octets)
      header.replaceSubrange(10..<12, with: (~sum).octets)
      return header
    }
  }

  /// What the UDP header says, or what there is of it.
  private var udpHeaderLength: UInt16 { udpLength ?? UInt16(8 + payload.count) }

  /// Pseudo-header (RFC 768, RFC 8200 section 8.1), UDP header with a checksum of 0, and payload.
  private var covered: [UInt8] {
    let length = UInt32(udpHeaderLength)
    let pseudo = source.octets + destination.octets + length.octets + UInt32(17).octets
    return pseudo + udpHeader(checksum: 0) + payload.prefix(max(0, Int(length) - 8))
  }

  private func udpHeader(checksum: UInt16) -> [UInt8] {
    sourcePort.octets + destinationPort.octets + udpHeaderLength.octets + checksum.octets
  }

  private var udp: [UInt8] {
    var covered = covered
    switch checksum {
    case .none: return udpHeader(checksum: 0) + payload
    case .computed: break
    case .wrong(let difference):
      // Summed up as a word of its own.
      if covered.count % 2 == 1 { covered.append(0) }
      covered += difference.octets
    }
    let value = ~internetSum(covered)
    return udpHeader(checksum: value == 0 ? 0xffff : value) + payload
  }

  /// The checksum that stands in the UDP header.
  var udpChecksum: UInt16 {
    let start = Datagram.ethernetSize + ipSize + options.count + 6
    return UInt16(bytes[start]) << 8 | UInt16(bytes[start + 1])
  }

  /// The same with a payload that makes the computed checksum 0, which goes out as 0xFFFF.
  var withChecksumOfZero: Datagram {
    var result = self
    result.payload = [0, 0]
    result.payload = (~internetSum(result.covered)).octets
    return result
  }

  /// What a director makes of it: an address replaced, one hop less, back to the same gateway.
  func sent(from newSource: IPAddress? = nil, to newDestination: IPAddress? = nil) -> Datagram {
    var result = self
    result.source = newSource ?? source
    result.destination = newDestination ?? destination
    result.lifetime -= 1
    (result.sourceMAC, result.destinationMAC) = (destinationMAC, sourceMAC)
    return result
  }
}

/// Frames that differ in their client alone, for many clients in little time. None is summed up anew:
/// they have no UDP checksum, and an IPv4 header's is that of another client.
struct ClientFrames {
  enum Side {
    case source, destination
  }

  private let addresses: Addresses
  private var frame: [UInt8]
  /// Where in the frame the client's address ends, and where its port stands.
  private let addressEnd: Int
  private let port: Int

  /// - Parameter side: which end of the datagram the client is.
  init(_ addresses: Addresses, _ datagram: Datagram, clientIs side: Side) {
    var datagram = datagram
    datagram.checksum = .none
    self.addresses = addresses
    frame = datagram.bytes
    let ipEnd = Datagram.ethernetSize + datagram.ipSize
    let size = addresses.family.octetCount
    addressEnd = side == .source ? ipEnd - size : ipEnd
    port = side == .source ? ipEnd : ipEnd + 2
  }

  /// What clients send.
  static func requests(_ addresses: Addresses) -> ClientFrames {
    ClientFrames(addresses, addresses.request(client: 0), clientIs: .source)
  }

  /// What a real server sends them.
  static func replies(_ addresses: Addresses, server: Int) -> ClientFrames {
    ClientFrames(addresses, addresses.reply(server: server, client: 0), clientIs: .destination)
  }

  /// The frame of the client that ``Addresses/identity(of:)`` tells.
  mutating func next(client: Int) -> [UInt8] {
    let (host, number) = addresses.hostAndPort(of: client)
    frame[addressEnd - 2] = UInt8(truncatingIfNeeded: host >> 8)
    frame[addressEnd - 1] = UInt8(truncatingIfNeeded: host)
    frame[port] = UInt8(truncatingIfNeeded: number >> 8)
    frame[port + 1] = UInt8(truncatingIfNeeded: number)
    return frame
  }
}
