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
      // A header of random words behind the magic, or behind the version.
      for index in bytes.indices.dropFirst(Bool.random(using: &random) ? 8 : 12).prefix(16) {
        bytes[index] = .random(in: 0...255, using: &random)
      }
    case 4:
      // A wild number in one of the fields.
      let fields = [
        8, 12, 16, 20, 24, 108, 112, 116, 120, 436, 440, 444, bytes.count - 20, bytes.count - 12,
        bytes.count - 8,
      ]
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

  fileprivate static func mendChecksum(_ bytes: inout [UInt8]) {
    guard bytes.count >= 4 else { return }
    var checksum = CRC32()
    bytes.dropLast(4).withUnsafeBytes { checksum.update($0) }
    withUnsafeBytes(of: checksum.value.littleEndian) {
      bytes.replaceSubrange((bytes.count - 4)..., with: $0)
    }
  }

  /// What the documentation makes of a file, written down once more.
  private struct Model {
    var virtualServers: [VirtualServer] = []
    /// A record without what nobody looks at.
    var records: [[UInt8]] = []

    /// - Returns: `nil` for a file that is not to be used.
    init?(_ bytes: [UInt8]) {
      func number(_ at: Int, _ size: Int) -> UInt64 {
        (0..<size).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
      }
      guard bytes.count >= 36, bytes.starts(with: Array("ulbstate".utf8)),
        (1...5).contains(number(8, 4))
      else { return nil }
      let isFormer = number(8, 4) < 3
      var octetCounts: [Int] = []
      var at = 24
      var serverOctets = 0
      var overrideCount = 0
      /// Where the addresses of each virtual server's real servers are, behind where they all begin.
      var servers: [(start: Int, octetCount: Int, count: Int)] = []
      if isFormer {
        guard [4, 6].contains(bytes[12]), number(13, 3) == 0 else { return nil }
        octetCounts = [bytes[12] == 4 ? 4 : 16]
        serverOctets = Int(number(20, 4)) * octetCounts[0]
        add(nil, octetCounts[0])
      } else {
        let count = Int(number(12, 4))
        at = 16 + 4 * Int(number(8, 4) - 3)
        guard (1...256).contains(count), bytes.count >= at + count * 92 + 20 else { return nil }
        overrideCount = at == 16 ? 0 : Int(number(16, 4))
        guard at < 24 || number(20, 4) < 2 else { return nil }
        for _ in 0..<count {
          guard [4, 6].contains(bytes[at]), number(at + 2, 2) == 0 else { return nil }
          let octetCount = bytes[at] == 4 ? 4 : 16
          servers.append((serverOctets, octetCount, Int(number(at + 8, 4))))
          serverOctets += Int(number(at + 8, 4)) * octetCount
          let length = Int(bytes[at + 1])
          let rest =
            bytes[at + 12 + octetCount..<at + 28]
            + (length < 64 ? bytes[at + 28 + length..<at + 92] : [1])
          guard rest.allSatisfy({ $0 == 0 }),
            let name = String(bytes: bytes[at + 28..<at + 28 + length], encoding: .utf8),
            name.rangeOfCharacter(from: CharacterSet(charactersIn: "\u{0}"..."\u{1f}")) == nil,
            name.rangeOfCharacter(from: CharacterSet(charactersIn: "\u{7f}"..."\u{9f}")) == nil,
            !virtualServers.contains(where: { $0.name ?? "" == name })
          else { return nil }
          add(name.isEmpty ? nil : name, octetCount)
          at += 92
        }
        octetCounts = [4, 16]
      }
      let trailer = bytes.count - 4 - 8 * octetCounts.count
      guard at + serverOctets + 16 * overrideCount <= trailer else { return nil }
      var targets: Set<[UInt8]> = []
      for index in 0..<overrideCount {
        let record = at + serverOctets + 16 * index
        let (realServer, weight) = (Int(number(record, 4)), number(record + 8, 4))
        guard Int(bytes[record + 4]) < servers.count, bytes[record + 5] < 4,
          (1...3).contains(bytes[record + 6]), bytes[record + 7] == 0
        else { return nil }
        let own = servers[Int(bytes[record + 4])]
        let address = at + own.start + realServer * own.octetCount
        guard realServer < own.count,
          weight == 0xffff_ffff ? bytes[record + 5] > 0 : weight <= 256,
          targets.insert([bytes[record + 4]] + bytes[address..<address + own.octetCount]).inserted
        else { return nil }
      }
      at += serverOctets + 16 * overrideCount
      for (index, octets) in octetCounts.enumerated() {
        let count = number(trailer + 8 * index, 8)
        guard count <= UInt64(bytes.count), at + Int(count) * (octets + 8) <= trailer else {
          return nil
        }
        for _ in 0..<count {
          let virtualServer = isFormer ? 0 : bytes[at + octets + 3]
          records.append(
            bytes[at..<at + octets + 3] + [virtualServer] + bytes[at + octets + 4..<at + octets + 8]
          )
          at += octets + 8
        }
      }
      var mended = bytes
      FuzzTests.mendChecksum(&mended)
      guard at == trailer, mended == bytes else { return nil }
    }

    private mutating func add(_ name: String?, _ octetCount: Int) {
      virtualServers.append(
        VirtualServer(
          name: name, address: .unspecified(octetCount == 4 ? .ipv4 : .ipv6), ports: [],
          realServers: []))
    }
  }

  /// A record as the model has it.
  private static func record(_ association: Association) -> [UInt8] {
    let (client, server) = (association.client, association.realServer)
    return client.address.octets + [UInt8(client.port >> 8), UInt8(client.port & 0xff)]
      + [association.rank | (association.isUnheard ? 0x40 : 0), association.virtualServer]
      + (0..<4).map { UInt8(truncatingIfNeeded: server >> ($0 * 8)) }
  }

  @Test func whatIsBrokenIsNeverRestoredAndNeverLost() throws {
    var random = SeededNumbers(seed: Self.seed)
    var (loaded, refused, foreign) = (0, 0, 0)
    for number in 0..<2_000 {
      let golden = Golden.all[number % Golden.all.count]
      var bytes = golden.bytes
      for _ in 0..<Int.random(in: 1...3, using: &random) { Self.breakFile(&bytes, &random) }
      // Half of them as somebody would make them who knows the checksum.
      if Bool.random(using: &random) { Self.mendChecksum(&bytes) }
      let place = try Place(bytes)
      let message = Comment(rawValue: "seed \(Self.seed), file \(number): \(bytes)")
      let model = Model(bytes)
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
      let configured = model?.virtualServers.suffix(1) ?? golden.configured[...]
      do {
        let saved = try file.load(for: Array(configured))
        #expect(saved == nil ? bytes.isEmpty : model != nil, message)
        if let saved {
          let all = saved.all()
          let ages = AddressFamily.allCases.map { family in
            all.filter { $0.client.address.family == family }.map(\.rank)
          }
          #expect(all.map(\.rank) == ages.flatMap { $0.sorted() }, message)
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
