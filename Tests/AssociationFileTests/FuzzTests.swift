// Some hundred state files that are broken in ways nobody thought of, from a seed.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import AssociationFile

@Suite struct FuzzTests {
  private static let seed: UInt64 = 20_240_607

  /// Breaks a file in one way.
  private static func breakFile(_ bytes: inout [UInt8], _ random: inout SeededNumbers) {
    switch Int.random(in: 0..<7, using: &random) {
    case 0:
      for _ in 0..<Int.random(in: 1...8, using: &random) where !bytes.isEmpty {
        let bit = UInt8(1) << Int.random(in: 0..<8, using: &random)
        bytes[.random(in: bytes.indices, using: &random)] ^= bit
      }
    case 1: bytes.removeLast(.random(in: 0...bytes.count, using: &random))
    case 2:
      bytes += (0..<Int.random(in: 1...64, using: &random)).map { _ in
        .random(in: 0...255, using: &random)
      }
    case 3:
      // A header of random words behind the magic.
      for index in bytes.indices.dropFirst(8).prefix(16) {
        bytes[index] = .random(in: 0...255, using: &random)
      }
    case 4:
      // A wild number in one of the fields.
      let fields = [8, 12, 16, 20, bytes.count - 12, bytes.count - 8]
      let field = fields.randomElement(using: &random)!
      let wild: [UInt32] = [0, 1, 2, 3, 4, 6, .max, .max / 12, 1 << 31, 0x1555_5555]
      guard field >= 0, field + 4 <= bytes.count else { return }
      withUnsafeBytes(of: wild.randomElement(using: &random)!) {
        bytes.replaceSubrange(field..<field + 4, with: $0)
      }
    case 5:
      guard !bytes.isEmpty else { return }
      let start = Int.random(in: bytes.indices, using: &random)
      bytes.removeSubrange(start..<Int.random(in: start...bytes.count, using: &random))
    default:
      bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in
        .random(in: 0...255, using: &random)
      }
    }
  }

  private static func mendChecksum(_ bytes: inout [UInt8]) {
    guard bytes.count >= 4 else { return }
    var checksum = CRC32()
    bytes.dropLast(4).withUnsafeBytes { checksum.update($0) }
    withUnsafeBytes(of: checksum.value.littleEndian) {
      bytes.replaceSubrange((bytes.count - 4)..., with: $0)
    }
  }

  /// What the documentation makes of a file, written down once more: the family, and what the
  /// records hold but for their zero octets; `nil` for a file that is not to be used.
  private static func model(_ bytes: [UInt8]) -> (family: AddressFamily, records: [[UInt8]])? {
    func number(_ at: Int, _ size: Int) -> UInt64 {
      (0..<size).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
    }
    guard bytes.count >= 36, bytes.starts(with: Array("ulbstate".utf8)),
      [1, 2].contains(number(8, 4)), [4, 6].contains(bytes[12]), number(13, 3) == 0
    else { return nil }
    let octets = bytes[12] == 4 ? 4 : 16
    let start = 24 + Int(number(20, 4)) * octets
    let body = bytes.count - 12 - start
    guard body >= 0, body % (octets + 8) == 0,
      number(bytes.count - 12, 8) == UInt64(body / (octets + 8))
    else { return nil }
    var mended = bytes
    mendChecksum(&mended)
    guard mended == bytes else { return nil }
    let records = stride(from: start, to: start + body, by: octets + 8).map { at in
      Array(bytes[at..<at + octets + 3] + bytes[at + octets + 4..<at + octets + 8])
    }
    return (octets == 4 ? .ipv4 : .ipv6, records)
  }

  /// A record as the model has it.
  private static func record(_ association: Association) -> [UInt8] {
    let (client, server) = (association.client, association.realServer)
    return client.address.octets + [UInt8(client.port >> 8), UInt8(client.port & 0xff)]
      + [association.age] + (0..<4).map { UInt8(truncatingIfNeeded: server >> ($0 * 8)) }
  }

  @Test func whatIsBrokenIsNeverRestoredAndNeverLost() throws {
    var random = SeededNumbers(seed: Self.seed)
    var (loaded, refused, foreign) = (0, 0, 0)
    for number in 0..<2_000 {
      let golden = Golden.all[number % 4]
      var bytes = golden.bytes
      for _ in 0..<Int.random(in: 1...3, using: &random) { Self.breakFile(&bytes, &random) }
      // Half of them as somebody would make them who knows the checksum.
      if Bool.random(using: &random) { Self.mendChecksum(&bytes) }
      let place = try Place(bytes)
      let message = Comment(rawValue: "seed \(Self.seed), file \(number): \(bytes)")
      let model = Self.model(bytes)
      let isOurs = Array("ulbstate".utf8).starts(with: bytes.prefix(8))
      let file: StateFile
      do {
        file = try StateFile(place.path)
      } catch {
        #expect(!isOurs && error == .foreign(path: place.path), message)
        #expect(try place.bytes() == bytes, message)
        foreign += 1
        continue
      }
      #expect(isOurs, message)
      let family = model?.family ?? golden.preamble.family
      do {
        let saved = try file.load(family)
        #expect(saved == nil ? bytes.isEmpty : model != nil, message)
        if let saved {
          let all = saved.all()
          #expect(all.map(\.age) == all.map(\.age).sorted(), message)
          let records = Set(model?.records ?? [])
          #expect(saved.count == model?.records.count && all.count == saved.count, message)
          #expect(Set(all.map(Self.record)) == records, message)
          loaded += 1
        }
      } catch {
        #expect(model == nil, message)
        let aside = try file.keepAside()
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: aside))) == bytes, message)
        refused += 1
      }
    }
    // All ways were gone.
    #expect(loaded > 20 && refused > 500 && foreign > 100, "\(loaded), \(refused), \(foreign)")
  }
}
