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
    return destinationMAC + sourceMAC + type.octets + ipHeader + udp
  }

  /// The packet's own family is told by its source where it is not for a family at all.
  private var ipHeader: [UInt8] {
    let length = UInt16(8 + payload.count)
    switch destination.family {
    case .ipv6:
      return [0x6a, 0xbc, 0xde, 0xf0] + length.octets + [ipProtocol, lifetime]
        + source.octets + destination.octets
    case .ipv4:
      let words = headerWords ?? UInt8(5 + options.count / 4)
      var header =
        [0x40 | words, 0x10] + (UInt16(20 + options.count) + length).octets + [0x12, 0x34]
        + fragment.octets + [lifetime, ipProtocol, 0, 0] + source.octets + destination.octets
        + options
      header.replaceSubrange(10..<12, with: (~internetSum(header)).octets)
      return header
    }
  }

  /// Pseudo-header (RFC 768, RFC 8200 section 8.1), UDP header with a checksum of 0, and payload.
  private var covered: [UInt8] {
    let length = UInt32(8 + payload.count)
    let pseudo = source.octets + destination.octets + length.octets + UInt32(17).octets
    return pseudo + udpHeader(checksum: 0) + payload
  }

  private func udpHeader(checksum: UInt16) -> [UInt8] {
    sourcePort.octets + destinationPort.octets + UInt16(8 + payload.count).octets + checksum.octets
  }

  private var udp: [UInt8] {
    var value: UInt16 = 0
    if checksum == .computed {
      value = ~internetSum(covered)
      if value == 0 { value = 0xffff }
    }
    return udpHeader(checksum: value) + payload
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
