// Tables as former processes have kept them: those of each version of the layouts, or nearly.
import BCC
import Foundation
import LoadBalancing
import SystemPackage
import TestSupport

@testable import DataPlane

/// Tables as a former process has kept them, or nearly.
struct KeptSet {
  /// What a map is made of. Entries are written as far as they fit.
  struct Map {
    var kind: BPFMap.Kind
    var keySize, leafSize, capacity: Int
    var flags: UInt32 = 0
    var entries: [(key: [UInt8], leaf: [UInt8])] = []
  }

  var maps: [String: Map]
  var number = "1"

  /// Whether a program uses the maps, by which they belong together.
  var hasProgram: Bool

  /// IPv4, for at most two real servers, both of which are listed, and 64 associations. Of today's
  /// layouts there is a second virtual server besides, number 3, with the first of the real servers.
  ///
  /// - Parameter layout: the layouts' version: 1 for ulb 1.0.0's.
  init(bank: UInt32 = 1, layout: UInt32 = 5) {
    hasProgram = layout >= 4
    if layout >= 4 {
      maps = Self.present(bank, layout)
      return
    }
    maps = [
      "slot_of_address": Map(
        kind: .hash, keySize: 4, leafSize: 4, capacity: 4,
        entries: [([10, 40, 0, 2], bytes(UInt32(0))), ([10, 40, 0, 3], bytes(UInt32(1)))]),
      "rounds": Map(
        kind: .array, keySize: 4, leafSize: 4, capacity: 6,
        entries: [
          Self.entry(3 * bank, bytes(UInt32(2))), Self.entry(3 * bank + 1, bytes(UInt32(0))),
          Self.entry(3 * bank + 2, bytes(UInt32(1))),
        ]),
      "round_position": Map(
        kind: .array, keySize: 4, leafSize: 8, capacity: 1,
        entries: [Self.entry(0, bytes(UInt64(1)))]),
    ]
    maps.merge(layout < 3 ? Self.hashed(bank, layout) : Self.third(bank)) { $1 }
  }

  private static let secret: UInt64 = 0x0123_4567_89ab_cdef

  /// Those of today, or of the version before.
  private static func present(_ bank: UInt32, _ layout: UInt32) -> [String: Map] {
    func server(_ octet: UInt8, virtualServer: UInt8, next: UInt16) -> [UInt8] {
      bytes(delta(octet)) + [3, virtualServer] + bytes(next) + bytes(UInt16(0))
        + [10, 40, 0, octet] + bytes(UInt32(0))
    }
    func virtualServer(_ octet: UInt8, line: UInt32, length: UInt32) -> [UInt8] {
      [10, 40, 0, octet] + bytes(UInt64(0)) + bytes(UInt32(0))
        + [line, length, 0, 4].flatMap { bytes($0) }
    }
    let third = third(bank)
    var control = third["control"]!
    control.entries[0].leaf[4] = UInt8(layout)
    let admissions = Map(
      kind: .array, keySize: 4, leafSize: 576, capacity: 1, flags: Table.mappable,
      entries: [entry(0, bytes(UInt64(7)))])
    return [
      "associations_v4": third["associations"]!,
      layout == 4 ? "insertions_v4" : "admissions_v4":
        layout == 4 ? third["insertions"]! : admissions,
      "control_v4": control,
      "real_servers_v4": Map(
        kind: .array, keySize: 4, leafSize: 16, capacity: 8,
        entries: [
          entry(bank, server(2, virtualServer: 0, next: 2)),
          entry(2 + bank, server(3, virtualServer: 0, next: 1)),
          entry(4 + bank, server(2, virtualServer: 3, next: 0)),
        ]),
      "slot_of_address_v4": Map(
        kind: .hash, keySize: 4, leafSize: 4, capacity: 4,
        entries: [([10, 40, 0, 2], bytes(UInt32(0))), ([10, 40, 0, 3], bytes(UInt32(1)))]),
      "virtual_servers": Map(
        kind: .array, keySize: 4, leafSize: 32, capacity: 256,
        entries: [
          entry(bank, virtualServer(1, line: bank, length: 2)),
          entry(6 + bank, virtualServer(9, line: 2 + bank, length: 1)),
        ]),
      "rounds": Map(
        kind: .array, keySize: 4, leafSize: 64, capacity: 4,
        entries: [
          entry(bank, [0, 0, 1, 0]), entry(2 + bank, [2, 0]),
        ]),
      "round_position": Map(
        kind: .array, keySize: 4, leafSize: 8, capacity: 128,
        entries: [entry(0, bytes(UInt64(1))), entry(3, bytes(UInt64(0)))]),
      "virtual_server_names": Map(
        kind: .array, keySize: 4, leafSize: 64, capacity: 128,
        entries: [entry(3, [5] + Array("other".utf8))]),
    ]
  }

  /// What version 3 has changed, as it was.
  private static func third(_ bank: UInt32) -> [String: Map] {
    let listed: UInt16 = 2
    func server(_ octet: UInt8) -> [UInt8] {
      [10, 40, 0, octet] + bytes(delta(octet)) + bytes(listed)
    }
    return [
      "associations": Map(
        kind: .array, keySize: 4, leafSize: 64, capacity: 16, flags: Table.mappable,
        entries: (0..<16).map {
          entry($0, bytes(0x1234_5678_0102_0000 + UInt64($0) << 56 + UInt64($0 % 2)))
        }),
      "insertions": Map(
        kind: .array, keySize: 4, leafSize: 8, capacity: 1, entries: [entry(0, bytes(UInt64(7)))]),
      "real_servers": Map(
        kind: .array, keySize: 4, leafSize: 8, capacity: 8,
        entries: [entry(bank, server(2)), entry(2 + bank, server(3))]),
      "control": Map(
        kind: .array, keySize: 4, leafSize: 64, capacity: 1, flags: Table.mappable,
        entries: [
          entry(
            0,
            [bank, 3, 64, 0].flatMap { bytes($0) }
              + [9, secret, secret, secret, secret, 0].flatMap { bytes($0) })
        ]),
    ]
  }

  /// What has changed since, as it was.
  private static func hashed(_ bank: UInt32, _ layout: UInt32) -> [String: Map] {
    func server(_ octet: UInt8, generation: UInt32) -> [UInt8] {
      [10, 40, 0, octet] + bytes(generation) + bytes(generation) + bytes(delta(octet))
        + bytes(UInt16(0))
    }
    return [
      "associations": Map(
        kind: .leastRecentlyUsed, keySize: 8, leafSize: 8, capacity: 64,
        entries: (0..<20).map {
          ([10, 50, 0, $0, 1, 2, 0, 0], bytes(UInt32($0 % 2)) + bytes(UInt32($0 % 2 + 1)))
        }),
      "real_servers": Map(
        kind: .array, keySize: 4, leafSize: 16, capacity: 8,
        entries: [
          entry(4 * bank, server(2, generation: 1)), entry(4 * bank + 1, server(3, generation: 2)),
        ]),
      "control": Map(
        kind: .array, keySize: 4, leafSize: layout == 1 ? 4 : 8, capacity: 1,
        entries: [entry(0, bytes(bank) + bytes(layout))]),
    ]
  }

  private static func entry(_ index: UInt32, _ leaf: [UInt8]) -> (key: [UInt8], leaf: [UInt8]) {
    (bytes(index), leaf)
  }

  /// What the packet path adds to a checksum for the real server 10.40.0.`octet`.
  private static func delta(_ octet: UInt8) -> UInt16 {
    Checksum.delta(
      from: IPAddress("10.40.0.1")!, to: IPAddress(octets: [10, 40, 0, octet]))
  }

  /// What tables were called in 1.0.0.
  private static let formerNames = [
    "slot_of_address": "real_server_ids", "round_position": "cursor",
  ]

  /// Makes the maps. The descriptors are the caller's.
  func descriptors() throws -> [(name: String, descriptor: FileDescriptor)] {
    let made = try maps.sorted { $0.key < $1.key }.map { name, map in
      let made = try BPFMap(
        map.kind, keySize: map.keySize, leafSize: map.leafSize, capacity: map.capacity,
        flags: map.flags)
      for (key, leaf) in map.entries {
        let key = key + [UInt8](repeating: 0, count: max(0, map.keySize - key.count))
        // A per-CPU map's entry is as long as there are CPUs.
        let leaf = leaf + [UInt8](repeating: 0, count: 4_096)
        try? made.update(key, leaf)
      }
      let isFormer = maps["control"]?.leafSize == 4
      return ("\(isFormer ? Self.formerNames[name] ?? name : name).\(number)", made)
    }
    let program = hasProgram ? try Self.programs.loadXDPProgram("pass") : nil
    for (_, map) in made {
      try program?.bind(Table(adopting: FileDescriptor(rawValue: try map.duplicate())))
    }
    return try made.map { ($0, FileDescriptor(rawValue: try $1.duplicate())) }
      + (program.map { [("program.\(number)", try $0.withDescriptor { try $0.duplicate() })] } ?? [])
  }

  /// Makes one program after the other. Used by suites that are serialized.
  private nonisolated(unsafe) static let programs = try! module(passSource)
}
