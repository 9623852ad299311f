// One association in the state file. Field by field: no table's key is copied into it.
import LoadBalancing

/// A record of the state file: the client's address (4 or 16 octets in network byte order), its
/// port (2 octets in network byte order), 2 zero octets, the real server's index (u32,
/// little-endian).
package enum Record {
  private static let portSize = 2
  private static let paddingSize = 2
  private static let indexSize = 4

  /// Octets of one record: 12 or 24.
  package static func size(_ family: AddressFamily) -> Int {
    family.octetCount + portSize + paddingSize + indexSize
  }

  /// The records of associations, one after the other.
  ///
  /// - Parameter associations: of `family`.
  package static func encode(_ associations: [Association], _ family: AddressFamily) -> [UInt8] {
    let (size, portOffset) = (size(family), family.octetCount)
    let indexOffset = portOffset + portSize + paddingSize
    return [UInt8](unsafeUninitializedCapacity: associations.count * size) { buffer, count in
      count = associations.count * size
      let octets = UnsafeMutableRawBufferPointer(buffer)
      for (number, association) in associations.enumerated() {
        let record = UnsafeMutableRawBufferPointer(
          rebasing: octets[number * size..<(number + 1) * size])
        association.client.address.copyOctets(to: record)
        record.storeBytes(
          of: association.client.port.bigEndian, toByteOffset: portOffset, as: UInt16.self)
        record.storeBytes(of: 0, toByteOffset: portOffset + portSize, as: UInt16.self)
        record.storeBytes(
          of: association.realServer.littleEndian, toByteOffset: indexOffset, as: UInt32.self)
      }
    }
  }

  /// The associations of whole records, one after the other.
  package static func decode(_ octets: UnsafeRawBufferPointer, _ family: AddressFamily)
    -> [Association]
  {
    let (size, portOffset) = (size(family), family.octetCount)
    let indexOffset = portOffset + portSize + paddingSize
    return stride(from: 0, through: octets.count - size, by: size).map { start in
      let record = UnsafeRawBufferPointer(rebasing: octets[start..<start + size])
      let client = Client(
        address: IPAddress(
          family: family, octets: UnsafeRawBufferPointer(rebasing: record[..<portOffset])),
        port: UInt16(
          bigEndian: record.loadUnaligned(fromByteOffset: portOffset, as: UInt16.self)))
      return Association(
        client: client, realServer: record.littleEndian(at: indexOffset, as: UInt32.self))
    }
  }
}
