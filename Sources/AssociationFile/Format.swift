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
package enum Format {
  static let magic = Array("ulbstate".utf8)
  /// The version this program writes and reads.
  package static let version: UInt32 = 1
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

  /// Checks a whole file.
  ///
  /// - Returns: what stands before the records, and where in the file the records are.
  package static func check(_ file: UnsafeRawBufferPointer) throws(Refusal) -> (
    preamble: Preamble, records: Range<Int>
  ) {
    guard file.count >= magic.count, file.prefix(magic.count).elementsEqual(magic) else {
      throw .foreign
    }
    guard file.count >= headerSize + trailerSize else { throw .truncated }
    let version = file.littleEndian(at: 8, as: UInt32.self)
    guard version <= self.version else { throw .newer(version) }
    let family: AddressFamily
    switch (version, file[12]) {
    case (self.version, 4): family = .ipv4
    case (self.version, 6): family = .ipv6
    default: throw .damaged
    }
    let serverCount = Int(file.littleEndian(at: 20, as: UInt32.self))
    let start = headerSize + serverCount * family.octetCount
    let end = file.count - trailerSize
    let count = file.littleEndian(at: end, as: UInt64.self)
    let size = UInt64(Record.size(family))
    guard start <= end, count == UInt64(end - start) / size, UInt64(end - start) % size == 0 else {
      throw .truncated
    }
    var checksum = CRC32()
    checksum.update(UnsafeRawBufferPointer(rebasing: file[..<(file.count - 4)]))
    guard checksum.value == file.littleEndian(at: file.count - 4, as: UInt32.self) else {
      throw .damaged
    }
    let servers = (0..<serverCount).map { index in
      let at = headerSize + index * family.octetCount
      return IPAddress(octets: Array(file[at..<at + family.octetCount]))
    }
    let preamble = Preamble(
      family: family, roundPosition: file.littleEndian(at: 16, as: UInt32.self),
      realServers: servers)
    return (preamble, start..<end)
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

/// Why a file is not taken.
public enum Refusal: Error, Sendable, Equatable, CustomStringConvertible {
  case foreign
  case newer(UInt32)
  case truncated
  case damaged

  public var description: String {
    switch self {
    case .foreign: "it is not a state file of ulb"
    case .newer(let version): "it has version \(version), this ulb knows version \(Format.version)"
    case .truncated: "it ends too early or too late"
    case .damaged: "its checksum is wrong"
    }
  }
}
