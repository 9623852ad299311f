// The checksum of the state file.
import CZlib

/// CRC-32 as in RFC 1952, section 8 (zlib's crc32_z).
package struct CRC32: Sendable {
  private var state = crc32_z(0, nil, 0)

  package init() {}

  /// The checksum of all bytes so far.
  package var value: UInt32 { UInt32(truncatingIfNeeded: state) }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    // Without a first byte zlib would begin anew.
    guard let start = bytes.baseAddress else { return }
    state = crc32_z(state, start.assumingMemoryBound(to: Bytef.self), bytes.count)
  }
}
