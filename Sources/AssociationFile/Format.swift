// The format of the state file: what stands before the records, and behind them.
// Reads and writes no file.
import LoadBalancing

/// The state file's format: a header, the virtual servers, their real servers, what the control socket
/// has set of these, a record an association, a trailer.
///
/// All numbers are little-endian, all addresses in network byte order. Header, 24 bytes: `magic`
/// (8 bytes), version (u32), count of virtual servers (u32, 1 to 256), count of overrides (u32), by what
/// the records are ranked (u32: 0 by age, 1 by class). Then the virtual servers, 92 bytes each: family (u8: 4 or 6), length of the name in octets (u8; 0 for the
/// command line's, which has none), two zero bytes, position of the round robin (u32), count of real
/// servers (u32), address (16 bytes), name (64 bytes, UTF-8), the last two filled up with zeros. Then
/// the addresses of the real servers, 4 or 16 octets each, of one virtual server after the other. Then
/// the overrides, 16 bytes each: see ``OverrideRecord``. Then the records of IPv4 clients, then those
/// of IPv6 clients: see ``Record``. Then the trailer, 20 bytes: count of records of each family (u64,
/// u64), CRC-32 of all that stands before the CRC.
///
/// In version 4 the header has 20 bytes, and all is ranked by age. Version 3 has no overrides: its
/// header of 16 bytes does not count them.
///
/// Versions 1 and 2 know one virtual server, the command line's, and not its address. Header, 24 bytes:
/// `magic`, version, family (u8), three zero bytes, position of the round robin (u32), count of real
/// servers (u32). Then the real servers' addresses, then the records. Trailer, 12 bytes: count of
/// records (u64), CRC-32. In version 1 a record's age is a zero octet: its order of use is not known,
/// and all ages are 0.
package enum Format {
  static let magic = Array("ulbstate".utf8)
  /// The version this program writes; it reads the former ones too.
  package static let version: UInt32 = 5

  /// What stands behind the records.
  ///
  /// - Parameters:
  ///   - recordCounts: how many records there are of each family.
  ///   - checksum: that of all bytes before the trailer.
  package static func trailer(
    recordCounts: (ipv4: UInt64, ipv6: UInt64), checksum: CRC32
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: recordCounts.ipv4)
    bytes.append(littleEndian: recordCounts.ipv6)
    var checksum = checksum
    bytes.withUnsafeBytes { checksum.update($0) }
    bytes.append(littleEndian: checksum.value)
    return bytes
  }

  /// Whether a file that begins with these octets is one of ulb's, whole or not.
  static func isOurs(_ head: some Collection<UInt8>) -> Bool {
    magic.starts(with: head.prefix(magic.count))
  }

  /// Checks a whole file.
  ///
  /// - Parameter file: of ulb's.
  /// - Returns: what stands before the records, and where in the file the records are.
  package static func check(_ file: UnsafeRawBufferPointer) throws(Refusal) -> (
    preamble: Preamble, records: [Records]
  ) {
    let outline = try Outline(file)
    guard file.count >= outline.trailerSize else { throw .truncated }
    let trailer = UnsafeRawBufferPointer(rebasing: file.suffix(outline.trailerSize))
    let records = try outline.records(fileSize: file.count, trailer: trailer)
    var checksum = CRC32()
    checksum.update(UnsafeRawBufferPointer(rebasing: file.dropLast(4)))
    guard checksum.value == file.littleEndian(at: file.count - 4, as: UInt32.self) else {
      throw .checksum
    }
    return (try outline.preamble(file), records)
  }
}

/// What stands before the records.
public struct Preamble: Sendable, Equatable {
  /// What the records' indices of virtual servers point into: 1 to 256, each with a name of its own.
  public let virtualServers: [SavedVirtualServer]
  /// Of their real servers. What is set of others is not saved.
  public let overrides: Overrides
  /// By what the associations are ranked.
  public let ranking: Ranking

  public init(
    virtualServers: [SavedVirtualServer], overrides: Overrides = Overrides(),
    ranking: Ranking = .byAge
  ) {
    self.virtualServers = virtualServers
    self.overrides = overrides
    self.ranking = ranking
  }

  /// As it stands in the file.
  package var bytes: [UInt8] {
    let records = overrideRecords
    var bytes = Format.magic
    bytes.append(littleEndian: Format.version)
    bytes.append(littleEndian: UInt32(virtualServers.count))
    bytes.append(littleEndian: UInt32(records.count))
    bytes.append(littleEndian: ranking == .byClass ? UInt32(1) : 0)
    for virtualServer in virtualServers { bytes += Outline.VirtualServer(virtualServer).bytes }
    for virtualServer in virtualServers {
      for realServer in virtualServer.realServers { bytes += realServer.octets }
    }
    for record in records { bytes += record.bytes }
    return bytes
  }

  private var overrideRecords: [OverrideRecord] {
    guard !overrides.isEmpty else { return [] }
    return virtualServers.enumerated().flatMap { number, virtualServer in
      virtualServer.realServers.enumerated().compactMap { index, address in
        overrides.all[Overrides.Target(name: virtualServer.name, address: address)].map {
          OverrideRecord(virtualServer: UInt8(number), realServer: UInt32(index), override: $0)
        }
      }
    }
  }
}
