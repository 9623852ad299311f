// Descriptors that a former process is said to have kept: what is whole is taken, all else refused.
import BCC
import CLayout
import Foundation
import LoadBalancing
import SystemPackage
import TestSupport
import Testing

@testable import DataPlane

@Suite("Kept objects", .serialized)
struct KeptObjectsTests {
  static let prefix = "The kept tables of set 1 are not used: "

  private func refusals(
    layout: UInt32 = 5, _ change: (inout KeptSet) -> Void
  ) throws -> [String] {
    var set = KeptSet(layout: layout)
    change(&set)
    let kept = KeptObjects(try set.descriptors())
    #expect(kept.tables == nil)
    return kept.refusals
  }

  /// Why a set is refused in which some octets of an entry are others.
  private func reason(
    layout: UInt32 = 5, _ name: String, entry: Int = 0, at offset: Int = 0, _ octets: [UInt8]
  ) throws -> String? {
    let refusals = try refusals(layout: layout) {
      $0.maps[name]!.entries[entry].leaf
        .replaceSubrange(offset..<offset + octets.count, with: octets)
    }
    #expect(refusals.count == 1 && refusals[0].hasPrefix(Self.prefix), "\(refusals)")
    return refusals.first.map { String($0.dropFirst(Self.prefix.count)) }
  }

  private func present(_ set: KeptSet) throws -> PresentTables {
    let kept = KeptObjects(try set.descriptors())
    #expect(kept.refusals == [])
    guard case .present(let tables)? = kept.tables else {
      throw Unavailable(description: "not taken")
    }
    return tables
  }

  @Test("a whole set is taken", arguments: [0, 1] as [UInt32])
  func whole(bank: UInt32) throws {
    let tables = try present(KeptSet(bank: bank))
    #expect(tables.families == [.ipv4] && tables.maxAssociations == [.ipv4: 64])
    #expect(
      tables.virtualServers == [
        0: .init(name: nil, family: .ipv4), 3: .init(name: "other", family: .ipv4),
      ])
    #expect((0...3).map { tables.roundPositions.read($0) } == [1, 0, 0, 0])
    func slot(_ virtualServer: UInt8, _ octet: UInt8) -> SlotPlan.Slot {
      let address = IPAddress(octets: [10, 40, 0, octet])
      return SlotPlan.Slot(
        member: SlotPlan.Member(virtualServer: virtualServer, address: address), state: .up)
    }
    #expect(tables.slots == [.ipv4: [slot(0, 2), slot(0, 3), slot(3, 2), nil]])
    let kept = KeptObjects(try KeptSet(bank: bank).descriptors())
    #expect(kept.unusedNumber == 2)
    #expect(kept.names == kept.namesInForce.all && kept.names.count == 10)
  }

  @Test("states of real servers are told, and who has left leaves slots")
  func states() throws {
    var set = KeptSet()
    for (state, (expected, virtualServer)) in [
      (1, (nil, 0)), (1, (nil, 9)), (2, (.draining, 0)), (3, (.up, 0)),
    ] as [(UInt8, (RealServer.State?, UInt8))] {
      set.maps["real_servers_v4"]!.entries[1].leaf[2] = state
      set.maps["real_servers_v4"]!.entries[1].leaf[3] = virtualServer
      let slot = try present(set).slots[.ipv4]?[1]
      #expect(slot?.state == expected && slot?.member.virtualServer == virtualServer)
    }
  }

  @Test("a table that the set's program has not is left aside, and forgotten")
  func strange() throws {
    var others = try KeptSet().descriptors()
    let stray = others.remove(at: try #require(others.firstIndex { $0.name == "rounds.1" }))
    for other in others { try other.descriptor.close() }
    let kept = KeptObjects(try KeptSet().descriptors() + [("rounds.7", stray.descriptor)])
    #expect(kept.tables != nil && kept.refusals == [])
    #expect(kept.names.subtracting(kept.namesInForce.all) == ["rounds.7"])
    #expect(kept.unusedNumber == 8)
  }

  @Test("association tables belong to a program whatever their number")
  func otherNumber() throws {
    let kept = KeptObjects(
      try KeptSet().descriptors().map { name, descriptor in
        (name.replacing("_v4.1", with: "_v4.5"), descriptor)
      })
    #expect(kept.tables != nil && kept.refusals == [])
    let tables = TableName.associations(of: .ipv4).map { kept.namesInForce.tables[$0] }
    #expect(tables.allSatisfy { $0?.hasSuffix(".5") == true })
    #expect(kept.unusedNumber == 6)
  }

  @Test("a set that was stored in part is not used")
  func partial() throws {
    for name in KeptSet().maps.keys where name != "control_v4" {
      #expect(
        try refusals { $0.maps[name] = nil }
          == [Self.prefix + "they are not whole without \(name)."])
    }
    #expect(
      try refusals { $0.maps["control_v4"] = nil }
        == [Self.prefix + "they are not whole without a control of some family."])
    #expect(
      try refusals { $0.hasProgram = false }
        == ["The kept tables are not used: none of their programs was kept."])
    let other = try refusals { $0.maps = [:] }
    #expect(other == [Self.prefix + "they are not whole without a control of some family."])
    let twice = KeptObjects(try KeptSet().descriptors() + KeptSet().descriptors())
    #expect(twice.tables == nil)
    #expect(twice.refusals == [Self.prefix + "its program is there twice."])
  }

  /// Each of these ended the daemon, or was believed.
  @Test(
    "what cannot be trusted of former layouts is refused with one line",
    arguments: [2, 3] as [UInt32])
  func refusedOfFormer(layout: UInt32) throws {
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
    for version: UInt32 in [0, 1, 4, .max] {
      #expect(
        try reason(layout: layout, "control", at: 4, bytes(version))
          == "they have the layout of version \(layout), and say they have that of \(version).")
    }
  }

  @Test("what cannot be trusted of the versions before 3")
  func refusedOfHashed() throws {
    #expect(
      try reason(layout: 2, "real_servers", entry: 1, at: 4, [9])
        == "slot 1 of real_servers has two generations.")
    // A control of 1.0.0 or of version 2 beside tables that are not.
    for layout: UInt32 in 1...2 {
      let mixed = try refusals(layout: 3) {
        $0.maps["control"] = KeptSet(layout: layout).maps["control"]
      }
      #expect(mixed.count == 1, "\(mixed)")
    }
  }

  /// Buckets and their control are looked through alike from version 3 on.
  @Test("what cannot be trusted of an association table", arguments: [3, 4, 5] as [UInt32])
  func refusedBuckets(layout: UInt32) throws {
    let suffix = layout >= 4 ? "_v4" : ""
    let (control, buckets) = ("control\(suffix)", "associations\(suffix)")
    #expect(try reason(layout: layout, control, bytes(UInt32(7))) == "control tells of a bank 7.")
    #expect(
      try reason(layout: layout, control, at: 8, bytes(UInt32(0)))
        == "control tells of 0 associations.")
    for associations: UInt32 in [60, 65, .max] {
      #expect(
        try reason(layout: layout, control, at: 8, bytes(associations))
          == "\(buckets) has 16 buckets, and control tells of \(associations) associations.")
    }
    for word in 1...3 {
      #expect(
        try reason(layout: layout, control, at: 24 + 8 * word, bytes(UInt64(0)))
          == "control has no secret.")
    }
    #expect(
      try refusals(layout: layout) { $0.maps[buckets]!.flags = 0 } == [
        Self.prefix + "\(buckets) is of type 2 with 4 + 64 bytes and flags 0, "
          + "not of type 2 with 4 + 64 bytes and flags 1024."
      ])
    if layout != 4 {
      // Of version 4 nobody asks for it.
      let counting = layout < 4 ? "insertions" : "admissions_v4"
      #expect(try refusals(layout: layout) { $0.maps[counting] = nil }.count == 1)
      #expect(try refusals(layout: layout) { $0.maps[counting]!.capacity = 2 }.count == 1)
    }
    #expect(try refusals(layout: layout) { $0.maps[control]!.capacity = 2 }.count == 1)
  }

  @Test("what cannot be trusted of today's layouts")
  func refusedOfToday() throws {
    #expect(
      try reason("control_v4", at: 4, bytes(UInt32(6)))
        == "they have layout version 6, this ulb knows 5.")
    #expect(
      try reason("real_servers_v4", entry: 1, at: 2, [4])
        == "slot 1 of real_servers_v4 is in no state that there is: 4.")
    for number: UInt8 in [1, 127, 255] {
      #expect(
        try reason("real_servers_v4", entry: 1, at: 3, [number])
          == "slot 1 of real_servers_v4 is of no virtual server that there is: \(number).")
    }
    #expect(
      try reason("real_servers_v4", entry: 1, at: 8, [10, 40, 0, 2])
        == "real_servers_v4 has 10.40.0.2 in two slots.")
    // The kernel writes an entry for each CPU, over whatever is behind the room for one.
    let perCPU = try refusals {
      $0.maps["control_v4"]!.kind = .perCPUArray
      $0.maps["control_v4"]!.flags = 0
    }
    #expect(
      perCPU == [
        Self.prefix + "control_v4 is of type 6 with 4 + 64 bytes and flags 0, "
          + "not of type 2 with 4 + 64 bytes and flags 1024."
      ])
    for (name, capacity) in [
      ("real_servers_v4", 7), ("slot_of_address_v4", 5), ("virtual_servers", 255),
      ("round_position", 1), ("virtual_server_names", 64),
    ] {
      let sizes = try refusals { $0.maps[name]!.capacity = capacity }
      #expect(
        sizes.first?.hasPrefix(Self.prefix + "their sizes do not fit together: ") == true,
        "\(sizes)")
    }
  }

  @Test("names and numbers of virtual servers that cannot be")
  func forgedNames() throws {
    for name: [UInt8] in [[64, 65], [255], [3, 65, 10, 66], [2, 0xc3, 0x28], [1, 0]] {
      #expect(
        try reason("virtual_server_names", name)
          == "virtual_server_names has one that cannot be a name.")
    }
    #expect(try reason("virtual_server_names", [0]) == "virtual server 3 has no name.")
    func named(_ number: UInt32, _ name: String) -> (key: [UInt8], leaf: [UInt8]) {
      (bytes(number), [UInt8(name.utf8.count)] + Array(name.utf8))
    }
    #expect(
      try refusals { $0.maps["virtual_server_names"]!.entries.append(named(0, "x")) }
        == [Self.prefix + "virtual server 0 has a name: x."])
    #expect(
      try refusals { set in
        let servers = set.maps["virtual_servers"]!.entries
        set.maps["virtual_servers"]!.entries.append((bytes(UInt32(11)), servers[1].leaf))
        set.maps["virtual_server_names"]!.entries.append(named(5, "other"))
      } == [Self.prefix + "virtual server other is there twice."])
    let crowd = try refusals { set in
      let leaf = set.maps["virtual_servers"]!.entries[1].leaf
      for number in 4..<67 as Range<UInt32> {
        set.maps["virtual_servers"]!.entries.append((bytes(2 * number + 1), leaf))
        set.maps["virtual_server_names"]!.entries.append(named(number, "v\(number)"))
      }
    }
    #expect(crowd == [Self.prefix + "they tell of 65 virtual servers."])
    // A number that is nobody's in the tables says nothing.
    var nobody = KeptSet()
    nobody.maps["virtual_server_names"]!.entries.append(named(9, "nobody"))
    #expect(try present(nobody).virtualServers.count == 2)
  }

  @Test(
    "names that are not ours",
    arguments: [
      "9223372036854775807", "-1", "0", "01", "+1", "", "1.1", "99999999999999999999", "x",
    ])
  func names(number: String) throws {
    let refusals = try refusals { $0.number = number }
    #expect(refusals.count == 10)
    #expect(
      refusals.first
        == "The kept descriptor 'admissions_v4.\(number)' is not used: "
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

  private static let both = ["1", "2"]

  @Test("of two sets the one of the attached program, and none in its place", arguments: both)
  func twoSets(inForce: String) throws {
    func kept(_ first: KeptSet, _ second: KeptSet) throws -> KeptObjects {
      let wire = try Wire()
      var second = second
      second.number = "2"
      var descriptors = try first.descriptors() + second.descriptors()
      let program = descriptors.first { $0.name == "program.\(inForce)" }!.descriptor
      let link = try wire.run {
        try Link(
          program: Program(adopting: try program.duplicate()),
          interfaceIndex: if_nametoindex("one"), mode: .native)
      }
      descriptors.append(("link", try link.withDescriptor { try $0.duplicate() }))
      return KeptObjects(descriptors)
    }
    var broken = KeptSet(bank: 1)
    broken.maps["control_v4"]!.entries[0].leaf[0] = 2
    let both = try kept(KeptSet(bank: 0), KeptSet(bank: 1))
    #expect(both.tables != nil && both.namesInForce.all.count == 10)
    #expect(both.namesInForce.all.allSatisfy { $0.hasSuffix(".\(inForce)") })
    #expect(both.unusedNumber == 3)
    let sets = inForce == "1" ? (KeptSet(), broken) : (broken, KeptSet())
    #expect(try kept(sets.0, sets.1).tables != nil)
    #expect(try kept(sets.1, sets.0).tables == nil)
  }

  @Test("of two sets of version 3 the one of the attached program, and none in its place")
  func twoFormerSets() throws {
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
            ("program.\(set)", try program.withDescriptor { try $0.duplicate() }),
          ])
      }
      let whole = KeptSet(layout: 3)
      var broken = whole
      broken.maps["control"]!.entries[0].leaf[0] = 2
      for set in Self.both {
        let both = try kept(programOf: set, first: whole, second: whole)
        #expect(both.tables != nil && both.namesInForce.all.isEmpty && both.unusedNumber == 3)
      }
      #expect(try kept(programOf: "2", first: whole, second: broken).tables == nil)
      #expect(try kept(programOf: "2", first: broken, second: whole).tables != nil)
    }
  }

  /// The tables that ulb 1.0.0 has made, and those of the versions after it.
  @Test("of former layouts no table is used, and each association is copied", arguments: 1...3)
  func formerLayouts(version: Int) throws {
    var configuration = Configuration.sample()
    configuration.maxRealServers = 2
    configuration.interface = "lo"
    let kept = KeptObjects(try KeptSet(layout: UInt32(version)).descriptors())
    #expect(kept.refusals == [] && kept.names.count == (version < 3 ? 6 : 7))
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
    #expect(dataPlane.roundPosition() == 1)
    let clients: [(octets: [UInt8], port: UInt16)] =
      version < 3
      ? (0..<20 as Range<UInt8>).map { ([10, 50, 0, $0], 0x0102) }
      : (0..<16 as Range<UInt8>).map { ([0x78, 0x56, 0x34, 0x12 + $0], 0x0201) }
    let expected = clients.enumerated().map { index, client in
      (
        ServedClient(Client(address: IPAddress(octets: client.octets), port: client.port)),
        configuration.realServers[index % 2]
      )
    }
    #expect(dataPlane.servers() == Dictionary(uniqueKeysWithValues: expected))
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
        bank: .random(in: 0...1, using: &random), layout: .random(in: 1...5, using: &random))
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
      for family in present.families {
        let table = try AssociationTable(present.associations[family]!)
        let owners = SlotOwners((present.slots[family] ?? []).map { $0?.member.virtualServer })
        table.forEach(IPv4ClientKey.self, inBuckets: 0..<table.bucketCount, owners: owners) { _ in }
      }
    }
    #expect(taken > 100 && taken < 400, "\(taken)")
    #expect(BPFObjects.held(by: getpid()) == before)
  }
}
