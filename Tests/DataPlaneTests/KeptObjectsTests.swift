// Descriptors that a former process is said to have kept: what is whole is taken, all else refused.
import BCC
import CLayout
import Foundation
import LoadBalancing
import SystemPackage
import TestSupport
import Testing

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

  /// IPv4, for at most two real servers, both of which are listed.
  ///
  /// - Parameter layout: the layouts' version: 1 for ulb 1.0.0's.
  init(bank: UInt32 = 1, layout: UInt32 = 2) {
    func server(_ octet: UInt8, generation: UInt32) -> [UInt8] {
      let address: [UInt8] = [10, 40, 0, octet]
      let delta = Checksum.delta(
        from: IPAddress("10.40.0.1")!, to: IPAddress(octets: address))
      return address + bytes(generation) + bytes(generation) + bytes(delta) + bytes(UInt16(0))
    }
    func entry(_ index: UInt32, _ leaf: [UInt8]) -> (key: [UInt8], leaf: [UInt8]) {
      (bytes(index), leaf)
    }
    maps = [
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
      "slot_of_address": Map(
        kind: .hash, keySize: 4, leafSize: 4, capacity: 4,
        entries: [([10, 40, 0, 2], bytes(UInt32(0))), ([10, 40, 0, 3], bytes(UInt32(1)))]),
      "rounds": Map(
        kind: .array, keySize: 4, leafSize: 4, capacity: 6,
        entries: [
          entry(3 * bank, bytes(UInt32(2))), entry(3 * bank + 1, bytes(UInt32(0))),
          entry(3 * bank + 2, bytes(UInt32(1))),
        ]),
      "round_position": Map(
        kind: .array, keySize: 4, leafSize: 8, capacity: 1, entries: [entry(0, bytes(UInt64(1)))]),
      "control": Map(
        kind: .array, keySize: 4, leafSize: layout == 1 ? 4 : 8, capacity: 1,
        entries: [entry(0, bytes(bank) + bytes(layout))]),
    ]
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
    return try made.map { ($0, FileDescriptor(rawValue: try $1.duplicate())) }
  }
}

@Suite("Kept objects", .serialized)
struct KeptObjectsTests {
  private func refusals(_ change: (inout KeptSet) -> Void) throws -> [String] {
    var set = KeptSet()
    change(&set)
    let kept = KeptObjects(try set.descriptors())
    #expect(kept.tables == nil)
    return kept.refusals
  }

  @Test("a whole set is taken", arguments: [0, 1] as [UInt32])
  func whole(bank: UInt32) throws {
    let kept = KeptObjects(try KeptSet(bank: bank).descriptors())
    #expect(kept.refusals == [])
    let tables = try #require(kept.tables)
    #expect(tables.family == .ipv4 && tables.servers.round == [0, 1])
    #expect(tables.isOf(virtualServer: IPAddress("10.40.0.1")!))
    #expect(!tables.isOf(virtualServer: IPAddress("10.40.0.9")!))
    #expect(kept.unusedSet == 2)
    #expect(kept.staleNames(isReplaced: false) == [])
    #expect(kept.staleNames(isReplaced: true).count == 6)
  }

  /// Each of these ended the daemon, or was believed.
  @Test("what cannot be trusted is refused with one line")
  func refused() throws {
    func entry(_ name: String, _ index: Int, _ leaf: [UInt8]) throws -> [String] {
      try refusals { $0.maps[name]!.entries[index].leaf = leaf }
    }
    let prefix = "The kept tables of set 1 are not used: "
    #expect(
      try entry("control", 0, bytes(UInt32(7)) + bytes(UInt32(2))) == [
        prefix + "control tells of a bank 7."
      ])
    #expect(
      try refusals { $0.maps["round_position"] = nil } == [
        prefix + "they are not whole without round_position."
      ])
    #expect(
      try entry("rounds", 0, bytes(UInt32.max))
        == [prefix + "a round of 4294967295 turns is longer than rounds has room for."])
    #expect(
      try entry("rounds", 2, bytes(UInt32(9)))
        == [prefix + "turn 1 of the round is of a slot without a real server: 9."])
    #expect(
      try entry("rounds", 0, bytes(UInt32(1)))
        == [prefix + "a listed real server has no turn in the round."])
    let twice = try refusals {
      $0.maps["real_servers"]!.entries[1].leaf = $0.maps["real_servers"]!.entries[0].leaf
    }
    #expect(twice == [prefix + "real_servers has 10.40.0.2 in two slots."])
    let generations = try refusals { $0.maps["real_servers"]!.entries[1].leaf[4] = 9 }
    #expect(generations == [prefix + "slot 1 of real_servers has two generations."])
    // The kernel writes an entry for each CPU, over whatever is behind the room for one.
    let perCPU = try refusals { $0.maps["control"]!.kind = .perCPUArray }
    #expect(
      perCPU == [
        prefix + "control is of type 6 with 4 + 8 bytes and flags 0, "
          + "not of type 2 with 4 + 8 bytes and flags 0."
      ])
    let sizes = try refusals { $0.maps["rounds"]!.capacity = 1 }
    #expect(sizes.first?.hasPrefix(prefix + "their sizes do not fit together: ") == true)
    let noPreallocation: UInt32 = 1
    for change: (inout KeptSet) -> Void in [
      { $0.maps["associations"]!.kind = .hash }, { $0.maps["associations"]!.leafSize = 16 },
      { $0.maps["associations"]!.keySize = 12 }, { $0.maps["real_servers"]!.capacity = 7 },
      { $0.maps["slot_of_address"]!.capacity = 400_000 },
      { $0.maps["round_position"]!.capacity = 2 },
      { $0.maps["slot_of_address"]!.flags = noPreallocation },
    ] {
      #expect(try refusals(change).count == 1)
    }
  }

  @Test(
    "names that are not ours",
    arguments: [
      "9223372036854775807", "-1", "0", "01", "+1", "", "1.1", "99999999999999999999", "x",
    ])
  func names(number: String) throws {
    let refusals = try refusals { $0.number = number }
    #expect(refusals.count == 6)
    #expect(
      refusals.first
        == "The kept descriptor 'associations.\(number)' is not used: "
        + "ulb keeps nothing of that name.")
  }

  @Test("descriptors that are something else")
  func others() throws {
    func refusal(_ name: String, _ descriptor: Int32) -> String? {
      let kept = KeptObjects([(name, FileDescriptor(rawValue: descriptor))])
      #expect(kept.links.isEmpty && kept.tables == nil)
      #expect(fcntl(descriptor, F_GETFD) < 0)
      return kept.refusals.first
    }
    // The number of its type is that of an XDP link, and of an XDP program.
    func perCPUArray() throws -> Int32 {
      try BPFMap(.perCPUArray, keySize: 4, leafSize: 4, capacity: 1).duplicate()
    }
    let prefix = "The kept descriptor "
    #expect(refusal("link", try perCPUArray()) == prefix + "'link' is not used: it is no BPF link.")
    #expect(
      refusal("program.1", try perCPUArray())
        == prefix + "'program.1' is not used: it is no BPF program.")
    let null = { open("/dev/null", O_RDWR | O_CLOEXEC) }
    #expect(
      refusal("control.1", null()) == prefix + "'control.1' is not used: it is no BPF table.")
    #expect(
      refusal("stdin", null()) == prefix + "'stdin' is not used: ulb keeps nothing of that name.")
    let long = refusal(String(repeating: "x", count: 300_000), null())
    #expect((long?.count ?? .max) < 200)
    #expect(KeptObjects([("control.1", FileDescriptor(rawValue: -1))]).refusals.count == 1)
  }

  @Test("of two sets the one of the attached program, and none in its place")
  func twoSets() throws {
    let wire = try Wire()
    let program = try passProgram()
    try wire.run {
      let index = if_nametoindex("one")
      let link = try Link(program: program, interfaceIndex: index, mode: .native)
      func kept(programOf set: String, first: KeptSet, second: KeptSet) throws -> KeptObjects {
        var second = second
        second.number = "2"
        return KeptObjects(
          try first.descriptors() + second.descriptors() + [
            ("link", try link.withDescriptor { try $0.duplicate() }),
            (
              "program.\(set)",
              try program.withDescriptor { try $0.duplicate() }
            ),
          ])
      }
      let (zero, one) = (KeptSet(bank: 0), KeptSet(bank: 1))
      var broken = one
      broken.maps["control"]!.entries[0].leaf = bytes(UInt32(2)) + bytes(UInt32(2))
      for set in ["1", "2"] {
        let both = try kept(programOf: set, first: zero, second: one)
        let other = set == "1" ? "2" : "1"
        #expect(both.staleNames(isReplaced: false).filter { $0.hasSuffix(other) }.count == 6)
        #expect(both.unusedSet == 3)
      }
      #expect(try kept(programOf: "2", first: zero, second: broken).tables == nil)
      #expect(try kept(programOf: "2", first: broken, second: zero).tables != nil)
    }
  }

  @Test("of layouts that a program of today can use, or copy from, or must not touch")
  func layoutVersions() throws {
    var configuration = Configuration.sample()
    configuration.maxRealServers = 2
    configuration.interface = "lo"
    for version in 1...2 as ClosedRange<UInt32> {
      let kept = KeptObjects(try KeptSet(layout: version).descriptors())
      #expect(kept.tables?.fit(configuration) == (version == 2))
      let handover = try compiling {
        try Handover(
          configuration, from: kept, store: Store(), report: { _ in }, warn: { _ in },
          progress: { _ in })
      }
      let dataPlane = handover.dataPlane
      #expect(handover.hasAssociations)
      #expect(dataPlane.configuration.realServers == configuration.realServers)
      for client: UInt8 in 0..<20 {
        let key = former_flow_key_v4(
          address: IPAddress(octets: [10, 50, 0, client]).words.0,
          port: UInt16(0x0102).bigEndian, padding: 0)
        let word = try #require(
          try TypedTable<former_flow_key_v4, UInt64>(dataPlane.tables[.associations]).lookup(key))
        let slot = dataPlane.servers.slots[Int(former_association(word: word).server)]
        #expect(slot?.address == configuration.realServers[Int(client % 2)])
        #expect(slot?.generation == former_association(word: word).generation)
      }
      #expect(dataPlane.roundPosition == 1)
    }
    for version: UInt32 in [0, 1, 3, .max] {
      let refusals = try refusals {
        $0.maps["control"]!.entries[0].leaf = bytes(UInt32(0)) + bytes(version)
      }
      #expect(
        refusals == [
          "The kept tables of set 1 are not used: "
            + "they have layout version \(version), this ulb knows 2."
        ])
    }
  }

  /// One thing of a set made wrong, by chance.
  private func spoil(_ set: inout KeptSet, _ random: inout SeededNumbers) {
    let name = set.maps.keys.sorted().randomElement(using: &random)!
    var map = set.maps[name]!
    switch Int.random(in: 0..<7, using: &random) {
    case 0: map.kind = BPFMap.Kind.allCases.randomElement(using: &random)!
    case 1: map.keySize = map.kind == .array ? 4 : Int.random(in: 1...40, using: &random)
    case 2: map.leafSize = Int.random(in: 1...64, using: &random)
    case 3: map.capacity = Int.random(in: 1...70_000, using: &random)
    case 4:
      set.maps[name] = nil
      return
    default:
      guard let index = map.entries.indices.randomElement(using: &random) else { return }
      map.entries[index].leaf = map.entries[index].leaf.map { byte in
        Bool.random(using: &random) ? byte : UInt8.random(in: 0...255, using: &random)
      }
    }
    set.maps[name] = map
  }

  @Test("600 sets with things wrong, by chance, from fixed seeds")
  func fuzz() throws {
    let before = BPFObjects.held(by: getpid())
    let numbers = ["1", "2", "1000000000", "1000000001", "9223372036854775807", "-1", "0x1"]
    var taken = 0
    for seed in 0..<600 as Range<UInt64> {
      var random = SeededNumbers(seed: seed)
      var set = KeptSet(
        bank: .random(in: 0...1, using: &random), layout: .random(in: 1...2, using: &random))
      for _ in 0..<Int.random(in: 0...3, using: &random) { spoil(&set, &random) }
      if Int.random(in: 0..<10, using: &random) == 0 {
        set.number = numbers.randomElement(using: &random)!
      }
      var descriptors: [(name: String, descriptor: FileDescriptor)]
      // A few of these are no maps at all: the kernel refuses them.
      do { descriptors = try set.descriptors() } catch { continue }
      descriptors.shuffle(using: &random)
      if Int.random(in: 0..<10, using: &random) == 0 {
        // Names and objects changed about.
        let names = descriptors.map(\.name) + ["link", "program.1"]
        for index in descriptors.indices {
          descriptors[index].name = names.randomElement(using: &random)!
        }
      }
      let kept = KeptObjects(descriptors)
      #expect(kept.tables != nil || !kept.refusals.isEmpty, "seed \(seed)")
      guard let tables = kept.tables else { continue }
      taken += 1
      // What is believed can be worked with.
      #expect(tables.servers.round.allSatisfy { tables.servers.slots[Int($0)]?.isListed == true })
      let reader = try AssociationReader(
        tables.tables, slots: tables.servers.slots, family: tables.family)
      while try reader.next() != nil {}
    }
    #expect(taken > 100 && taken < 400, "\(taken)")
    #expect(BPFObjects.held(by: getpid()) == before)
  }
}
