// What a state file's first and last octets say of it: enough to know what is where.
import LoadBalancing

/// Records of one family, one after the other.
package struct Records: Sendable, Equatable {
  package let family: AddressFamily
  /// The version of the file that they are in.
  package let version: UInt32
  /// By what they are ranked.
  package let ranking: Ranking
  /// Where in the file they are.
  package var place: Range<Int>

  /// How many there are.
  package var count: Int { place.count / Record.size(family) }
}

/// What stands before the real servers' addresses. See ``Format`` for where it stands.
struct Outline {
  let version: UInt32
  let virtualServers: [VirtualServer]
  /// By what the records are ranked.
  let ranking: Ranking
  private let overrideCount: Int
  /// How many octets of the file it is.
  private let size: Int

  var trailerSize: Int { version >= 3 ? 20 : 12 }

  /// As many octets of a file's beginning as tell how many there are of an outline.
  static let headSize = 16
  private static let formerSize = 24
  private static let mostVirtualServers = 256

  /// How many octets of a file's beginning are an outline.
  ///
  /// - Parameter head: the file's first ``headSize`` octets or more, of ulb's.
  static func size(_ head: UnsafeRawBufferPointer) throws(Refusal) -> Int {
    guard head.count >= headSize else { throw .truncated }
    let version = head.littleEndian(at: 8, as: UInt32.self)
    switch version {
    case 1, 2: return formerSize
    case 3...Format.version:
      let count = Int(head.littleEndian(at: 12, as: UInt32.self))
      guard (1...mostVirtualServers).contains(count) else { throw .header }
      return headerSize(version) + count * VirtualServer.size
    default: throw version == 0 ? .header : .newer(version)
    }
  }

  /// What stands before the virtual servers, in version 3 and later.
  private static func headerSize(_ version: UInt32) -> Int {
    headSize + (Int(version) - 3) * MemoryLayout<UInt32>.size
  }

  /// - Parameter file: a file's beginning, or all of it, of ulb's.
  init(_ file: UnsafeRawBufferPointer) throws(Refusal) {
    size = try Outline.size(file)
    guard file.count >= size else { throw .truncated }
    version = file.littleEndian(at: 8, as: UInt32.self)
    guard version >= 3 else {
      (virtualServers, overrideCount) = ([try VirtualServer(former: file)], 0)
      ranking = .byAge
      return
    }
    overrideCount =
      version == 3 ? 0 : Int(file.littleEndian(at: Outline.headSize, as: UInt32.self))
    switch version < 5 ? 0 : file.littleEndian(at: Outline.headSize + 4, as: UInt32.self) {
    case 0: ranking = .byAge
    case 1: ranking = .byClass
    default: throw .header
    }
    var virtualServers: [VirtualServer] = []
    let start = Outline.headerSize(version)
    for start in stride(from: start, to: size, by: VirtualServer.size) {
      virtualServers.append(
        try VirtualServer(
          UnsafeRawBufferPointer(rebasing: file[start..<start + VirtualServer.size])))
    }
    guard Set(virtualServers.map(\.name)).count == virtualServers.count else { throw .header }
    self.virtualServers = virtualServers
  }

  /// Where the records are in a file of this size, if its trailer counts so many.
  func records(fileSize: Int, trailer: UnsafeRawBufferPointer) throws(Refusal) -> [Records] {
    guard trailer.count == trailerSize else { throw .truncated }
    let families = version >= 3 ? [.ipv4, .ipv6] : [virtualServers[0].address.family]
    let end = fileSize - trailerSize
    var start = overridesStart + overrideCount * OverrideRecord.size
    var records: [Records] = []
    for (index, family) in families.enumerated() {
      let count = trailer.littleEndian(at: index * 8, as: UInt64.self)
      let size = Record.size(family)
      guard start <= end, count <= UInt64((end - start) / size) else { throw .truncated }
      let place = start..<start + Int(count) * size
      records.append(
        Records(family: family, version: version, ranking: ranking, place: place))
      start = place.upperBound
    }
    guard start == end else { throw .truncated }
    return records
  }

  /// Where the overrides begin, behind the real servers.
  private var overridesStart: Int {
    virtualServers.reduce(size) {
      $0 + $1.realServerCount * $1.address.family.octetCount
    }
  }

  /// The preamble of a file whose size fits.
  func preamble(_ file: UnsafeRawBufferPointer) throws(Refusal) -> Preamble {
    var start = size
    let saved = virtualServers.map { virtualServer in
      let family = virtualServer.address.family
      let realServers = (0..<virtualServer.realServerCount).map { _ in
        let octets = file[start..<start + family.octetCount]
        start = octets.endIndex
        return IPAddress(family: family, octets: UnsafeRawBufferPointer(rebasing: octets))
      }
      return virtualServer.saved(realServers: realServers)
    }
    return Preamble(
      virtualServers: saved, overrides: try overrides(file, of: saved), ranking: ranking)
  }

  private func overrides(
    _ file: UnsafeRawBufferPointer, of virtualServers: [SavedVirtualServer]
  ) throws(Refusal) -> Overrides {
    var all: [Overrides.Target: RealServer.Override] = [:]
    for number in 0..<overrideCount {
      let start = overridesStart + number * OverrideRecord.size
      let record = try OverrideRecord(
        UnsafeRawBufferPointer(rebasing: file[start..<start + OverrideRecord.size]))
      let (index, realServer) = (Int(record.virtualServer), Int(record.realServer))
      guard index < virtualServers.count, realServer < virtualServers[index].realServers.count
      else { throw .header }
      let target = Overrides.Target(
        name: virtualServers[index].name, address: virtualServers[index].realServers[realServer])
      guard all.updateValue(record.override, forKey: target) == nil else { throw .header }
    }
    return Overrides(all)
  }
}

extension Outline {
  /// A virtual server without its real servers.
  struct VirtualServer {
    let name: String?
    let address: IPAddress
    let roundPosition: UInt32
    let realServerCount: Int

    static let size = addressOffset + addressSize + nameSize
    private static let addressOffset = 12
    private static let addressSize = 16
    private static let nameSize = 64

    init(_ virtualServer: SavedVirtualServer) {
      name = virtualServer.name
      address = virtualServer.address
      roundPosition = virtualServer.roundPosition
      realServerCount = virtualServer.realServers.count
    }

    /// - Parameter octets: ``size`` of them.
    init(_ octets: UnsafeRawBufferPointer) throws(Refusal) {
      let family = try addressFamily(octets[0])
      let nameLength = Int(octets[1])
      let address = octets[VirtualServer.addressOffset...].prefix(VirtualServer.addressSize)
      let name = octets.suffix(VirtualServer.nameSize)
      guard nameLength <= LoadBalancing.VirtualServer.longestName, octets[2] == 0, octets[3] == 0,
        address.dropFirst(family.octetCount).allSatisfy({ $0 == 0 }),
        name.dropFirst(nameLength).allSatisfy({ $0 == 0 })
      else { throw .header }
      self.name = nameLength == 0 ? nil : try nameText(name.prefix(nameLength))
      self.address = IPAddress(
        family: family,
        octets: UnsafeRawBufferPointer(rebasing: address.prefix(family.octetCount)))
      roundPosition = octets.littleEndian(at: 4, as: UInt32.self)
      realServerCount = Int(octets.littleEndian(at: 8, as: UInt32.self))
    }

    /// The one of a file of a former version.
    init(former file: UnsafeRawBufferPointer) throws(Refusal) {
      guard file[13..<16].allSatisfy({ $0 == 0 }) else { throw .header }
      name = nil
      address = .unspecified(try addressFamily(file[12]))
      roundPosition = file.littleEndian(at: 16, as: UInt32.self)
      realServerCount = Int(file.littleEndian(at: 20, as: UInt32.self))
    }

    func saved(realServers: [IPAddress] = []) -> SavedVirtualServer {
      SavedVirtualServer(
        name: name, address: address, roundPosition: roundPosition, realServers: realServers)
    }

    /// As it stands in the file.
    var bytes: [UInt8] {
      let name = Array((name ?? "").utf8)
      var bytes: [UInt8] = [address.family == .ipv4 ? 4 : 6, UInt8(name.count), 0, 0]
      bytes.append(littleEndian: roundPosition)
      bytes.append(littleEndian: UInt32(realServerCount))
      bytes += address.octets
      bytes += repeatElement(0, count: VirtualServer.addressSize - address.octets.count)
      bytes += name
      bytes += repeatElement(0, count: VirtualServer.nameSize - name.count)
      return bytes
    }
  }
}

private func addressFamily(_ octet: UInt8) throws(Refusal) -> AddressFamily {
  switch octet {
  case 4: .ipv4
  case 6: .ipv6
  default: throw .header
  }
}

/// A name that may stand in a line of the log.
private func nameText(_ octets: Slice<UnsafeRawBufferPointer>) throws(Refusal) -> String {
  guard let name = String(validating: octets, as: UTF8.self),
    !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
  else { throw .header }
  return name
}
