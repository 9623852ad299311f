// One association in the state file. Field by field: no table's key is copied into it.
import LoadBalancing

/// A record of the state file: the client's address (4 or 16 octets in network byte order), its
/// port (2 octets in network byte order), how long ago it was used (u8; 0 is last, and only the
/// order counts), the virtual server's index in the file (u8), the real server's index in the virtual
/// server's list (u32, little-endian).
///
/// In versions 1 and 2 a zero octet that nobody looks at stands for the virtual server's index.
package enum Record {
  /// Where a record's fields are, in octets from its start.
  private struct Offsets {
    let port: Int
    var age: Int { port + 2 }
    var virtualServer: Int { port + 3 }
    var realServer: Int { port + 4 }
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
        precondition(association.client.address.family == family, "records are of one family")
        let record = UnsafeMutableRawBufferPointer(
          rebasing: octets[number * size..<(number + 1) * size])
        association.client.address.copyOctets(to: record)
        record.storeBytes(
          of: association.client.port.bigEndian, toByteOffset: offsets.port, as: UInt16.self)
        record[offsets.age] = association.age
        record[offsets.virtualServer] = association.virtualServer
        record.storeBytes(
          of: association.realServer.littleEndian, toByteOffset: offsets.realServer,
          as: UInt32.self)
      }
    }
  }

  /// The associations of whole records, one after the other. Their indices may be any.
  ///
  /// - Parameter version: that of the file that the records are in.
  package static func decode(
    _ octets: UnsafeRawBufferPointer, _ family: AddressFamily, version: UInt32
  ) -> [Association] {
    let (size, offsets) = (size(family), Offsets(family))
    return stride(from: 0, through: octets.count - size, by: size).map { start in
      let record = UnsafeRawBufferPointer(rebasing: octets[start..<start + size])
      let client = Client(
        address: IPAddress(
          family: family, octets: UnsafeRawBufferPointer(rebasing: record[..<offsets.port])),
        port: UInt16(
          bigEndian: record.loadUnaligned(fromByteOffset: offsets.port, as: UInt16.self)))
      return Association(
        client: client, virtualServer: version >= 3 ? record[offsets.virtualServer] : 0,
        realServer: record.littleEndian(at: offsets.realServer, as: UInt32.self),
        age: record[offsets.age])
    }
  }

  // MARK: The order of use

  /// Puts whole records in the order of their ages, those that were used last first; those of one
  /// age in any order. Takes no memory for them.
  ///
  /// - Parameter octets: aligned to 4 octets.
  static func sortByAge(_ octets: UnsafeMutableRawBufferPointer, _ family: AddressFamily) {
    let ageOffset = Offsets(family).age
    switch family {
    case .ipv4: sort(octets.bindMemory(to: (UInt32, UInt32, UInt32).self), ageOffset)
    case .ipv6:
      sort(octets.bindMemory(to: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32).self), ageOffset)
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
