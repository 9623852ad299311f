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

  /// IPv4, for at most two real servers, both of which are listed, and 64 associations.
  ///
  /// - Parameter layout: the layouts' version: 1 for ulb 1.0.0's.
  init(bank: UInt32 = 1, layout: UInt32 = 3) {
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
    maps.merge(layout < 3 ? Self.former(bank, layout) : Self.present(bank, layout)) { $1 }
  }

  /// What has changed since, as it is.
  private static func present(_ bank: UInt32, _ layout: UInt32) -> [String: Map] {
    let (listed, secret): (UInt16, UInt64) = (2, 0x0123_4567_89ab_cdef)
    func server(_ octet: UInt8) -> [UInt8] {
      [10, 40, 0, octet] + bytes(delta(octet)) + bytes(listed)
    }
    return [
      "associations": Map(
        kind: .array, keySize: 4, leafSize: 64, capacity: 16, flags: Table.mappable,
        entries: (0..<16).map { entry($0, bytes(0x1234_5678_0102_0000 + UInt64($0 % 2))) }),
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
            [bank, layout, 64, 0].flatMap { bytes($0) }
              + [9, secret, secret, secret, secret, 0].flatMap { bytes($0) })
        ]),
    ]
  }

  /// What has changed since, as it was.
  private static func former(_ bank: UInt32, _ layout: UInt32) -> [String: Map] {
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
    return try made.map { ($0, FileDescriptor(rawValue: try $1.duplicate())) }
  }
}

@Suite("Kept objects", .serialized)
struct KeptObjectsTests {
  static let prefix = "The kept tables of set 1 are not used: "

  private func refusals(
    layout: UInt32 = 3, _ change: (inout KeptSet) -> Void
  ) throws -> [String] {
    var set = KeptSet(layout: layout)
    change(&set)
    let kept = KeptObjects(try set.descriptors())
    #expect(kept.tables == nil)
    return kept.refusals
  }

  /// Why a set is refused in which some octets of an entry are others.
  private func reason(
    layout: UInt32 = 3, _ name: String, entry: Int = 0, at offset: Int = 0, _ octets: [UInt8]
  ) throws -> String? {
    let refusals = try refusals(layout: layout) {
      $0.maps[name]!.entries[entry].leaf
        .replaceSubrange(offset..<offset + octets.count, with: octets)
    }
    #expect(refusals.count == 1 && refusals[0].hasPrefix(Self.prefix), "\(refusals)")
    return refusals.first.map { String($0.dropFirst(Self.prefix.count)) }
  }

  @Test("a whole set is taken", arguments: [0, 1] as [UInt32])
  func whole(bank: UInt32) throws {
    let kept = KeptObjects(try KeptSet(bank: bank).descriptors())
    #expect(kept.refusals == [])
    guard case .present(let tables)? = kept.tables else {
      Issue.record("not taken")
      return
    }
    #expect(tables.family == .ipv4 && tables.servers.round == [0, 1])
    #expect(tables.servers.list == Configuration.sample().realServers)
    #expect(tables.maxAssociations == 64 && tables.roundPosition.read() == 1)
    #expect(tables.isOf(virtualServer: IPAddress("10.40.0.1")!))
    #expect(!tables.isOf(virtualServer: IPAddress("10.40.0.9")!))
    #expect(kept.unusedSet == 2)
    #expect(kept.staleNames(isReplaced: false) == [])
    #expect(kept.staleNames(isReplaced: true).count == 7)
  }

  @Test("a table that the set's family has not is left aside, and forgotten")
  func strange() throws {
    var set = KeptSet()
    set.maps["clients"] = KeptSet.Map(
      kind: .array, keySize: 4, leafSize: 128, capacity: 16, flags: Table.mappable)
    let kept = KeptObjects(try set.descriptors())
    #expect(kept.tables != nil && kept.refusals == [])
    #expect(kept.staleNames(isReplaced: false) == ["clients.1"])
  }

  @Test("a program uses a set as it is, or none of it")
  func fitting() throws {
    guard case .present(let tables)? = KeptObjects(try KeptSet().descriptors()).tables else {
      Issue.record("not taken")
      return
    }
    var fitting = Configuration.sample()
    fitting.maxRealServers = 2
    #expect(tables.fit(fitting))
    let addresses = (2..<10).map { IPAddress(octets: [10, 40, 0, $0]) }
    for (isFitting, change): (Bool, (inout Configuration) -> Void) in [
      (true, { $0.realServers = Array(addresses[6...]) }), (true, { $0.ports = [9] }),
      (false, { $0.maxAssociations = 63 }), (false, { $0.maxRealServers = 3 }),
      (false, { $0.virtualServer = addresses[7] }),
      // There are four slots, and two are listed.
      (false, { $0.realServers = Array(addresses[2..<5]) }),
    ] {
      var other = fitting
      change(&other)
      #expect(tables.fit(other) == isFitting, "\(other)")
    }
    #expect(!tables.fit(.sample(.ipv6)))
  }

  /// Each of these ended the daemon, or was believed.
  @Test("what cannot be trusted is refused with one line", arguments: [2, 3] as [UInt32])
  func refused(layout: UInt32) throws {
    #expect(
      try reason(layout: layout, "control", bytes(UInt32(7))) == "control tells of a bank 7.")
    #expect(
      try refusals(layout: layout) { $0.maps["round_position"] = nil }
        == [Self.prefix + "they are not whole without round_position."])
    #expect(
      try refusals(layout: layout) { $0.maps["control"] = nil }
        == [Self.prefix + "they are not whole without control."])
    #expect(
      try reason(layout: layout, "rounds", bytes(UInt32.max))
        == "a round of 4294967295 turns is longer than rounds has room for.")
    #expect(
      try reason(layout: layout, "rounds", entry: 2, bytes(UInt32(9)))
        == "turn 1 of the round is of a slot without a real server: 9.")
    #expect(
      try reason(layout: layout, "rounds", bytes(UInt32(1)))
        == "a listed real server has no turn in the round.")
    #expect(
      try reason(layout: layout, "real_servers", entry: 1, [10, 40, 0, 2])
        == "real_servers has 10.40.0.2 in two slots.")
    let sizes = try refusals(layout: layout) { $0.maps["rounds"]!.capacity = 1 }
    #expect(sizes.first?.hasPrefix(Self.prefix + "their sizes do not fit together: ") == true)
    let noPreallocation: UInt32 = 1
    for change: (inout KeptSet) -> Void in [
      { $0.maps["associations"] = .init(kind: .hash, keySize: 8, leafSize: 8, capacity: 64) },
      { $0.maps["associations"] = .init(kind: .hash, keySize: 12, leafSize: 8, capacity: 64) },
      { $0.maps["associations"]!.leafSize = 16 }, { $0.maps["real_servers"]!.capacity = 7 },
      { $0.maps["slot_of_address"]!.capacity = 400_000 },
      { $0.maps["round_position"]!.capacity = 2 },
      { $0.maps["slot_of_address"]!.flags = noPreallocation },
      { $0.maps["slot_of_address"]!.keySize = 5 },
    ] {
      #expect(try refusals(layout: layout, change).count == 1)
    }
  }

  @Test("what cannot be trusted of today's layouts")
  func refusedOfToday() throws {
    #expect(
      try reason("control", at: 4, bytes(UInt32(4)))
        == "they have layout version 4, this ulb knows 3.")
    #expect(try reason("control", at: 8, bytes(UInt32(0))) == "control tells of 0 associations.")
    for associations: UInt32 in [60, 65, .max] {
      #expect(
        try reason("control", at: 8, bytes(associations))
          == "associations has 16 buckets, and control tells of \(associations) associations.")
    }
    for word in 1...3 {
      #expect(
        try reason("control", at: 24 + 8 * word, bytes(UInt64(0))) == "control has no secret.")
    }
    #expect(
      try reason("real_servers", entry: 1, at: 6, bytes(UInt16(3)))
        == "slot 1 of real_servers is in no state that there is: 3.")
    for name in ["associations", "control"] {
      #expect(
        try refusals { $0.maps[name]!.flags = 0 } == [
          Self.prefix + "\(name) is of type 2 with 4 + 64 bytes and flags 0, "
            + "not of type 2 with 4 + 64 bytes and flags 1024."
        ])
    }
    // The kernel writes an entry for each CPU, over whatever is behind the room for one.
    let perCPU = try refusals {
      $0.maps["control"]!.kind = .perCPUArray
      $0.maps["control"]!.flags = 0
    }
    #expect(
      perCPU == [
        Self.prefix + "control is of type 6 with 4 + 64 bytes and flags 0, "
          + "not of type 2 with 4 + 64 bytes and flags 1024."
      ])
    #expect(try refusals { $0.maps["insertions"] = nil }.count == 1)
    #expect(try refusals { $0.maps["insertions"]!.capacity = 2 }.count == 1)
    #expect(try refusals { $0.maps["control"]!.capacity = 2 }.count == 1)
  }

  @Test("what cannot be trusted of former layouts")
  func refusedOfFormer() throws {
    #expect(
      try reason(layout: 2, "real_servers", entry: 1, at: 4, [9])
        == "slot 1 of real_servers has two generations.")
    for version: UInt32 in [0, 1, 3, .max] {
      #expect(
        try reason(layout: 2, "control", at: 4, bytes(version))
          == "they have the layout of version 2, and say they have that of \(version).")
    }
    // A control of 1.0.0 or of version 2 beside tables that are not.
    for layout: UInt32 in 1...2 {
      let mixed = try refusals { $0.maps["control"] = KeptSet(layout: layout).maps["control"] }
      #expect(mixed.count == 1, "\(mixed)")
    }
  }

  @Test(
    "names that are not ours",
    arguments: [
      "9223372036854775807", "-1", "0", "01", "+1", "", "1.1", "99999999999999999999", "x",
    ])
  func names(number: String) throws {
    let refusals = try refusals { $0.number = number }
    #expect(refusals.count == 7)
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
      broken.maps["control"]!.entries[0].leaf[0] = 2
      for set in ["1", "2"] {
        let both = try kept(programOf: set, first: zero, second: one)
        let other = set == "1" ? "2" : "1"
        #expect(both.staleNames(isReplaced: false).filter { $0.hasSuffix(other) }.count == 7)
        #expect(both.unusedSet == 3)
      }
      #expect(try kept(programOf: "2", first: zero, second: broken).tables == nil)
      #expect(try kept(programOf: "2", first: broken, second: zero).tables != nil)
    }
  }

  /// The tables that ulb 1.0.0 has made, and those of the version after it.
  @Test("of former layouts no table is used, and each association is copied", arguments: 1...2)
  func formerLayouts(version: Int) throws {
    var configuration = Configuration.sample()
    configuration.maxRealServers = 2
    configuration.interface = "lo"
    let kept = KeptObjects(try KeptSet(layout: UInt32(version)).descriptors())
    #expect(kept.refusals == [] && kept.staleNames(isReplaced: true).count == 6)
    guard case .former? = kept.tables else {
      Issue.record("not taken as former tables")
      return
    }
    let handover = try compiling {
      try Handover(
        configuration, from: kept, store: Store(), report: { _ in }, warn: { _ in },
        progress: { _ in })
    }
    let dataPlane = handover.dataPlane
    #expect(handover.hasAssociations)
    #expect(dataPlane.configuration.realServers == configuration.realServers)
    #expect(dataPlane.roundPosition == 1)
    var servers: [Client: IPAddress] = [:]
    let reader = dataPlane.readAssociations()
    while let associations = reader.next() {
      for association in associations {
        servers[association.client] = reader.realServers[Int(association.realServer)]
      }
    }
    let expected = (0..<20 as Range<UInt8>).map { client in
      (
        Client(address: IPAddress(octets: [10, 50, 0, client]), port: 0x0102),
        configuration.realServers[Int(client % 2)]
      )
    }
    #expect(servers == Dictionary(uniqueKeysWithValues: expected))
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
        bank: .random(in: 0...1, using: &random), layout: .random(in: 1...3, using: &random))
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
      guard case .present(let present) = tables else { continue }
      #expect(present.servers.round.allSatisfy { present.servers.slots[Int($0)]?.isListed == true })
      let reader = try AssociationReader(
        AssociationTable(present.tables), slots: present.servers.slots, family: present.family)
      while reader.next() != nil {}
    }
    #expect(taken > 100 && taken < 400, "\(taken)")
    #expect(BPFObjects.held(by: getpid()) == before)
  }
}
