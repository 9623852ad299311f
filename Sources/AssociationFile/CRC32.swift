// The checksum of the state file.

/// CRC-32 as in RFC 1952, section 8; eight octets a step.
package struct CRC32: Sendable {
  private var register: UInt32 = .max

  package init() {}

  /// The checksum of all bytes so far.
  package var value: UInt32 { ~register }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var register = register
    CRC32.tables.withUnsafeBufferPointer { tables in
      func entry(_ table: Int, _ octet: UInt32) -> UInt32 {
        tables[table << 8 | Int(octet & 0xff)]
      }
      var offset = 0
      while offset + 8 <= bytes.count {
        let low = register ^ bytes.littleEndian(at: offset, as: UInt32.self)
        let high = bytes.littleEndian(at: offset + 4, as: UInt32.self)
        register = entry(7, low) ^ entry(6, low >> 8) ^ entry(5, low >> 16) ^ entry(4, low >> 24)
        register ^= entry(3, high) ^ entry(2, high >> 8) ^ entry(1, high >> 16)
        register ^= entry(0, high >> 24)
        offset += 8
      }
      for byte in bytes[offset...] {
        register = entry(0, register ^ UInt32(byte)) ^ (register >> 8)
      }
    }
    self.register = register
  }

  /// Table n, from 256 n on, is what an octet does to the register when n octets follow it.
  private static let tables: [UInt32] = {
    var tables: [UInt32] = (0..<256).map { index in
      (0..<8).reduce(UInt32(index)) { value, _ in
        value & 1 == 1 ? 0xedb8_8320 ^ (value >> 1) : value >> 1
      }
    }
    for index in 256..<8 * 256 {
      let shorter = tables[index - 256]
      tables.append(tables[Int(shorter & 0xff)] ^ (shorter >> 8))
    }
    return tables
  }()
}
