// What is found by comparing the association tables with what they were.
import LoadBalancing
import Testing

@testable import DataPlane

@Suite("Found changes")
struct FoundChangeTests {
  private static let families = AddressFamily.allCases

  @Test("a client is told of when it is answered, promoted and led elsewhere", arguments: families)
  func classes(_ family: AddressFamily) throws {
    let compared = try ComparedAssociations()
    compared.begin()
    let client = compared.client(1, family)
    compared.use(client)
    #expect(compared.found() == [])
    compared.now += 70
    compared.use(client, as: .answered)
    #expect(compared.found() == [compared.association(client, 0, .answered)])
    compared.now += 70
    compared.use(client, as: .resident)
    #expect(compared.found() == [compared.association(client, 0, .resident)])
    compared.now += 70
    compared.use(client, 2, as: .resident)
    #expect(compared.found() == [compared.association(client, 2, .resident)])
    #expect(compared.found() == [])
  }

  @Test("a resident's use is told once an epoch, and what is held at the oldest age is none")
  func uses() throws {
    let compared = try ComparedAssociations()
    let client = compared.client(1, .ipv4)
    compared.use(client, as: .resident)
    compared.begin()
    compared.advance(.ipv4)
    compared.now += 1_000
    #expect(compared.found() == [])
    compared.use(client, as: .resident)
    #expect(compared.found() == [compared.association(client, 0, .resident)])
    compared.use(client, as: .resident)
    #expect(compared.found() == [])
    compared.advance(.ipv4, by: 40)
    // As hold_oldest() of the template has it.
    let table = compared.tables[.ipv4]!.table
    let place = compared.place(client)!
    let held = Stamp(.resident, isUnheard: false, epoch: table.control.promotionEpoch - 32)
    table.bucket(place).setStamp(place.index, held.octet)
    #expect(compared.found() == [])
  }

  @Test("of an answered client no use is told")
  func answered() throws {
    let compared = try ComparedAssociations()
    let client = compared.client(1, .ipv4)
    compared.use(client, as: .answered)
    compared.begin()
    let table = compared.tables[.ipv4]!.table
    let place = compared.place(client)!
    let stamp = table.bucket(place).stamp(place.index)
    table.bucket(place).setStamp(place.index, stamp ^ 1)
    #expect(compared.found() == [])
  }

  @Test("whom a real server wrote to first is told before it has sent")
  func unheard() throws {
    for family in Self.families {
      let compared = try ComparedAssociations()
      compared.begin()
      let client = compared.client(1, family)
      compared.use(client, 1, isUnheard: true)
      #expect(compared.found() == [compared.association(client, 1, .newcomer, isUnheard: true)])
      // What it sends may be anybody's, until it is answered.
      compared.use(client, 1)
      #expect(compared.found() == [compared.gone(client, .evicted)])
      compared.use(client, 1, as: .answered)
      #expect(compared.found() == [compared.association(client, 1, .answered)])
    }
  }

  @Test("in tables without classes all are told, and their uses", arguments: [3, 1_000])
  func withoutClasses(_ maxAssociations: Int) throws {
    for family in Self.families {
      let compared = try ComparedAssociations(
        maxAssociations: UInt32(maxAssociations), hasClasses: false)
      compared.begin()
      let (first, second) = (compared.client(1, family), compared.client(2, family))
      compared.use(first)
      #expect(compared.found() == [compared.association(first, 0, .newcomer)])
      compared.use(second, 1)
      #expect(compared.found() == [compared.association(second, 1, .newcomer)])
      compared.advance(family)
      compared.now += 500
      compared.use(first)
      #expect(compared.found() == [compared.association(first, 0, .newcomer)])
      compared.evict(second)
      #expect(compared.found() == [compared.gone(second, .evicted)])
    }
  }

  @Test("no more uses than there may be are told in a second, and the rest later")
  func manyUses() throws {
    let compared = try ComparedAssociations(maxAssociations: 5_000, hasClasses: false)
    let clients = (0..<3_000).map { compared.client($0, .ipv4) }
    for client in clients { compared.use(client) }
    compared.begin()
    compared.advance(.ipv4)
    compared.now = (compared.now / 1_000 + 1) * 1_000
    for client in clients { compared.use(client) }
    #expect(compared.found().count == 2_000)
    #expect(compared.found().count == 0)
    compared.now += 1_000
    #expect(compared.found().count == 1_000)
  }

  @Test("who is pushed out has gone, and who is no longer shared", arguments: families)
  func evicted(_ family: AddressFamily) throws {
    let compared = try ComparedAssociations()
    let clients = (1...4).map { compared.client($0, family) }
    for client in clients { compared.use(client, as: .resident) }
    compared.begin()
    compared.evict(clients[0])
    #expect(compared.found() == [compared.gone(clients[0], .evicted)])
    // Another has its place at once.
    let place = compared.place(clients[1])!
    compared.use(compared.client(50, family), in: place)
    #expect(compared.found() == [compared.gone(clients[1], .evicted)])
    compared.use(clients[2], as: .newcomer)
    #expect(compared.found() == [compared.gone(clients[2], .evicted)])
    // Of one that was shared by another, both are told.
    let last = compared.place(clients[3])!
    compared.use(compared.client(60, family), 1, as: .answered, in: last)
    #expect(
      Set(compared.found()) == [
        compared.gone(clients[3], .evicted),
        compared.association(compared.client(60, family), 1, .answered),
      ])
  }

  @Test("who is in its other bucket has not gone", arguments: families)
  func moved(_ family: AddressFamily) throws {
    let compared = try ComparedAssociations()
    let table = compared.tables[family]!.table
    for number in 0..<40 {
      let client = compared.client(number, family)
      let (first, second) = compared.hash(client).buckets(of: table.bucketCount)
      for (from, to) in [(first, second), (second, first)] {
        compared.use(client, as: .resident, in: AssociationTable.Place(bucket: from, index: 0))
        compared.begin()
        _ = compared.found()
        table.bucket(AssociationTable.Place(bucket: from, index: 0)).setWord(0, 0)
        compared.use(client, as: .resident, in: AssociationTable.Place(bucket: to, index: 0))
        #expect(compared.found() == [compared.association(client, 0, .resident)])
        compared.evict(client)
        #expect(compared.found() == [compared.gone(client, .evicted)])
      }
    }
  }

  @Test("what is no association yet is not told, nor what has no name yet")
  func pending() throws {
    let compared = try ComparedAssociations(hasClasses: false)
    compared.begin()
    let client = compared.client(1, .ipv6)
    let table = compared.tables[.ipv6]!.table
    let place = table.findFree(compared.hash(client))!
    let bucket = table.bucket(place)
    let tag = compared.hash(client).tag
    bucket.setWord(place.index, tag | UInt64(AssociationTable.pendingSlot))
    #expect(compared.found() == [])
    bucket.setWord(place.index, tag | UInt64(compared.slot(1, .ipv6)))
    #expect(compared.found() == [])
    IPv6ClientKey(client).note(place: place.index, names: table.names(place))
    #expect(compared.found() == [compared.association(client, 1, .newcomer)])
  }

  @Test("who is forgotten on request is told so, once, be it shared or not", arguments: families)
  func forgotten(_ family: AddressFamily) throws {
    let compared = try ComparedAssociations()
    let clients = (1...3).map { compared.client($0, family) }
    for client in clients { compared.use(client, as: .resident) }
    compared.use(clients[2], as: .newcomer)
    compared.begin()
    func forget(_ filter: AssociationFilter) {
      var forgetting = AssociationForgetting(compared.service, filter, compared.changes)
      while forgetting.next() != nil {}
    }
    forget(AssociationFilter(client: clients[0]))
    #expect(compared.found() == [compared.gone(clients[0], .forgotten)])
    forget(AssociationFilter(virtualServer: compared.label(family)))
    #expect(compared.found() == [compared.gone(clients[1], .forgotten)])
    compared.use(clients[2])
    forget(AssociationFilter(client: clients[2]))
    #expect(compared.found() == [compared.gone(clients[2], .forgotten)])
    // And comes again.
    compared.use(clients[0], 1, as: .answered)
    #expect(compared.found() == [compared.association(clients[0], 1, .answered)])
  }

  // MARK: Plans

  @Test("a slot that is another real server's has other clients")
  func reusedSlot() throws {
    let compared = try ComparedAssociations()
    let clients = (1...2).map { compared.client($0, .ipv4) }
    compared.use(clients[0], 0, as: .resident)
    compared.use(clients[1], 1, as: .resident)
    compared.begin()
    let cursor = compared.changes.log.end
    // The same words, with another meaning: as if all had been forgotten and had come again.
    var configuration = compared.configuration
    configuration.virtualServers[1].name = "lwm2m"
    try compared.put(configuration)
    var other = ServicePlan()
    _ = try other.apply(configuration, mayGrow: true)
    compared.service.publish(other, compared.tables.mapValues(\.table))
    let found = compared.found()
    #expect(compared.changes.log.end.generation == cursor.generation)
    let told = found.compactMap { change -> SharedAssociation? in
      if case .association(let association) = change { association } else { nil }
    }
    #expect(Set(told.map(\.client)) == Set(clients))
    #expect(Set(told.map(\.virtualServer)) == ["lwm2m"])
  }

  @Test("a virtual server that leaves takes its clients along")
  func leavingVirtualServer() throws {
    let compared = try ComparedAssociations()
    let client = compared.client(1, .ipv4)
    compared.use(client, as: .resident)
    compared.begin()
    let gone = compared.gone(client, .evicted)
    var configuration = compared.configuration
    configuration.virtualServers.remove(at: 1)
    try compared.put(configuration)
    #expect(compared.found() == [gone])
  }

  @Test("tables that are mapped anew are the same, and others are told anew")
  func exchangedTables() throws {
    let compared = try ComparedAssociations()
    compared.begin()
    let client = compared.client(1, .ipv4)
    compared.use(client, as: .resident)
    compared.publish()
    #expect(compared.found() == [compared.association(client, 0, .resident)])
    var reading = compared.changes.read(since: compared.changes.log.end)
    #expect(ComparedAssociations.lines(&reading).goesOn)
    let generation = compared.changes.log.end.generation
    compared.tables[.ipv4] = try SharedAssociations(
      .ipv4, maxAssociations: 2_000, hasClasses: true, secret: (3, 5, 7, 9))
    compared.publish()
    compared.use(client, 1, as: .resident)
    #expect(compared.found() == [])
    #expect(compared.changes.log.end.generation != generation)
    #expect(!ComparedAssociations.lines(&reading).goesOn)
    var next = compared.changes.read()
    let lines = ComparedAssociations.lines(&next).lines
    #expect(lines.contains { $0.contains(#""real_server":"10.41.0.2""#) })
  }

  // MARK: Readings

  @Test("a reading begins with the whole, and goes on from its cursor")
  func reading() throws {
    let compared = try ComparedAssociations()
    for family in Self.families {
      compared.use(compared.client(1, family), 1, as: .resident)
      compared.use(compared.client(2, family))
    }
    var reading = compared.changes.read()
    let (lines, goesOn) = ComparedAssociations.lines(&reading)
    let generation = compared.changes.log.end.generation
    #expect(goesOn)
    #expect(lines.first == #"{"cursor":"\#(generation).0","reset":true}"#)
    #expect(lines.last == #"{"cursor":"\#(generation).1"}"#)
    // When they were seen is not known.
    let written = Self.families.map { family in
      var text: [UInt8] = []
      var writer = AssociationChangeWriter()
      writer.append(
        compared.association(compared.client(1, family), 1, .resident, at: 0), to: &text)
      return String(decoding: text.dropLast(), as: UTF8.self)
    }
    #expect(lines.dropFirst().dropLast() == written[...])

    let cursor = try #require(ChangeCursor("\(generation).1"))
    compared.use(compared.client(2, .ipv4), as: .answered)
    _ = compared.found()
    let (next, _) = ComparedAssociations.lines(&reading)
    #expect(next.count == 2 && next.last == #"{"cursor":"\#(generation).2"}"#)
    #expect(reading.heartbeat == Array((next[1] + "\n").utf8))
    var again = compared.changes.read(since: cursor)
    #expect(
      ComparedAssociations.lines(&again).lines == [#"{"cursor":"\#(generation).1"}"#] + next)
    // Another generation, what was never told, and the beginning of the whole.
    for text in ["\(generation &+ 1).1", "\(generation).3", "\(generation).0"] {
      var other = compared.changes.read(since: ChangeCursor(text))
      #expect(
        ComparedAssociations.lines(&other).lines.first
          == #"{"cursor":"\#(generation).0","reset":true}"#)
    }
  }

  @Test("who is slower than the log is long begins anew")
  func overflow() throws {
    let compared = try ComparedAssociations(capacity: 64)
    var reading = compared.changes.read()
    #expect(ComparedAssociations.lines(&reading).goesOn)
    let cursor = compared.changes.log.end
    for number in 0..<64 { compared.use(compared.client(number, .ipv4), as: .resident) }
    _ = compared.found()
    var other = compared.changes.read(since: cursor)
    #expect(ComparedAssociations.lines(&other).lines.count == 64 + 2)
    // They go a quarter at a time.
    for number in 64..<80 { compared.use(compared.client(number, .ipv4), as: .resident) }
    _ = compared.found()
    #expect(!ComparedAssociations.lines(&reading).goesOn)
    var last = compared.changes.read(since: cursor)
    let (lines, goesOn) = ComparedAssociations.lines(&last)
    #expect(goesOn && lines.count == 80 + 2)
    #expect(lines[0].hasSuffix(#","reset":true}"#))
  }

  @Test("who was forgotten is told for a minute, however many they are")
  func forgottenAreKept() throws {
    func gone(_ count: Int, _ reason: GoneAssociation.Reason) -> [AssociationChange] {
      (0..<count).map {
        .gone(
          GoneAssociation(
            at: 1, client: IPv4ClientKey($0).client, reason: reason, virtualServer: "coap"))
      }
    }
    let now = Timestamp(seconds: 1_000, nanoseconds: 5)
    let log = ChangeLog(capacity: 64, most: 2_000)
    log.begin()
    let start = log.end
    log.append(gone(1_000, .forgotten), at: now)
    log.append(gone(100, .evicted), at: Timestamp(seconds: 1_060, nanoseconds: 4))
    let read = try #require(log.read(from: start, limit: 5_000))
    #expect(read.changes == gone(1_000, .forgotten) + gone(100, .evicted))
    #expect(read.next == log.end)
    #expect(try #require(log.read(from: start, limit: 10)).changes.count == 10)
    // Their time is over, be there something new or not.
    log.append([], at: Timestamp(seconds: 1_060, nanoseconds: 5))
    #expect(log.read(from: start, limit: 1) == nil)
    let end = log.end
    let last = ChangeCursor(generation: end.generation, sequence: end.sequence - 64)
    #expect(
      try #require(log.read(from: last, limit: 100)).changes == gone(100, .evicted).suffix(64))
    // All others go at once, and of more than that many nobody is kept.
    log.append(gone(1_000, .evicted), at: now)
    #expect(log.read(from: last, limit: 1) == nil)
    let again = log.end
    log.append(gone(2_100, .forgotten), at: now)
    #expect(log.read(from: again, limit: 1) == nil)
    let kept = ChangeCursor(generation: again.generation, sequence: log.end.sequence - 2_000 + 16)
    #expect(log.read(from: kept, limit: 1) != nil)
  }

  @Test("what changes while the whole is told is told afterwards")
  func changesMeanwhile() throws {
    let compared = try ComparedAssociations(maxAssociations: 10_000)
    let clients = (0..<4_000).map { compared.client($0, .ipv4) }
    for client in clients { compared.use(client, as: .resident) }
    var reading = compared.changes.read()
    var text: [UInt8] = []
    for piece in 0..<4 {
      let lines = reading.next()
      text += try #require(lines)
      // Each has left the whole before, or leaves it now.
      for client in clients[(piece * 500)..<(piece * 500 + 500)] {
        compared.use(client, 1, as: .resident)
      }
      _ = compared.found()
    }
    while let lines = reading.next(), !lines.isEmpty { text += lines }
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
      .filter { !$0.contains("cursor") }
    var servers: [Client: IPAddress] = [:]
    let changes = try AssociationChangeReader.read(Array(lines.joined(separator: "\n").utf8))
    for case .association(let association) in changes {
      servers[association.client] = association.realServer
    }
    let expected = ComparedAssociations.servers[.ipv4]!
    for (index, client) in clients.enumerated() {
      #expect(servers[client] == expected[index < 2_000 ? 1 : 0])
    }
  }

  @Test("when a client was seen is told as the epochs tell it")
  func firstTimes() throws {
    let compared = try ComparedAssociations(hasClasses: false)
    compared.service.look(at: Timestamp(milliseconds: compared.now))
    compared.advance(.ipv4)
    compared.now += 5_000
    compared.service.look(at: Timestamp(milliseconds: compared.now))
    let client = compared.client(1, .ipv4)
    compared.use(client)
    compared.now += 5_000
    var reading = compared.changes.read()
    let lines = ComparedAssociations.lines(&reading).lines
    #expect(lines[1].hasPrefix(#"{"at":\#(compared.now - 10_000),"#))
  }

  @Test("a time is a hundredth of a second, and what is long ago is not lost")
  func times() {
    let clock = ChangeTime(from: Timestamp(milliseconds: 1_764_428_400_123))
    for time in [1_764_428_400_123, 1_764_428_400_000, 1_784_428_400_457] as [UInt64] {
      #expect(clock.milliseconds(clock.units(time)) == time / 10 * 10)
    }
    #expect(clock.milliseconds(clock.units(0)) == 0)
    #expect(clock.units(1) == clock.units(1_000_000_000_000))
    #expect(clock.units(1) > clock.units(0))
    #expect(!clock.isEnding(at: Timestamp(milliseconds: 1_764_428_400_123)))
    #expect(clock.isEnding(at: Timestamp(milliseconds: 1_764_428_400_123 + 1 << 55)))
  }

  @Test("a pass begins each tenth of a second, or takes 1.5 % of a CPU")
  func pace() {
    var pace = ChangePace()
    let start = ContinuousClock.now
    let began = start + pace.pause(after: .zero, isPass: true, now: start)
    #expect(
      pace.pause(after: .milliseconds(1), isPass: false, now: began + .milliseconds(1)) == .zero)
    let rest = pace.pause(
      after: .microseconds(500), isPass: true, now: began + .microseconds(1_500))
    #expect(rest == .microseconds(98_500))
    // One that costs more is spread.
    var sum = Duration.zero
    for piece in 0..<20 {
      sum += pace.pause(
        after: .milliseconds(3), isPass: piece == 19, now: began + .seconds(1))
    }
    for piece in 0..<20 {
      let pause = pace.pause(
        after: .milliseconds(3), isPass: piece == 19, now: began + .seconds(9))
      #expect(pause == .milliseconds(197))
    }
    // Short rests are taken together, and none is lost.
    let pauses = (0..<20).map { piece in
      pace.pause(after: .microseconds(150), isPass: piece == 19, now: began + .seconds(20))
    }
    #expect(pauses.reduce(.zero, +) == .milliseconds(197))
    #expect(pauses.allSatisfy { $0 == .zero || $0 >= .milliseconds(9) })
    #expect(pauses.count { $0 == .zero } == 13)
  }
}
