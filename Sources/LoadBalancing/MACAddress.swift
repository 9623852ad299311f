// A link-layer address as Ethernet has it.

/// Six octets.
public struct MACAddress: Sendable, Hashable, CustomStringConvertible {
  public let octets: [UInt8]

  /// - Returns: `nil` for another number of octets, and for what is no single machine's: the address of
  ///   a group, and 0.
  public init?(octets: some Sequence<UInt8>) {
    let octets = Array(octets)
    guard octets.count == 6, octets[0] & 1 == 0, octets.contains(where: { $0 != 0 }) else {
      return nil
    }
    self.octets = octets
  }

  /// Lower-case hexadecimal octets with colons between.
  public var description: String { EventRecord.text(mac: octets) }
}
