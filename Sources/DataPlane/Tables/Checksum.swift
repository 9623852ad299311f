// What changing an address does to an Internet checksum.
import LoadBalancing

/// The Internet checksum (RFC 1071), as far as NAT needs it.
enum Checksum {
  /// The difference that replacing one address by another makes to a sum that covers it:
  /// ~old + new, folded (RFC 1624, equation 3). In network byte order; never 0 but for an old
  /// address of all ones and a new one of zeros.
  static func delta(from old: IPAddress, to new: IPAddress) -> UInt16 {
    var sum: UInt32 = 0
    for word in words(old) { sum += UInt32(~word) }
    for word in words(new) { sum += UInt32(word) }
    while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
    return UInt16(sum).bigEndian
  }

  private static func words(_ address: IPAddress) -> [UInt16] {
    let octets = address.octets
    return stride(from: 0, to: octets.count, by: 2).map {
      UInt16(octets[$0]) << 8 | UInt16(octets[$0 + 1])
    }
  }
}
