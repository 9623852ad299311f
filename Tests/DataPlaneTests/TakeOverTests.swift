// What other directors have told is taken over, and does not come back.
import LoadBalancing
import Synchronization
import TestSupport
import Testing

@testable import DataPlane

@Suite("Take-over of changes")
struct TakeOverTests {
  private static let servers = ["10.40.0.2", "10.40.0.3"].map { IPAddress($0)! }
  private static let label = "10.40.0.1"

  /// A loaded program, and what it finds.
  private final class Scene {
    let dataPlane: DataPlane
    private var cursor: ChangeCursor
    /// Some while after the present: what is found in the meantime is older.
    let later: UInt64

    init(maxAssociations: UInt32 = 64, probation: Int = 1) throws {
      var configuration = Configuration.sample(maxAssociations: maxAssociations)
      configuration.probation = probation
      configuration.virtualServers.append(
        VirtualServer(
          name: "six", address: IPAddress("fd60::1")!, ports: [5683],
          realServers: [RealServer(IPAddress("fd70::1")!)]))
      dataPlane = try compiling { try DataPlane(configuration) }
      dataPlane.changes.comparesByItself.store(false, ordering: .relaxed)
      dataPlane.changes.begin()
      cursor = dataPlane.changes.log.end
      later = (dataPlane.changes.now.milliseconds + 600_000) / 10 * 10
    }

    var table: AssociationTable { dataPlane.associations() }

    func take(_ changes: [AssociationChange]) -> TakenOver {
      var taking = dataPlane.takingOver(changes)
      while taking.next() {}
      return taking.counts
    }

    func found() -> [AssociationChange] {
      var passes = 0
      while passes < 2 { if dataPlane.changes.look() == .pass { passes += 1 } }
      guard let (found, next) = dataPlane.changes.log.read(from: cursor, limit: 1 << 16) else {
        return []
      }
      cursor = next
      return found
    }

    func slot(_ server: Int) -> UInt16 {
      let content = dataPlane.inForce.now
      return content.plan.servingSlot(of: TakeOverTests.servers[server], 0, .ipv4)!
    }

    func server(_ client: Client) -> IPAddress? {
      dataPlane.associationBrowser(clock: { Timestamp(seconds: 0) }).associations(of: client)
        .first?.realServer
    }

    /// What the copy knows of a client.
    func known(_ client: Client) -> (place: AssociationTable.Place, stamp: UInt8)? {
      table.find(table.hash(IPv4ClientKey(client))).map {
        ($0, table.bucket($0).stamp($0.index))
      }
    }

    /// A packet of a new client, which goes to a real server.
    func arrive(_ client: IPv4ClientKey, at server: Int) {
      var insertion = LateInsertion<IPv4ClientKey>(table)
      #expect(
        insertion.reserve(Entry(client: client, slot: slot(server), rank: table.newest))
          == .reserved)
      _ = insertion.settle()
    }

    /// A packet of a known client.
    func use(_ client: Client) {
      guard let (place, octet) = known(client) else { return }
      let stamp = Stamp(octet)
      let control = table.control
      let present =
        table.ranking == .byAge
        ? control.epoch
        : Stamp(
          stamp.clientClass, isUnheard: false,
          epoch: stamp.clientClass == .resident ? control.promotionEpoch : control.fullEpoch
        ).octet
      table.bucket(place).setStamp(place.index, present)
    }
  }

  private func client(_ number: Int) -> Client { key(number).client }

  /// Of no client that cannot be: number 0 would be.
  private func key(_ number: Int) -> IPv4ClientKey { IPv4ClientKey(number + 1_000) }

  private func association(
    _ number: Int, _ server: Int = 0, at: UInt64, _ clientClass: ClientClass = .resident,
    isUnheard: Bool = false
  ) -> AssociationChange {
    .association(
      SharedAssociation(
        at: at, clientClass: clientClass, isUnheard: isUnheard, client: client(number),
        realServer: Self.servers[server], virtualServer: Self.label))
  }

  private func gone(
    _ number: Int, at: UInt64, _ reason: GoneAssociation.Reason = .forgotten
  ) -> AssociationChange {
    .gone(
      GoneAssociation(
        at: at, client: client(number), reason: reason, virtualServer: Self.label))
  }

  private func counts(_ change: (inout TakenOver) -> Void) -> TakenOver {
    var counts = TakenOver()
    change(&counts)
    return counts
  }

  @Test("what is learned does not come back, and its first use here does", arguments: [0, 1])
  func learned(_ probation: Int) throws {
    let scene = try Scene(probation: probation)
    let changes = (0..<40).map { association($0, $0 % 2, at: scene.later) }
    #expect(scene.take(changes) == counts { $0.associations = 40 })
    #expect(scene.found() == [])
    for number in 0..<40 {
      #expect(scene.server(client(number)) == Self.servers[number % 2])
      let rank = scene.table.find(key(number))!.rank
      let ranking = scene.table.ranking
      #expect(ranking.age(rank) == 1)
      #expect(ranking.clientClass(rank) == (probation == 0 ? .newcomer : .resident))
    }
    #expect(scene.take(changes) == counts { $0.known = 40 })
    #expect(scene.found() == [])
    scene.use(client(3))
    let found = scene.found()
    guard found.count == 1, case .association(let used)? = found.first else {
      Issue.record("\(found)")
      return
    }
    #expect(used.client == client(3) && used.realServer == Self.servers[1])
    // The clock of the other is ahead: what was known is not made older.
    #expect(used.at == scene.later)
  }

  /// With several active directors, answers go through another one than what they answer.
  @Test(
    "who has sent here and was written to through another director is answered",
    arguments: [true, false])
  func bothHalves(_ isSenderFirst: Bool) throws {
    let scene = try Scene()
    func clientClass() -> ClientClass {
      scene.table.ranking.clientClass(scene.table.find(key(1))!.rank)
    }
    let told = association(1, 1, at: scene.later - 1_200_000, .newcomer, isUnheard: true)
    if isSenderFirst {
      scene.arrive(key(1), at: 1)
      #expect(scene.found() == [])
      #expect(scene.take([told]) == counts { $0.known = 1 })
    } else {
      #expect(scene.take([told]) == counts { $0.associations = 1 })
      #expect(scene.found() == [])
      #expect(clientClass() == .newcomer)
      scene.use(client(1))
    }
    // Others are told, too.
    let found = scene.found()
    guard found.count == 1, case .association(let answered)? = found.first else {
      Issue.record("\(found)")
      return
    }
    #expect(answered.clientClass == .answered && answered.client == client(1))
    #expect(answered.realServer == Self.servers[1])
    #expect(clientClass() == .answered)
    #expect(scene.found() == [])
  }

  @Test("whom another real server has written to through another director is that one's")
  func writtenToByAnother() throws {
    let scene = try Scene()
    scene.arrive(key(1), at: 0)
    #expect(scene.found() == [])
    // Be it before the client sent here: of that nobody else knows.
    let told = association(1, 1, at: scene.later - 1_200_000, .newcomer, isUnheard: true)
    #expect(scene.take([told]) == counts { $0.associations = 1 })
    #expect(scene.server(client(1)) == Self.servers[1])
    #expect(scene.table.find(key(1))?.isUnheard == true)
    #expect(scene.found() == [])
    // The first packet that reaches that real server.
    scene.use(client(1))
    let found = scene.found()
    guard found.count == 1, case .association(let answered)? = found.first else {
      Issue.record("\(found)")
      return
    }
    #expect(answered.clientClass == .answered && answered.realServer == Self.servers[1])
  }

  /// Packets come while the path to a director changes: an answer before went through another one.
  @Test(
    "who was answered through another director is answered here, too, whoever saw it later",
    arguments: [0, 1], [ClientClass.answered, .resident])
  func answeredBefore(_ server: Int, _ clientClass: ClientClass) throws {
    let scene = try Scene()
    scene.arrive(key(1), at: 0)
    #expect(scene.found() == [])
    #expect(
      scene.take([association(1, server, at: scene.later - 1_200_000, clientClass)])
        == counts { if server == 0 { $0.known = 1 } else { $0.associations = 1 } })
    #expect(scene.server(client(1)) == Self.servers[server])
    #expect(scene.table.ranking.clientClass(scene.table.find(key(1))!.rank) == clientClass)
    #expect(scene.found() == [])
    #expect(scene.table.admissions?.residents == (clientClass == .resident ? 1 : 0))
    // From now on it is this director's knowledge, too.
    #expect(
      scene.take([association(1, 1 - server, at: scene.later - 1_300_000)])
        == counts { $0.older = 1 })
  }

  @Test("a packet that comes while its client's place is reserved takes nothing from the client")
  func packetFirst() throws {
    let compared = try ComparedAssociations()
    let client = compared.client(1, .ipv4)
    let table = compared.tables[.ipv4]!.table
    let own = ComparedTable<IPv4ClientKey>(table, .ipv4, SharedSlots(compared.plan, .ipv4))
    let clock = ChangeTime(from: Timestamp(milliseconds: compared.now))
    for server in [0, 1] {
      var findings = ChangeFindings(clock: clock, now: clock.units(compared.now + 1_000), uses: 9)
      var taken = TakenOver()
      // The client sends at that time, and goes where those go that nobody knows.
      var taking = TableTakeOver(own) { compared.use(client, 0) }
      guard case .association(let told) = compared.association(client, server, .resident) else {
        return
      }
      taking.take(
        told, compared.number(.ipv4), compared.slot(server, .ipv4),
        table.ranking.rank(.resident, age: 1), &findings, &taken)
      taking.settle(&findings, &taken)
      #expect(taken.older == 0 && taken.known + taken.associations == 1)
      let place = compared.place(client)!
      #expect(
        SharedBucket.slot(of: table.bucket(place).word(place.index))
          == compared.slot(server, .ipv4))
      #expect(table.ranking.clientClass(table.rank(place)) == .resident)
      compared.evict(client)
    }
  }

  @Test("who was forgotten is not brought back by what was told before")
  func forgottenAfterAPacket() throws {
    let compared = try ComparedAssociations()
    let client = compared.client(1, .ipv4)
    let table = compared.tables[.ipv4]!.table
    let own = ComparedTable<IPv4ClientKey>(table, .ipv4, SharedSlots(compared.plan, .ipv4))
    let clock = ChangeTime(from: Timestamp(milliseconds: compared.now))
    var findings = ChangeFindings(clock: clock, now: clock.units(compared.now + 1_000), uses: 9)
    var taken = TakenOver()
    // The client sends while its place is reserved.
    var taking = TableTakeOver(own) { compared.use(client, 0) }
    guard case .association(let told) = compared.association(client, 1, .resident) else { return }
    taking.take(
      told, compared.number(.ipv4), compared.slot(1, .ipv4), table.ranking.rank(.resident, age: 1),
      &findings, &taken)
    taking.forget(
      GoneAssociation(
        at: compared.now + 2_000, client: client, reason: .forgotten,
        virtualServer: told.virtualServer), compared.number(.ipv4), &findings, &taken)
    taking.settle(&findings, &taken)
    #expect(compared.place(client) == nil)
    #expect(taken.forgotten == 1 && taken.older == 1 && taken.associations == 0)
  }

  @Test("an answered client and those of a director without classes are learned as what they are")
  func classes() throws {
    let scene = try Scene()
    let changes = [
      association(1, at: scene.later, .answered), association(2, at: scene.later, .newcomer),
      association(3, at: 0, .answered),
    ]
    #expect(scene.take(changes) == counts { $0.associations = 3 })
    let ranking = scene.table.ranking
    func rank(_ number: Int) -> UInt8 { scene.table.find(key(number))!.rank }
    #expect(ranking.clientClass(rank(1)) == .answered && ranking.age(rank(1)) <= 3)
    #expect(ranking.clientClass(rank(2)) == .resident)
    #expect(ranking.clientClass(rank(3)) == .answered && ranking.age(rank(3)) >= 32)
    #expect(scene.table.admissions?.residents == 1)
    #expect(scene.found() == [])
  }

  @Test("who has seen the client later knows better")
  func conflicts() throws {
    let scene = try Scene()
    try scene.dataPlane.lead(client(1), to: Self.servers[1])
    // Not found yet: it was seen here just now.
    #expect(scene.take([association(1, 0, at: 1_000)]) == counts { $0.older = 1 })
    #expect(scene.server(client(1)) == Self.servers[1])
    #expect(scene.found().count == 1)
    #expect(
      scene.take([association(1, 0, at: scene.later)]) == counts { $0.associations = 1 })
    #expect(scene.server(client(1)) == Self.servers[0])
    // Of two at once the greater address counts.
    #expect(
      scene.take([association(1, 1, at: scene.later)]) == counts { $0.associations = 1 })
    #expect(scene.take([association(1, 0, at: scene.later)]) == counts { $0.older = 1 })
    #expect(scene.server(client(1)) == Self.servers[1])
    #expect(scene.found() == [])
  }

  @Test("a client that is led elsewhere counts as used before, and a resident stays one")
  func moved() throws {
    let scene = try Scene()
    try scene.dataPlane.lead(client(1), to: Self.servers[1])
    _ = scene.found()
    #expect(
      scene.take([association(1, 0, at: scene.later, .answered)])
        == counts { $0.associations = 1 })
    let ranking = scene.table.ranking
    let rank = scene.table.find(key(1))!.rank
    #expect(ranking.clientClass(rank) == .resident && ranking.age(rank) >= 1)
    #expect(scene.table.admissions?.residents == 1)
    scene.use(client(1))
    #expect(scene.found().count == 1)
  }

  @Test("a newcomer that is a resident elsewhere is one")
  func promoted() throws {
    let scene = try Scene()
    let table = scene.table
    let hash = table.hash(key(1))
    let place = table.findFree(hash)!
    let slot = scene.dataPlane.service.plan.slot(of: Self.servers[0], 0, .ipv4)!
    table.bucket(place).setWord(place.index, hash.tag | UInt64(slot))
    #expect(scene.found() == [])
    #expect(scene.take([association(1, at: scene.later)]) == counts { $0.known = 1 })
    #expect(table.ranking.clientClass(table.rank(place)) == .resident)
    #expect(scene.found() == [])
  }

  @Test("whom a real server wrote to at another director has not sent here either")
  func unheard() throws {
    let scene = try Scene()
    let table = scene.table
    let change = AssociationChange.association(
      SharedAssociation(
        at: scene.later, clientClass: .newcomer, isUnheard: true, client: client(1),
        realServer: Self.servers[1], virtualServer: Self.label))
    #expect(scene.take([change]) == counts { $0.associations = 1 })
    #expect(scene.server(client(1)) == Self.servers[1])
    func entry() -> Entry<IPv4ClientKey>? { table.find(key(1)) }
    #expect(entry()?.isUnheard == true)
    #expect(table.ranking.clientClass(entry()!.rank) == .newcomer)
    #expect(scene.found() == [])
    // It sends here. What is told again of it then does not undo that.
    scene.use(client(1))
    _ = scene.found()
    #expect(entry()?.isUnheard == false)
    #expect(scene.take([change]) == counts { $0.known = 1 })
    #expect(entry()?.isUnheard == false)
  }

  @Test("lines of one client follow each other")
  func sameClient() throws {
    let scene = try Scene()
    let later = scene.later
    let changes = [
      association(1, 0, at: later), association(1, 1, at: later + 10), gone(1, at: later + 20),
      association(1, 0, at: later + 30), gone(1, at: later + 40, .evicted),
    ]
    #expect(
      scene.take(changes)
        == counts {
          $0.associations = 3
          $0.forgotten = 1
          $0.known = 1
        })
    #expect(scene.server(client(1)) == Self.servers[0])
    #expect(scene.found() == [])
  }

  @Test("who is forgotten elsewhere is forgotten here, unless seen later")
  func forgotten() throws {
    let scene = try Scene()
    try scene.dataPlane.lead(client(1), to: Self.servers[1])
    _ = scene.found()
    #expect(scene.take([gone(1, at: 1_000)]) == counts { $0.older = 1 })
    #expect(scene.take([gone(1, at: scene.later, .evicted)]) == counts { $0.known = 1 })
    #expect(scene.server(client(1)) == Self.servers[1])
    #expect(scene.take([gone(1, at: scene.later)]) == counts { $0.forgotten = 1 })
    #expect(scene.server(client(1)) == nil)
    #expect(scene.take([gone(1, at: scene.later)]) == counts { $0.known = 1 })
    #expect(scene.found() == [])
  }

  @Test("who is learned and pushed out is not told, who is forgotten is")
  func learnedAndGone() throws {
    let scene = try Scene()
    #expect(
      scene.take((1...2).map { association($0, at: scene.later) })
        == counts { $0.associations = 2 })
    let place = scene.known(client(1))!.place
    scene.table.bucket(place).setWord(place.index, 0)
    #expect(scene.found() == [])
    #expect(scene.dataPlane.forget(client(2)) == 1)
    let found = scene.found()
    guard found.count == 1, case .gone(let gone)? = found.first else {
      Issue.record("\(found)")
      return
    }
    #expect(gone.client == client(2) && gone.reason == .forgotten)
    #expect(gone.virtualServer == Self.label)
  }

  @Test("what is of no use here is refused, and the rest is not")
  func refused() throws {
    let scene = try Scene()
    func line(
      _ client: String, _ label: String = Self.label, _ realServer: String = "10.40.0.2"
    ) -> AssociationChange {
      .association(
        SharedAssociation(
          at: scene.later, clientClass: .resident, client: Client(client)!,
          realServer: IPAddress(realServer)!, virtualServer: label))
    }
    let changes = [
      line("10.50.0.1:1", "nobody"), line("10.50.0.2:1", Self.label, "10.40.0.9"),
      line("10.40.0.1:5683"), line("255.255.255.255:1"), line("[fd50::1]:1"),
      line("10.50.0.3:1", "six", "fd70::1"), line("[fd50::1]:1", "six", "fd70::1"),
      .gone(
        GoneAssociation(
          at: scene.later, client: client(1), reason: .forgotten, virtualServer: "nobody")),
      .override(
        SharedOverride(
          at: scene.later, realServer: Self.servers[0], state: .down, virtualServer: "nobody",
          weight: nil)),
    ]
    #expect(
      scene.take(changes)
        == counts {
          $0.associations = 1
          $0.refused = 8
        })
  }

  @Test("where there is no room, who was used before here stays")
  func noRoom() throws {
    let scene = try Scene(maxAssociations: 3, probation: 0)
    for number in 1...3 { try scene.dataPlane.lead(client(number), to: Self.servers[0]) }
    #expect(scene.take([association(9, at: scene.later)]) == counts { $0.refused = 1 })
    #expect((1...3).allSatisfy { scene.server(client($0)) != nil })
  }

  @Test("overrides are told when they are set, and not when they are learned")
  func overrides() throws {
    let scene = try Scene()
    func override(
      _ server: Int, _ state: RealServer.State?, _ weight: Int? = nil, at: UInt64
    ) -> AssociationChange {
      .override(
        SharedOverride(
          at: at, realServer: Self.servers[server], state: state, virtualServer: Self.label,
          weight: weight))
    }
    let first = override(0, .draining, 5, at: scene.later)
    #expect(scene.take([first]) == counts { $0.overrides = 1 })
    #expect(scene.take([first]) == counts { $0.known = 1 })
    let server = scene.dataPlane.configuration.configured.virtualServers[0]
    func inForce(_ index: Int) -> RealServer.Override? {
      scene.dataPlane.configuration.overrides[Self.servers[index], behind: server]
    }
    #expect(inForce(0)?.state == .draining && inForce(0)?.weight == 5)
    #expect(scene.take([override(0, .up, at: 1_000)]) == counts { $0.older = 1 })
    #expect(scene.found() == [])
    // A client goes where it may go then.
    #expect(
      scene.take([
        association(1, 0, at: scene.later), override(0, .down, at: scene.later + 10),
      ])
        == counts {
          $0.overrides = 1
          $0.refused = 1
        })

    var next = scene.dataPlane.configuration
    next.overrides.set(
      state: nil, weight: 3, of: Self.servers[1], behind: server)
    try scene.dataPlane.apply(next)
    scene.dataPlane.changes.tellOverride(of: Self.servers[1], behind: server)
    let found = scene.found()
    guard found.count == 1, case .override(let told)? = found.first else {
      Issue.record("\(found)")
      return
    }
    #expect(told.realServer == Self.servers[1] && told.state == nil && told.weight == 3)
    #expect(told.at <= scene.dataPlane.changes.now.milliseconds && told.at > 0)
    // A whole has what is in force, and nothing that has ended.
    next.overrides.set(state: nil, weight: nil, of: Self.servers[1], behind: server)
    try scene.dataPlane.apply(next)
    var reading = scene.dataPlane.changes.read()
    let lines = ComparedAssociations.lines(&reading).lines
    #expect(
      lines[1]
        == #"{"at":\#(scene.later + 10),"real_server":"10.40.0.2","state":"down","#
        + #""virtual_server":"10.40.0.1","weight":null}"#)
    #expect(lines.count == 3)
    // What has ended here later than it was set elsewhere is not set again.
    #expect(scene.take([override(1, nil, 3, at: 1_000)]) == counts { $0.older = 1 })
    #expect(inForce(1) == nil)
  }

  @Test("a line is as old as the epoch in which the client was seen")
  func ages() throws {
    let scene = try Scene(probation: 0)
    let control = scene.table.control
    let start = scene.dataPlane.changes.now.milliseconds - 100_000
    for epoch in 0..<5 as Range<UInt64> {
      scene.dataPlane.noteEpochs(at: Timestamp(milliseconds: start + epoch * 10_000))
      control.advanceEpoch(by: 1)
    }
    let times: [(at: UInt64, age: UInt8)] = [
      (start + 45_000, 1), (start + 35_000, 2), (start + 20_000, 3), (start + 5_000, 5),
      (start - 1, 6), (0, 6),
    ]
    let changes = times.indices.map { association($0, at: times[$0].at) }
    #expect(scene.take(changes) == counts { $0.associations = times.count })
    for (number, time) in times.enumerated() {
      #expect(scene.table.find(key(number))?.rank == time.age, "\(time)")
    }
  }
}
