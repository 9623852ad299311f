// What a new process takes from the table of the one before: who fits, in the order of use, and what
// clients do between the two steps.
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Copy of associations")
struct AssociationCopyTests {
  private typealias Key = IPv6ClientKey

  private static let servers = (1...5).map { IPAddress("2001:db8::\($0)")! }

  /// Servers 3 to 1 in slots 0 to 2.
  private static let plan = {
    var plan = ServicePlan()
    let configuration = Configuration(
      interface: "one", virtualServer: IPAddress("2001:db8::ff")!,
      realServers: [servers[2], servers[1], servers[0]], ports: [5683])
    _ = try! plan.apply(configuration, mayGrow: true)
    return plan
  }()

  /// A table and its clients' servers in slots 0 to 4.
  private struct Step {
    let former, next: SharedAssociations
    var copy: AssociationCopy<SharedFormerAssociations<Key>>
    var progress: [String] { log.lines }
    private let log = Log()

    private final class Log { var lines: [String] = [] }

    init(from former: SharedAssociations, maxAssociations: Int) throws {
      self.former = former
      next = try SharedAssociations(
        .ipv6, maxAssociations: UInt32(maxAssociations), secret: (11, 13, 17, 19))
      let log = log
      copy = AssociationCopy(
        from: SharedFormerAssociations(
          former.table,
          SlotTranslation(
            AssociationCopyTests.servers.map { SlotPlan.Member(virtualServer: 0, address: $0) },
            to: AssociationCopyTests.plan, .ipv6)),
        to: next.table, owners: AssociationCopyTests.plan.owners(of: .ipv6)
      ) { log.lines.append($0) }
    }

    /// The new table's clients, the last used first.
    var clients: [Key] { next.entries(Key.self).sorted { $0.rank < $1.rank }.map(\.client) }
  }

  private func former(maxAssociations: Int) throws -> SharedAssociations {
    let tables = try SharedAssociations(.ipv6, maxAssociations: UInt32(maxAssociations))
    tables.advanceEpoch(by: 1_000)
    return tables
  }

  @Test("all that fit are copied, with their servers and ages", arguments: [1_000, 5_000])
  func larger(maxAssociations: Int) throws {
    let former = try former(maxAssociations: 1_000)
    let entries = (0..<1_000).map { number in
      Entry<Key>(number, slot: UInt16(number % 5), rank: UInt8(number / 10))
    }
    former.insert(entries)
    former.table.control.putInForce(bank: 1)
    var step = try Step(from: former, maxAssociations: maxAssociations)
    try step.copy.copyWhatFits()
    #expect(try step.copy.copyRest() == 600)
    for entry in entries {
      let expected =
        entry.slot < 3 ? Entry(client: entry.client, slot: 2 - entry.slot, rank: entry.rank) : nil
      #expect(step.next.table.find(entry.client) == expected)
      #expect(former.table.find(entry.client) == entry)
    }
    #expect(step.progress.contains("600 associations copied, the program of before serves"))
    #expect(step.progress.last == "600 associations copied")
  }

  @Test("where not all fit, those that were used last are copied")
  func smaller() throws {
    let former = try former(maxAssociations: 4_000)
    let ages = Array(0...99 as ClosedRange<UInt8>)
    // In no order of numbers.
    former.insert((0..<4_000).map { Entry<Key>($0, rank: ages[$0 * 7_919 % 4_000 / 40]) })
    var step = try Step(from: former, maxAssociations: 1_000)
    try step.copy.copyWhatFits()
    let count = try step.copy.copyRest()
    let copied = step.next.entries(Key.self)
    #expect(count == copied.count && (1_700...1_750).contains(count))
    // Each age has 40 clients, so that there is room for 43 ages; where a client's buckets are
    // crowded, that of another has some left.
    let counts = Dictionary(grouping: copied, by: \.rank).mapValues(\.count)
    for age in 0..<25 as Range<UInt8> { #expect(counts[age] == 40, "\(age)") }
    #expect(copied.count { $0.rank < 43 } > 43 * 40 * 95 / 100)
  }

  @Test("what clients do between the steps is copied too")
  func meanwhile() throws {
    let former = try former(maxAssociations: 1_000)
    former.insert((0..<500).map { Entry<Key>($0, rank: 50) })
    var step = try Step(from: former, maxAssociations: 1_001)
    try step.copy.copyWhatFits()
    // Eight epochs, in which some speak and others come.
    for number in 0..<80 {
      if number.isMultiple(of: 10) { former.advanceEpoch() }
      former.use(Key(number))
      former.use(Key(1_000 + number), slot: 2)
    }
    // With the new program, one of those has been given another server.
    step.next.use(Key(1_007), slot: 1)
    #expect(try step.copy.copyRest() == 579)
    func age(_ number: Int) -> UInt8? { step.next.table.find(Key(number))?.rank }
    for number in 0..<500 {
      #expect(age(number) == (number < 80 ? UInt8(7 - number / 10) : 58), "\(number)")
    }
    for number in 1_000..<1_080 where number != 1_007 {
      let expected = Entry<Key>(number, slot: 0, rank: UInt8(7 - (number - 1_000) / 10))
      #expect(step.next.table.find(Key(number)) == expected)
    }
    #expect(step.next.table.find(Key(1_007))?.slot == 1)
  }

  @Test("of a large table the last used come into a single bucket, in their order")
  func intoSingle() throws {
    let former = try former(maxAssociations: 1_000)
    former.insert((0..<1_000).map { Entry<Key>($0, rank: UInt8(($0 * 37 + 5) % 128)) })
    for (age, number) in [700, 30, 512, 4, 99].enumerated() {
      let place = former.table.find(former.table.hash(Key(number)))!
      former.table.forget(Key(number))
      former.put(Key(number), slot: 1, in: place)
      former.table.bucket(place).setStamp(
        place.index, former.table.control.epoch &- UInt8(age))
    }
    for number in 0..<1_000 where ![700, 30, 512, 4, 99].contains(number) {
      if former.table.find(Key(number))!.rank < 10 { former.table.forget(Key(number)) }
    }
    var step = try Step(from: former, maxAssociations: 4)
    try step.copy.copyWhatFits()
    #expect(step.clients == [700, 30, 512, 4].map { Key($0) })
    #expect(try step.copy.copyRest() == 4)
    #expect(step.clients == [700, 30, 512, 4].map { Key($0) })
  }

  @Test("a single bucket's clients keep their order", arguments: [1, 3, 7, 100])
  func fromSingle(maxAssociations: Int) throws {
    let former = try former(maxAssociations: 7)
    for number in [3, 1, 4, 5, 9, 2, 6, 4] { former.use(Key(number)) }
    var step = try Step(from: former, maxAssociations: maxAssociations)
    try step.copy.copyWhatFits()
    let before = [4, 6, 2, 9, 5, 1, 3].prefix(maxAssociations).map { Key($0) }
    #expect(step.clients == before)
    // The clients of 9 and 3 speak, one comes, and the client of 1 is forgotten for it.
    for number in [9, 3, 8] { former.use(Key(number)) }
    let count = try step.copy.copyRest()
    var after = [8, 3, 9, 4, 6, 2, 5].prefix(maxAssociations).map { Key($0) }
    // Where there is room, who was forgotten by the former table stays.
    if maxAssociations == 100 { after.append(Key(1)) }
    #expect(step.clients == after)
    #expect(count == after.count)
  }

  @Test("who has come to a single bucket meanwhile stays there")
  func intoSingleMeanwhile() throws {
    let former = try former(maxAssociations: 7)
    for number in 1...3 { former.use(Key(number)) }
    var step = try Step(from: former, maxAssociations: 4)
    try step.copy.copyWhatFits()
    for number in 4...5 { former.use(Key(number)) }
    step.next.use(Key(6))
    #expect(try step.copy.copyRest() == 3)
    #expect(step.clients == [6, 5, 4, 3].map { Key($0) })
  }

  @Test("who comes while a full table is copied is newer than all of it")
  func lateIntoFull() throws {
    let former = try former(maxAssociations: 400)
    former.insert((0..<400).map { Entry<Key>($0, rank: 3) })
    var step = try Step(from: former, maxAssociations: 100)
    try step.copy.copyWhatFits()
    for number in 1_000..<1_010 { former.use(Key(number)) }
    _ = try step.copy.copyRest()
    for number in 1_000..<1_010 {
      #expect(step.next.table.find(Key(number)) == Entry(number, slot: 1, rank: 0))
    }
  }
}
