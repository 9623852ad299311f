// One association in the state file. Field by field: no table's key is copied into it.
import LoadBalancing

/// A record of the state file: the client's address (4 or 16 octets in network byte order), its
/// port (2 octets in network byte order), how long ago it was used (u8; 0 is last, and only the
/// order counts), a zero octet that nobody looks at, the real server's index (u32, little-endian).
package enum Record {
  /// Where a record's fields are, in octets from its start.
  private struct Offsets {
    let port: Int
    var age: Int { port + 2 }
    var padding: Int { port + 3 }
    var index: Int { port + 4 }
    var end: Int { port + 8 }

    init(_ family: AddressFamily) { port = family.octetCount }
  }

  /// Octets of one record: 12 or 24.
  package static func size(_ family: AddressFamily) -> Int { Offsets(family).end }

  /// The records of associations, one after the other.
  ///
  /// - Parameter associations: of `family`.
  package static func encode(_ associations: [Association], _ family: AddressFamily) -> [UInt8] {
    let (size, offsets) = (size(family), Offsets(family))
    return [UInt8](unsafeUninitializedCapacity: associations.count * size) { buffer, count in
      count = associations.count * size
      let octets = UnsafeMutableRawBufferPointer(buffer)
      for (number, association) in associations.enumerated() {
        let record = UnsafeMutableRawBufferPointer(
          rebasing: octets[number * size..<(number + 1) * size])
        association.client.address.copyOctets(to: record)
        record.storeBytes(
          of: association.client.port.bigEndian, toByteOffset: offsets.port, as: UInt16.self)
        record[offsets.age] = association.age
        record[offsets.padding] = 0
        record.storeBytes(
          of: association.realServer.littleEndian, toByteOffset: offsets.index, as: UInt32.self)
      }
    }
  }

  /// The associations of whole records, one after the other.
  package static func decode(_ octets: UnsafeRawBufferPointer, _ family: AddressFamily)
    -> [Association]
  {
    let (size, offsets) = (size(family), Offsets(family))
    return stride(from: 0, through: octets.count - size, by: size).map { start in
      let record = UnsafeRawBufferPointer(rebasing: octets[start..<start + size])
      let client = Client(
        address: IPAddress(
          family: family, octets: UnsafeRawBufferPointer(rebasing: record[..<offsets.port])),
        port: UInt16(
          bigEndian: record.loadUnaligned(fromByteOffset: offsets.port, as: UInt16.self)))
      return Association(
        client: client, realServer: record.littleEndian(at: offsets.index, as: UInt32.self),
        age: record[offsets.age])
    }
  }

  // MARK: The order of use

  /// Puts whole records in the order of their ages, those that were used last first; those of one
  /// age in any order. Takes no memory for them.
  ///
  /// - Parameter octets: aligned to 4 octets (IPv4) or 8 (IPv6).
  static func sortByAge(_ octets: UnsafeMutableRawBufferPointer, _ family: AddressFamily) {
    let ageOffset = Offsets(family).age
    switch family {
    case .ipv4: sort(octets.bindMemory(to: (UInt32, UInt32, UInt32).self), ageOffset)
    case .ipv6: sort(octets.bindMemory(to: (UInt64, UInt64, UInt64).self), ageOffset)
    }
  }

  /// A counting sort in place ("American flag sort"): each record is moved at most once to where its
  /// age's are.
  private static func sort<Octets>(
    _ records: UnsafeMutableBufferPointer<Octets>, _ ageOffset: Int
  ) {
    let octets = UnsafeRawBufferPointer(records)
    func age(of index: Int) -> Int {
      Int(octets[index * MemoryLayout<Octets>.stride + ageOffset])
    }
    var ends = [Int](repeating: 0, count: 256)
    for index in records.indices { ends[age(of: index)] += 1 }
    for age in 1..<256 { ends[age] += ends[age - 1] }
    // Of each age, where the next one goes.
    var next = [0] + ends.dropLast()
    for current in 0..<256 {
      while next[current] < ends[current] {
        let place = next[current]
        let age = age(of: place)
        if age != current { records.swapAt(place, next[age]) }
        next[age] += 1
      }
    }
  }
}
