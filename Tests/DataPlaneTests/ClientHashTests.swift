// The hash of clients: that SipHash is SipHash, and that no pattern of clients fills buckets, or
// places of them, unevenly.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("SipHash")
struct SipHashTests {
  /// Of the octets 0, 1, 2 …, so many as the index says, with the key 0, 1 … 15.
  private func value(_ length: Int, _ compression: Int, _ finalization: Int) -> UInt64 {
    let message = (0..<UInt8(length)).map { $0 }
    var state = SipHash(key: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908))
    for start in stride(from: 0, through: length, by: 8) {
      let octets = message[start...].prefix(8)
      var word = octets.reversed().reduce(0) { $0 << 8 | UInt64($1) }
      if octets.count < 8 { word |= UInt64(length) << 56 }
      state.add(word, rounds: compression)
    }
    state.finish(rounds: finalization)
    return state.value
  }

  @Test("SipHash-2-4 is that of its authors")
  func authors() {
    for (length, expected) in SipHashTests.sipHash24.enumerated() {
      #expect(value(length, 2, 4) == expected, "\(length) octets")
    }
  }

  @Test("SipHash-1-3 is that of others")
  func others() {
    for (length, expected) in SipHashTests.sipHash13.enumerated() {
      #expect(value(length, 1, 3) == expected, "\(length) octets")
    }
  }

  @Test("an IPv6 client is hashed as its 18 octets")
  func client() throws {
    let octets = (0..<16 as Range<UInt8>).map { $0 }
    let client = Client(address: IPAddress(octets: octets), port: 0x1011)
    let secret: HashSecret = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908, 1, 1)
    let hash = IPv6ClientKey(client).hash(secret)
    #expect(hash.tag == SipHashTests.sipHash13[18] & ~0xffff)
  }

  /// `vectors.h` of the authors' reference implementation.
  private static let sipHash24: [UInt64] = [
    0x726f_db47_dd0e_0e31, 0x74f8_39c5_93dc_67fd, 0x0d6c_8009_d9a9_4f5a, 0x8567_6696_d7fb_7e2d,
    0xcf27_94e0_2771_87b7, 0x1876_5564_cd99_a68d, 0xcbc9_466e_58fe_e3ce, 0xab02_00f5_8b01_d137,
    0x93f5_f579_9a93_2462, 0x9e00_82df_0ba9_e4b0, 0x7a5d_bbc5_94dd_b9f3, 0xf4b3_2f46_226b_ada7,
    0x751e_8fbc_860e_e5fb, 0x14ea_5627_c084_3d90, 0xf723_ca90_8e7a_f2ee, 0xa129_ca61_49be_45e5,
    0x3f2a_cc7f_57c2_9bdb, 0x699a_e9f5_2cbe_4794, 0x4bc1_b3f0_968d_d39c, 0xbb6d_c91d_a779_61bd,
    0xbed6_5cf2_1aa2_ee98, 0xd0f2_cbb0_2e3b_67c7, 0x9353_6795_e3a3_3e88, 0xa80c_038c_cd5c_cec8,
    0xb8ad_50c6_f649_af94, 0xbce1_92de_8a85_b8ea, 0x17d8_35b8_5bbb_15f3, 0x2f2e_6163_076b_cfad,
    0xde4d_aaac_a71d_c9a5, 0xa6a2_5066_8795_6571, 0xad87_a353_5c49_ef28, 0x32d8_92fa_d841_c342,
    0x7127_512f_72f2_7cce, 0xa7f3_2346_f959_78e3, 0x12e0_b01a_bb05_1238, 0x15e0_34d4_0fa1_97ae,
    0x314d_ffbe_0815_a3b4, 0x0279_90f0_2962_3981, 0xcadc_d4e5_9ef4_0c4d, 0x9abf_d876_6a33_735c,
    0x0e3e_a96b_5304_a7d0, 0xad0c_42d6_fc58_5992, 0x1873_06c8_9bc2_15a9, 0xd4a6_0abc_f379_2b95,
    0xf935_451d_e4f2_1df2, 0xa953_8f04_1975_5787, 0xdb9a_cddf_f56c_a510, 0xd06c_98cd_5c09_75eb,
    0xe612_a3cb_9ecb_a951, 0xc766_e62c_fcad_af96, 0xee64_435a_9752_fe72, 0xa192_d576_b245_165a,
    0x0a87_87bf_8ecb_74b2, 0x81b3_e73d_20b4_9b6f, 0x7fa8_220b_a3b2_ecea, 0x2457_31c1_3ca4_2499,
    0xb78d_bfaf_3a8d_83bd, 0xea1a_d565_322a_1a0b, 0x60e6_1c23_a379_5013, 0x6606_d7e4_4628_2b93,
    0x6ca4_ecb1_5c5f_91e1, 0x9f62_6da1_5c96_25f3, 0xe51b_3860_8ef2_5f57, 0x958a_324c_eb06_4572,
  ]

  /// The same of SipHash-1-3, as Rust's standard library is tested with.
  private static let sipHash13: [UInt64] = [
    0xabac_0158_050f_c4dc, 0xc9f4_9bf3_7d57_ca93, 0x82cb_9b02_4dc7_d44d, 0x8bf8_0ab8_e7dd_f7fb,
    0xcf75_5760_88d3_8328, 0xdef9_d52f_4953_3b67, 0xc50d_2b50_c59f_22a7, 0xd392_7d98_9bb1_1140,
    0x3690_9511_8d29_9a8e, 0x25a4_8eb3_6c06_3de4, 0x79de_85ee_92ff_097f, 0x70c1_18c1_f94d_c352,
    0x78a3_84b1_57b4_d9a2, 0x306f_760c_1229_ffa7, 0x605a_a111_c0f9_5d34, 0xd320_d86d_2a51_9956,
    0xcc4f_dd1a_7d90_8b66, 0x9cf2_6890_63db_d80c, 0x8ffc_389c_b473_e63e, 0xf21f_9de5_8d29_7d1c,
    0xc0dc_2f46_a6cc_e040, 0xb992_abfe_2b45_f844, 0x7ffe_7b9b_a320_872e, 0x525a_0e7f_dae6_c123,
    0xf464_aeb2_6734_9c8c, 0x45cd_5928_705b_0979, 0x3a3e_35e3_ca99_13a5, 0xa91d_c74e_4ade_3b35,
    0xfb0b_ed02_ef6c_d00d, 0x88d9_3cb4_4ab1_e1f4, 0x540f_11d6_43c5_e663, 0x2370_dd1f_8c21_d1bc,
    0x8115_7b6c_16a7_b60d, 0x4d54_b9e5_7a8f_f9bf, 0x759f_1278_1f2a_753e, 0xcea1_a3be_bf18_6b91,
    0x2cf5_08d3_ada2_6206, 0xb610_1c2d_a3c3_3057, 0xb3f4_7496_ae3a_36a1, 0x626b_5754_7b10_8392,
    0xc1d2_3632_99e4_1531, 0x667c_c192_3f1a_d944, 0x6570_4ffe_c813_8825, 0x24f2_80d1_c289_49a6,
    0xc2ca_1ced_faf8_876b, 0xc216_4bfc_9f04_2196, 0xa16e_9c93_68b1_d623, 0x49fb_169c_8b51_14fd,
    0x9f31_43f8_df07_4c46, 0xc6fd_af24_12cc_86b3, 0x7eaf_49d1_0a52_098f, 0x1cf3_1355_9d29_2f9a,
    0xc44a_30dd_a2f4_1f12, 0x36fa_e989_43a7_1ed0, 0x318f_b34c_73f0_bce6, 0xa27a_bf36_70a7_e980,
    0xb4bc_c0db_243c_6d75, 0x23f8_d852_fdb7_1513, 0x8f03_5f4d_a67d_8a08, 0xd89c_d0e5_b7e8_f148,
    0xf6f4_e6bc_f7a6_44ee, 0xaec5_9ad8_0f18_37f2, 0xc3b2_f615_4b66_94e0, 0x9d19_9062_b7bb_b3a8,
  ]
}

/// Clients of a pattern that a network may have, each different from the others.
struct ClientPattern: Sendable, CustomTestStringConvertible {
  let testDescription: String
  /// That of a number below 65,536.
  let client: @Sendable (UInt32) -> Client

  private static func ipv4(_ address: UInt32, _ port: UInt32) -> Client {
    let octets = (0..<4).map { UInt8(truncatingIfNeeded: address >> (24 - 8 * $0)) }
    return Client(
      address: IPAddress(octets: octets), port: UInt16(truncatingIfNeeded: port))
  }

  private static func ipv6(_ network: UInt64, _ interface: UInt64, _ port: UInt32) -> Client {
    let octets = [network, interface].flatMap { half in
      (0..<8).map { UInt8(truncatingIfNeeded: half >> (56 - 8 * $0)) }
    }
    return Client(
      address: IPAddress(octets: octets), port: UInt16(truncatingIfNeeded: port))
  }

  private static func reversed(_ number: UInt32) -> UInt32 {
    (0..<32).reduce(0) { $0 | (number >> $1 & 1) << (31 - $1) }
  }

  static let ipv4: [ClientPattern] = [
    ClientPattern("one address, all ports") { ipv4(0x0a32_0001, $0) },
    ClientPattern("one address, all ports bit-reversed") { ipv4(0x0a32_0001, reversed($0) >> 16) },
    ClientPattern("sequential addresses, one port") { ipv4(0x0a32_0000 + $0, 5683) },
    ClientPattern("sequential addresses from 0 on, port 1") { ipv4($0, 1) },
    ClientPattern("bit-reversed addresses") { ipv4(reversed($0), 5683) },
    ClientPattern("one address of each /24") { ipv4(0x0a00_0001 + $0 << 8, 5683) },
    ClientPattern("one address of each /16") { ipv4($0 << 16 | 1, 5683) },
    ClientPattern("one /24, sequential ports") { ipv4(0x0a32_0000 + $0 & 0xff, 32768 + $0 >> 8) },
    ClientPattern("sequential addresses, 16 ports each") {
      ipv4(0x0a32_0000 + $0 >> 4, 40000 + $0 & 15)
    },
    ClientPattern("16 addresses, sequential ports") {
      ipv4(0xc0a8_0000 + $0 >> 12, 32768 + $0 & 0xfff)
    },
  ]

  static let ipv6: [ClientPattern] = [
    ClientPattern("one address, all ports") { ipv6(0x2001_0db8_0000_0001, 1, $0) },
    ClientPattern("one /64, sequential addresses") {
      ipv6(0x2001_0db8_0000_0001, UInt64($0), 5683)
    },
    ClientPattern("one /64, bit-reversed addresses") {
      ipv6(0x2001_0db8_0000_0001, UInt64(reversed($0)) << 32, 5683)
    },
    ClientPattern("one /64, interfaces of one maker") {
      ipv6(0x2001_0db8_0000_0001, 0x0200_5eff_fe00_0000 | UInt64($0), 5683)
    },
    ClientPattern("sequential networks") { ipv6(0x2001_0db8_0000_0000 + UInt64($0), 1, 5683) },
    ClientPattern("sequential /48") { ipv6(0x2001_0db8_0000_0000 + UInt64($0) << 16, 1, 5683) },
    ClientPattern("one /64, sequential ports") {
      ipv6(0x2001_0db8_0000_0001, UInt64($0 & 0xff), 32768 + $0 >> 8)
    },
  ]

  private init(_ name: String, _ client: @escaping @Sendable (UInt32) -> Client) {
    (testDescription, self.client) = (name, client)
  }
}

@Suite("Hash of clients")
struct ClientHashTests {
  /// Tables of powers of two buckets, and others.
  private static let bucketCounts = [1_000, 4_096, 16_384, 20_011]
  private static let clientCount: UInt32 = 1 << 16
  private static let seeds = 0..<6 as Range<UInt64>

  private static func secret(seed: UInt64) -> HashSecret {
    var random = SeededNumbers(seed: seed)
    return (random.next(), random.next() | 1, random.next() | 1, random.next() | 1)
  }

  /// How unevenly clients are spread, in standard deviations of an even chance: the chi-square
  /// statistic by the approximation of Wilson and Hilferty (1931).
  private static func unevenness(_ counts: [Int]) -> Double {
    let expected = Double(counts.reduce(0, +)) / Double(counts.count)
    let chiSquare = counts.reduce(0) { sum, count in
      sum + (Double(count) - expected) * (Double(count) - expected) / expected
    }
    let freedom = Double(counts.count - 1)
    let term = 2 / (9 * freedom)
    return (pow(chiSquare / freedom, 1 / 3.0) - (1 - term)) / term.squareRoot()
  }

  /// The worst of all sizes of tables: of the first bucket, and of the second; of both together, as
  /// clients that share one are not to share the other; and of the usual place together with either.
  private static func unevenness(_ hashes: [ClientHash]) -> Double {
    var both = [Int](repeating: 0, count: 1 << 16)
    var placeInFirst = [Int](repeating: 0, count: SharedBucket.places << 8)
    var placeInSecond = placeInFirst
    for hash in hashes {
      let (first, second) = (Int(hash.hash >> 56), Int(hash.hash >> 24 & 0xff))
      both[first << 8 | second] += 1
      placeInFirst[hash.usualPlace << 8 | first] += 1
      placeInSecond[hash.usualPlace << 8 | second] += 1
    }
    let ofEach = bucketCounts.map { count in
      var first = [Int](repeating: 0, count: count)
      var second = first
      for hash in hashes {
        let buckets = hash.buckets(of: count)
        first[buckets.first] += 1
        second[buckets.second] += 1
      }
      return max(unevenness(first), unevenness(second))
    }
    return ([both, placeInFirst, placeInSecond].map(unevenness) + ofEach).max()!
  }

  /// An even hash is above it by chance once in 1,000,000,000 times.
  private static let limit = 6.0

  /// How many of the secrets spread a pattern's clients unevenly, and what is to be said of them.
  private func failures<Key: ClientKey>(
    _ pattern: ClientPattern, _ type: Key.Type, _ hash: (Key, HashSecret) -> ClientHash
  ) -> [String] {
    let keys = (0..<Self.clientCount).map { Key(pattern.client($0)) }
    return Self.seeds.compactMap { seed in
      let secret = Self.secret(seed: seed)
      let worst = Self.unevenness(keys.map { hash($0, secret) })
      return worst < Self.limit ? nil : "seed \(seed): \(worst)"
    }
  }

  @Test(
    "no pattern of IPv4 clients fills buckets or places unevenly", arguments: ClientPattern.ipv4)
  func ipv4(_ pattern: ClientPattern) {
    #expect(failures(pattern, IPv4ClientKey.self) { $0.hash($1) } == [])
  }

  @Test(
    "no pattern of IPv6 clients fills buckets or places unevenly", arguments: ClientPattern.ipv6)
  func ipv6(_ pattern: ClientPattern) {
    #expect(failures(pattern, IPv6ClientKey.self) { $0.hash($1) } == [])
  }

  /// Each of the clients is a client of each of 16 virtual servers.
  private func failuresOfSixteen<Key: ClientKey>(
    _ pattern: ClientPattern, _ type: Key.Type
  ) -> [String] {
    Self.seeds.compactMap { seed in
      let secret = Self.secret(seed: seed)
      let hashes = (0..<Self.clientCount).map { number in
        Key(pattern.client(number >> 4)).hash(secret, virtualServer: UInt8(number & 15) * 8)
      }
      let worst = Self.unevenness(hashes)
      let tags = Set(hashes.map(\.tag)).count
      return worst < Self.limit && tags == hashes.count ? nil : "seed \(seed): \(worst), \(tags)"
    }
  }

  @Test(
    "nor do clients of several virtual servers, who have a tag with each",
    arguments: ClientPattern.ipv4)
  func severalOfIPv4(_ pattern: ClientPattern) {
    #expect(failuresOfSixteen(pattern, IPv4ClientKey.self) == [])
  }

  @Test("nor do IPv6 clients of several virtual servers", arguments: ClientPattern.ipv6)
  func severalOfIPv6(_ pattern: ClientPattern) {
    #expect(failuresOfSixteen(pattern, IPv6ClientKey.self) == [])
  }

  @Test("a weak hash is found out, by most of the patterns")
  func weak() {
    let telling = ClientPattern.ipv4.filter { pattern in
      let failures = failures(pattern, IPv4ClientKey.self) { key, secret in
        let tag = key.hash(secret).tag
        return ClientHash(tag: tag, hash: (tag ^ secret.0) &* secret.1)
      }
      return !failures.isEmpty
    }
    #expect(telling.count > ClientPattern.ipv4.count / 2)
  }
}
