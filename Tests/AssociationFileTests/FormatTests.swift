// The format of the state file: octet for octet as it is documented.
import LoadBalancing
import Testing

@testable import AssociationFile

@Suite struct FormatTests {
  @Test(arguments: Golden.current)
  func whatIsWrittenIsTheDocumentedFile(_ golden: Golden) {
    var bytes = golden.preamble.bytes
    var counts: [UInt64] = []
    for family in [AddressFamily.ipv4, .ipv6] {
      let associations = golden.associations.filter { $0.client.address.family == family }
      bytes += Record.encode(associations, family)
      counts.append(UInt64(associations.count))
    }
    var checksum = CRC32()
    bytes.withUnsafeBytes { checksum.update($0) }
    bytes += Format.trailer(recordCounts: (counts[0], counts[1]), checksum: checksum)
    #expect(bytes == golden.bytes)
  }

  @Test(arguments: Golden.all)
  func aDocumentedFileIsRead(_ golden: Golden) throws {
    try golden.bytes.withUnsafeBytes { bytes in
      let (preamble, records) = try Format.check(bytes)
      #expect(preamble == golden.preamble)
      #expect(records.allSatisfy { $0.version == golden.version })
      let associations = records.flatMap { records in
        Record.decode(
          UnsafeRawBufferPointer(rebasing: bytes[records.place]), records.family,
          version: records.version, rankedBy: records.ranking)
      }
      #expect(associations == golden.associations)
    }
  }

  /// Where the overrides of the last current file are: behind its real servers.
  private static let overrides = 24 + 4 * 92 + 4 * 4 + 2 * 16

  /// An octet of the first override or behind it, and what it is made.
  private static let wrongOctets: [(offset: Int, octet: UInt8)] = [
    (0, 3), (4, 4), (5, 4), (6, 0), (6, 4), (7, 1), (8, 0), (24, 1), (26, 1), (20, 2),
    // Nothing is set.
    (5, 0),
  ]

  @Test(arguments: wrongOctets.indices)
  func anOverrideThatCannotBeOneIsRefused(_ index: Int) throws {
    let (offset, octet) = Self.wrongOctets[index]
    var bytes = Golden.current.last!.bytes
    #expect(bytes[Self.overrides + offset] != octet)
    bytes[Self.overrides + offset] = octet
    try expectRefusal(&bytes)
  }

  @Test func twoOverridesOfOneRealServerAreRefused() throws {
    var bytes = Golden.current.last!.bytes
    let (first, second) = (Self.overrides..<Self.overrides + 16, Self.overrides + 16)
    bytes.replaceSubrange(second..<second + 16, with: bytes[first])
    try expectRefusal(&bytes)
  }

  private func expectRefusal(_ bytes: inout [UInt8]) throws {
    var checksum = CRC32()
    bytes.dropLast(4).withUnsafeBytes { checksum.update($0) }
    withUnsafeBytes(of: checksum.value.littleEndian) {
      bytes.replaceSubrange((bytes.count - 4)..., with: $0)
    }
    #expect(throws: Refusal.header) {
      try bytes.withUnsafeBytes { _ = try Format.check($0) }
    }
  }

  @Test func whatIsSetOfWhoIsNotSavedIsLeftOut() throws {
    let golden = Golden.current[0]
    let stranger = Overrides.Target(name: nil, address: IPAddress("10.70.9.2")!)
    let override = RealServer.Override(
      state: .down, weight: nil, configured: RealServer.Setting(state: .up, weight: 1))
    let preamble = Preamble(
      virtualServers: golden.preamble.virtualServers, overrides: Overrides([stranger: override]),
      ranking: golden.preamble.ranking)
    #expect(preamble.bytes == golden.preamble.bytes)
  }

  /// The octet that tells the virtual server now was nobody's before.
  @Test(arguments: Golden.former.filter { $0.version < 3 })
  func whatTheZeroOctetOfAFormerRecordHoldsDoesNotCount(_ golden: Golden) {
    let family = golden.preamble.virtualServers[0].family
    var octets = Record.encode(golden.associations, family)
    for end in stride(from: Record.size(family), through: octets.count, by: Record.size(family)) {
      octets[end - 5] = 0xff
    }
    let version = UInt32(golden.version)
    #expect(
      octets.withUnsafeBytes {
        Record.decode($0, family, version: version, rankedBy: golden.preamble.ranking)
      } == golden.associations)
  }

  /// RFC 1952's polynomial; the check value of the catalogue of CRC algorithms for CRC-32.
  @Test func checksumOfTheCheckString() {
    var checksum = CRC32()
    Array("123456789".utf8).withUnsafeBytes { checksum.update($0) }
    #expect(checksum.value == 0xcbf4_3926)
  }

  @Test func checksumDoesNotDependOnThePieces() {
    let bytes = (0..<100).map { UInt8(truncatingIfNeeded: $0 * 37 + 11) }
    var whole = CRC32()
    bytes.withUnsafeBytes { whole.update($0) }
    for cut in bytes.indices {
      var pieces = CRC32()
      Array(bytes[..<cut]).withUnsafeBytes { pieces.update($0) }
      pieces.update(UnsafeRawBufferPointer(start: nil, count: 0))
      Array(bytes[cut...]).withUnsafeBytes { pieces.update($0) }
      #expect(pieces.value == whole.value)
    }
  }
}
