// One association in the state file. Field by field: no table's key is copied into it.
import LoadBalancing

/// A record of the state file: the client's address (4 or 16 octets in network byte order), its
/// port (2 octets in network byte order), its rank (u8), the virtual server's index in the file (u8),
/// the real server's index in the virtual server's list (u32, little-endian).
///
/// A rank tells who is forgotten next: the highest. Ranked by class, a newcomer has 0x80 and its age,
/// one that has not sent yet 0xc0 and its age, who was answered 0x40 and its age, a resident its age.
/// Ranked by age, as all files up to version 4 are, it is the age. Only the order of ages counts.
///
/// In versions 1 and 2 a zero octet that nobody looks at stands for the virtual server's index.
package enum Record {
  /// Where a record's fields are, in octets from its start.
  private struct Offsets {
    let port: Int
    var rank: Int { port + 2 }
    var virtualServer: Int { port + 3 }
    var realServer: Int { port + 4 }
    var end: Int { port + 8 }

    init(_ family: AddressFamily) { port = family.octetCount }
  }

  /// Octets of one record: 12 or 24.
  package static func size(_ family: AddressFamily) -> Int { Offsets(family).end }

  /// The records of associations, one after the other.
  ///
  /// - Parameter associations: of `family`. None is unheard that is not ranked by class.
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
        record[offsets.rank] = association.rank | (association.isUnheard ? unheard : 0)
        record[offsets.virtualServer] = association.virtualServer
        record.storeBytes(
          of: association.realServer.littleEndian, toByteOffset: offsets.realServer,
          as: UInt32.self)
      }
    }
  }

  /// The associations of whole records, one after the other. Their indices may be any.
  ///
  /// - Parameters:
  ///   - version: that of the file that the records are in.
  ///   - ranking: by what they are ranked.
  package static func decode(
    _ octets: UnsafeRawBufferPointer, _ family: AddressFamily, version: UInt32,
    rankedBy ranking: Ranking
  ) -> [Association] {
    let (size, offsets) = (size(family), Offsets(family))
    return stride(from: 0, through: octets.count - size, by: size).map { start in
      let record = UnsafeRawBufferPointer(rebasing: octets[start..<start + size])
      let client = Client(
        address: IPAddress(
          family: family, octets: UnsafeRawBufferPointer(rebasing: record[..<offsets.port])),
        port: UInt16(
          bigEndian: record.loadUnaligned(fromByteOffset: offsets.port, as: UInt16.self)))
      let rank = record[offsets.rank]
      let isUnheard = ranking == .byClass && rank & (newcomer | unheard) == newcomer | unheard
      return Association(
        client: client, virtualServer: version >= 3 ? record[offsets.virtualServer] : 0,
        realServer: record.littleEndian(at: offsets.realServer, as: UInt32.self),
        rank: isUnheard ? rank & ~unheard : rank, isUnheard: isUnheard)
    }
  }

  /// Set in the rank of a newcomer.
  private static let newcomer: UInt8 = 0x80
  /// Set besides where it has not sent yet.
  private static let unheard: UInt8 = 0x40

  // MARK: The order of use

  /// Puts whole records in the order of their ranks, the lowest first; those of one rank in any order.
  /// Takes no memory for them.
  ///
  /// - Parameter octets: aligned to 4 octets.
  static func sortByRank(_ octets: UnsafeMutableRawBufferPointer, _ family: AddressFamily) {
    let rankOffset = Offsets(family).rank
    switch family {
    case .ipv4: sort(octets.bindMemory(to: (UInt32, UInt32, UInt32).self), rankOffset)
    case .ipv6:
      sort(octets.bindMemory(to: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32).self), rankOffset)
    }
  }

  /// A counting sort in place ("American flag sort"): each record is moved at most once to where its
  /// rank's are.
  private static func sort<Octets>(
    _ records: UnsafeMutableBufferPointer<Octets>, _ rankOffset: Int
  ) {
    let octets = UnsafeRawBufferPointer(records)
    func rank(of index: Int) -> Int {
      Int(octets[index * MemoryLayout<Octets>.stride + rankOffset])
    }
    var ends = [Int](repeating: 0, count: 256)
    for index in records.indices { ends[rank(of: index)] += 1 }
    for rank in 1..<256 { ends[rank] += ends[rank - 1] }
    // Of each rank, where the next one goes.
    var next = [0] + ends.dropLast()
    for current in 0..<256 {
      while next[current] < ends[current] {
        let place = next[current]
        let rank = rank(of: place)
        if rank != current { records.swapAt(place, next[rank]) }
        next[rank] += 1
      }
    }
  }
}
