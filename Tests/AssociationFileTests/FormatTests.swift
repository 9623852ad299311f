// The format of the state file: octet for octet as it is documented.
import LoadBalancing
import Testing

@testable import AssociationFile

@Suite struct FormatTests {
  @Test(arguments: Golden.current)
  func whatIsWrittenIsTheDocumentedFile(_ golden: Golden) {
    var bytes = golden.preamble.bytes
    bytes += Record.encode(golden.associations, golden.preamble.family)
    var checksum = CRC32()
    bytes.withUnsafeBytes { checksum.update($0) }
    bytes += Format.trailer(recordCount: UInt64(golden.associations.count), checksum: checksum)
    #expect(bytes == golden.bytes)
  }

  @Test(arguments: Golden.all)
  func aDocumentedFileIsRead(_ golden: Golden) throws {
    try golden.bytes.withUnsafeBytes { bytes in
      let (preamble, records) = try Format.check(bytes)
      #expect(preamble == golden.preamble)
      let associations = Record.decode(
        UnsafeRawBufferPointer(rebasing: bytes[records]), preamble.family)
      #expect(associations == golden.associations)
    }
  }

  @Test(arguments: Golden.current)
  func whatTheZeroOctetOfARecordHoldsDoesNotCount(_ golden: Golden) {
    let family = golden.preamble.family
    var octets = Record.encode(golden.associations, family)
    for end in stride(from: Record.size(family), through: octets.count, by: Record.size(family)) {
      octets[end - 5] = 0xff
    }
    #expect(octets.withUnsafeBytes { Record.decode($0, family) } == golden.associations)
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
