// The format of the state file: what stands before the records, and behind them.
// Reads and writes no file.
import LoadBalancing

/// The state file's format: a header, a table of real servers, a record an association, a trailer.
///
/// All numbers are little-endian. Header, 24 bytes: `magic` (8 bytes), version (u32), family (u8: 4
/// or 6), three zero bytes, position of the round robin (u32), count of real servers (u32). Then
/// the real servers' addresses, 4 or 16 octets each in network byte order. Then the records: see
/// ``Record``. Then the trailer, 12 bytes: count of records (u64), CRC-32 of all that stands before
/// the CRC.
///
/// In version 1 a record's age is a zero octet: its order of use is not known, and all ages are 0.
package enum Format {
  static let magic = Array("ulbstate".utf8)
  /// The version this program writes; it reads the former ones too.
  package static let version: UInt32 = 2
  static let headerSize = 24
  static let trailerSize = 12

  /// What stands behind the records.
  ///
  /// - Parameters:
  ///   - recordCount: how many records there are.
  ///   - checksum: that of all bytes before the trailer.
  package static func trailer(recordCount: UInt64, checksum: CRC32) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: recordCount)
    var checksum = checksum
    bytes.withUnsafeBytes { checksum.update($0) }
    bytes.append(littleEndian: checksum.value)
    return bytes
  }

  /// Whether a file that begins with these octets is one of ulb's, whole or not.
  static func isOurs(_ head: some Collection<UInt8>) -> Bool {
    magic.starts(with: head.prefix(magic.count))
  }

  /// The header, decoded.
  struct Header {
    let family: AddressFamily
    let roundPosition: UInt32
    let realServerCount: Int

    /// - Parameter bytes: the file's first ``headerSize`` octets, of ulb's.
    init(_ bytes: UnsafeRawBufferPointer) throws(Refusal) {
      guard bytes.count >= headerSize else { throw .truncated }
      let version = bytes.littleEndian(at: 8, as: UInt32.self)
      guard version <= Format.version else { throw .newer(version) }
      guard version >= 1, bytes[13..<16].allSatisfy({ $0 == 0 }) else {
        throw .header
      }
      switch bytes[12] {
      case 4: family = .ipv4
      case 6: family = .ipv6
      default: throw .header
      }
      roundPosition = bytes.littleEndian(at: 16, as: UInt32.self)
      realServerCount = Int(bytes.littleEndian(at: 20, as: UInt32.self))
    }

    /// Where in a file of this size the records are, if its trailer counts so many.
    func records(fileSize: Int, count: UInt64) throws(Refusal) -> Range<Int> {
      let start = headerSize + realServerCount * family.octetCount
      let end = fileSize - trailerSize
      let size = Record.size(family)
      guard start <= end, (end - start) % size == 0, count == UInt64((end - start) / size) else {
        throw .truncated
      }
      return start..<end
    }
  }

  /// Checks a whole file.
  ///
  /// - Returns: what stands before the records, and where in the file the records are.
  package static func check(_ file: UnsafeRawBufferPointer) throws(Refusal) -> (
    preamble: Preamble, records: Range<Int>
  ) {
    let header = try Header(file)
    guard file.count >= headerSize + trailerSize else { throw .truncated }
    let records = try header.records(
      fileSize: file.count, count: file.littleEndian(at: file.count - trailerSize, as: UInt64.self))
    var checksum = CRC32()
    checksum.update(UnsafeRawBufferPointer(rebasing: file[..<(file.count - 4)]))
    guard checksum.value == file.littleEndian(at: file.count - 4, as: UInt32.self) else {
      throw .checksum
    }
    let size = header.family.octetCount
    let servers = (0..<header.realServerCount).map { index in
      let start = headerSize + index * size
      return IPAddress(
        family: header.family, octets: UnsafeRawBufferPointer(rebasing: file[start..<start + size]))
    }
    let preamble = Preamble(
      family: header.family, roundPosition: header.roundPosition, realServers: servers)
    return (preamble, records)
  }
}

/// What stands before the records.
public struct Preamble: Sendable, Equatable {
  public let family: AddressFamily
  /// The index in the list that the next new client is given.
  public let roundPosition: UInt32
  /// What the records' indices point into.
  public let realServers: [IPAddress]

  public init(family: AddressFamily, roundPosition: UInt32, realServers: [IPAddress]) {
    self.family = family
    self.roundPosition = roundPosition
    self.realServers = realServers
  }

  /// As it stands in the file.
  package var bytes: [UInt8] {
    var bytes = Format.magic
    bytes.append(littleEndian: Format.version)
    bytes += [family == .ipv4 ? 4 : 6, 0, 0, 0]
    bytes.append(littleEndian: roundPosition)
    bytes.append(littleEndian: UInt32(realServers.count))
    for server in realServers { bytes += server.octets }
    return bytes
  }
}
