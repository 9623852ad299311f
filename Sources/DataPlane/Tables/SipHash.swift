// SipHash: a keyed hash of which nobody foresees the values who does not know the key.

/// The state of SipHash-c-d (Aumasson, Bernstein: SipHash: a fast short-input PRF, 2012).
struct SipHash {
  private var v0, v1, v2, v3: UInt64

  /// - Parameter key: its 16 octets as two words, the first octet the lowest.
  init(key: (UInt64, UInt64)) {
    v0 = key.0 ^ 0x736f_6d65_7073_6575
    v1 = key.1 ^ 0x646f_7261_6e64_6f6d
    v2 = key.0 ^ 0x6c79_6765_6e65_7261
    v3 = key.1 ^ 0x7465_6462_7974_6573
  }

  /// Takes eight octets in, the first the lowest. The last word of a message is the rest of it, with
  /// its length as the highest octet.
  ///
  /// - Parameter rounds: c.
  @inline(__always)
  mutating func add(_ word: UInt64, rounds: Int = 1) {
    v3 ^= word
    for _ in 0..<rounds { round() }
    v0 ^= word
  }

  /// - Parameter rounds: d.
  @inline(__always)
  mutating func finish(rounds: Int = 3) {
    v2 ^= 0xff
    for _ in 0..<rounds { round() }
  }

  /// What SipHash returns, of a state that is finished.
  var value: UInt64 { v0 ^ v1 ^ v2 ^ v3 }

  /// Another 64 bits of a state that is finished.
  var furtherValue: UInt64 { v1 &+ v3 }

  @inline(__always)
  private mutating func round() {
    v0 &+= v1
    v1 = SipHash.rotated(v1, 13) ^ v0
    v0 = SipHash.rotated(v0, 32)
    v2 &+= v3
    v3 = SipHash.rotated(v3, 16) ^ v2
    v0 &+= v3
    v3 = SipHash.rotated(v3, 21) ^ v0
    v2 &+= v1
    v1 = SipHash.rotated(v1, 17) ^ v2
    v2 = SipHash.rotated(v2, 32)
  }

  @inline(__always)
  private static func rotated(_ word: UInt64, _ bits: UInt64) -> UInt64 {
    word << bits | word >> (64 &- bits)
  }
}
