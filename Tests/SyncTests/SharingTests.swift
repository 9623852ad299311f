// Two directors, each with an ulb-sync of its own, and a real Redis that comes, goes, stalls and forgets.
import Control
import Foundation
import LoadBalancing
import Redis
import TestSupport
import Testing

@testable import Sync

@Suite struct SharingTests {
  @Test func whatOneTellsTheOtherKnows() async throws {
    let redis = try RedisProcess()
    try await withDirectors(redis) { a, b in
      a.director.associate("10.50.0.2:5683", "10.70.1.2")
      b.director.associate("[fd50::2]:5683", "fd70::2")
      try await b.wait("a's client") { $0.realServer(of: "10.50.0.2:5683") == "10.70.1.2" }
      try await a.wait("b's client") { $0.realServer(of: "[fd50::2]:5683") == "fd70::2" }
      #expect(b.director.entry("10.50.0.2:5683")?.isLearned == true)
      #expect(a.director.entry("10.50.0.2:5683")?.isLearned == false)

      // Another real server, and that at both.
      a.director.associate("10.50.0.2:5683", "10.70.2.2")
      try await b.wait("the move") { $0.realServer(of: "10.50.0.2:5683") == "10.70.2.2" }
      b.director.forget("10.50.0.2:5683")
      try await a.wait("what b forgets") { $0.realServer(of: "10.50.0.2:5683") == nil }

      a.director.set("10.70.1.2", .draining, weight: 5)
      try await b.wait("the override") {
        $0.override(of: "10.70.1.2") == .init(state: .draining, weight: 5)
      }
      b.director.set("10.70.1.2", nil, weight: nil)
      try await a.wait("the override's end") {
        $0.override(of: "10.70.1.2") == .init(state: nil, weight: nil)
      }

      try await a.wait("the counts") {
        ($0.report?.sent ?? 0) >= 3 && ($0.report?.received ?? 0) > 2
      }
      let report = try #require(a.director.report)
      #expect(report.director == "a")
      #expect(report.peers.map(\.director) == ["b"])
      #expect(report.redis.state == .connected)
      #expect(report.redis.server == redis.path)
      #expect(report.redis.error == nil)
      #expect(report.lagMilliseconds != nil)
      #expect(report.peers[0].lagMilliseconds != nil)
      try await a.wait("its state for the manager") { _ in
        a.notifications.assignments.contains("STATUS=sharing over \(redis.path) with b")
      }
      try await a.wait("the end of its start") { _ in a.isReady }
      #expect(a.warnings == [])
      #expect(b.warnings == [])
    }
  }

  @Test func whatIsPushedOutStaysWithTheOthers() async throws {
    let redis = try RedisProcess()
    try await withDirectors(redis) { a, b in
      a.director.associate("10.50.0.2:5683", "10.70.1.2")
      try await b.wait("the client") { $0.realServer(of: "10.50.0.2:5683") != nil }
      a.director.evict("10.50.0.2:5683")
      a.director.associate("10.50.0.3:5683", "10.70.1.2")
      try await b.wait("what came after it") { $0.realServer(of: "10.50.0.3:5683") != nil }
      #expect(b.director.realServer(of: "10.50.0.2:5683") == "10.70.1.2")
      let c = try SharedDirector("c", redis)
      try await c.wait("what is left") { $0.realServer(of: "10.50.0.3:5683") != nil }
      #expect(c.director.realServer(of: "10.50.0.2:5683") == nil)
      try await c.stop()
    }
  }

  @Test func theLaterOfTwoChangesHoldsAtBoth() async throws {
    let redis = try RedisProcess()
    try await withDirectors(redis) { a, b in
      let now = currentMilliseconds()
      try redis.kill()
      for one in [a, b] { try await one.wait("the loss") { $0.report?.redis.state == .away } }
      a.director.associate("10.50.0.2:5683", "10.70.1.2", at: now + 2)
      b.director.associate("10.50.0.2:5683", "10.70.2.2", at: now + 1)
      a.director.associate("10.50.0.3:5683", "10.70.1.2", at: now + 1)
      b.director.associate("10.50.0.3:5683", "10.70.2.2", at: now + 2)
      // At one time the greater address holds.
      a.director.associate("10.50.0.4:5683", "10.70.1.2", at: now + 3)
      b.director.associate("10.50.0.4:5683", "10.70.2.2", at: now + 3)
      a.director.associate("10.50.0.7:5683", "10.70.2.2", at: now + 3)
      b.director.associate("10.50.0.7:5683", "10.70.1.2", at: now + 3)
      // Forgotten while the other saw it earlier, and later.
      a.director.forget("10.50.0.5:5683", at: now + 5)
      b.director.associate("10.50.0.5:5683", "10.70.2.2", at: now + 4)
      a.director.forget("10.50.0.6:5683", at: now + 5)
      b.director.associate("10.50.0.6:5683", "10.70.2.2", at: now + 6)
      try redis.start()
      for one in [a, b] {
        try await one.wait("what is later") {
          $0.realServer(of: "10.50.0.2:5683") == "10.70.1.2"
            && $0.realServer(of: "10.50.0.3:5683") == "10.70.2.2"
            && $0.realServer(of: "10.50.0.4:5683") == "10.70.2.2"
            && $0.realServer(of: "10.50.0.7:5683") == "10.70.2.2"
            && $0.realServer(of: "10.50.0.5:5683") == nil
            && $0.realServer(of: "10.50.0.6:5683") == "10.70.2.2"
        }
      }
    }
  }

  @Test func anEmptyRedisIsFilledAgain() async throws {
    let redis = try RedisProcess()
    try await withDirectors(redis) { a, b in
      a.director.associate("10.50.0.2:5683", "10.70.1.2")
      b.director.associate("10.50.0.3:5683", "10.70.1.2")
      try await b.wait("the client") { $0.count == 2 }
      try await a.wait("the client") { $0.count == 2 }
      // Without a connection lost, and with one.
      try redis.command("FLUSHALL")
      try await filled(redis, "after a flush")
      try redis.kill()
      for one in [a, b] { try await one.wait("the loss") { $0.report?.redis.state == .away } }
      try redis.start()
      try await filled(redis, "after a start")
      for one in [a, b] {
        try await one.wait("the return") { $0.report?.redis.state == .connected }
        #expect(one.warnings.count { $0.contains("Redis is away") } == 1)
        #expect(one.process.standardError.count { $0.contains("Redis is back") } >= 1)
      }
      // And goes on.
      a.director.associate("10.50.0.4:5683", "10.70.1.2")
      try await b.wait("what is new") { $0.realServer(of: "10.50.0.4:5683") != nil }
    }
  }

  /// Redis is emptied between a director's telling and another's reading.
  @Test func whatRedisLosesUnreadIsToldAgain() async throws {
    let redis = try RedisProcess()
    try await withDirectors(redis) { a, b in
      a.director.associate("10.50.0.2:5683", "10.70.1.2")
      try await b.wait("the client") { $0.count == 1 }
      b.process.send(signal: SIGSTOP)
      let sent = a.director.report?.sent ?? 0
      a.director.forget("10.50.0.2:5683")
      try await a.wait("what it has told") { ($0.report?.sent ?? 0) > sent }
      try redis.kill()
      try redis.start()
      b.process.send(signal: SIGCONT)
      try await b.wait("what a has forgotten") { $0.count == 0 }
      a.director.associate("10.50.0.3:5683", "10.70.1.2")
      try await b.wait("what is new") { $0.realServer(of: "10.50.0.3:5683") != nil }
      try await a.wait("its own word") { $0.realServer(of: "10.50.0.2:5683") == nil }
    }
  }

  @Test func whereTellingGoesOnFromWithAnEmptyRedis() {
    var state = SyncState(director: "a", server: "redis")
    let start = ContinuousClock.now
    func cursor(_ sequence: Int) -> ChangeCursor {
      ChangeCursor(generation: 1, sequence: UInt64(sequence))
    }
    #expect(state.cursorsToMakeUp == [])
    for tenth in 0...300 {
      state.advance(to: cursor(tenth), now: start + .milliseconds(100 * tenth))
      // Ten seconds back at least, where there was something then, and eleven at most.
      let former = max(0, (tenth - 100) / 10 * 10)
      #expect(state.cursorsToMakeUp == (former == tenth ? [] : [cursor(former)]) + [cursor(tenth)])
    }
    state.advance(to: cursor(7), isMakingUp: true, now: start + .seconds(90))
    #expect(state.cursorsToMakeUp == [cursor(200), cursor(7)])
    state.forgetCursors()
    #expect(state.cursorsToMakeUp == [])
  }

  /// What directors have seen of a client, in whatever order it comes to Redis.
  @Test func whoKnowsMoreOfAClientIsHeardAsWell() async throws {
    let redis = try RedisProcess()
    let shared = try await SharedState(redis.server, cluster: "ulb")
    defer { shared.close() }
    let now = currentMilliseconds()
    var number = 0
    /// What Redis has of a client after changes, and what others were told of it.
    func result(
      _ changes: [SharedAssociation]
    ) async throws -> (stored: SharedAssociation?, told: [SharedAssociation]) {
      number += 1
      let client = Client("10.50.0.2:\(number)")!
      let position = try await shared.end()
      for var change in changes {
        change.client = client
        let stored = try #require(StoredChange(.association(change)))
        try await shared.write(
          [SharedState.Batch(changes: [stored], found: now)], of: "a")
      }
      func associations(_ changes: [AssociationChange]) -> [SharedAssociation] {
        changes.compactMap {
          guard case .association(let association) = $0, association.client == client else {
            return nil
          }
          return association
        }
      }
      var stored: [SharedAssociation] = []
      try await shared.readAll(now: now) { stored += associations($0) }
      let told = try #require(try await shared.read(after: position)).flatMap(\.changes)
      return (stored.first, associations(told))
    }
    func seen(
      _ clientClass: ClientClass, isUnheard: Bool = false, _ server: String, _ at: UInt64
    ) -> SharedAssociation {
      SharedAssociation(
        at: now + at, clientClass: clientClass, isUnheard: isUnheard,
        client: Client("10.50.0.2:1")!, realServer: IPAddress(server)!, virtualServer: "coap")
    }
    // From the least that is known to the most.
    let kinds: [(ClientClass, isUnheard: Bool)] = [
      (.newcomer, true), (.answered, false), (.resident, false),
    ]
    for (less, first) in kinds.enumerated() {
      for (more, second) in kinds.enumerated() where less < more {
        for (early, late) in [(1, 2), (2, 1), (1, 1)] as [(UInt64, UInt64)] {
          let one = seen(first.0, isUnheard: first.isUnheard, "10.70.1.2", early)
          let other = seen(second.0, isUnheard: second.isUnheard, "10.70.1.2", late)
          let both = seen(second.0, isUnheard: second.isUnheard, "10.70.1.2", max(early, late))
          for changes in [[one, other], [other, one]] {
            let (stored, told) = try await result(changes)
            #expect(stored.map { ($0.at, $0.className) }! == (both.at, both.className))
            // Whoever hears of the client hears the most that is known of it, and again when that is later.
            #expect(told.contains { $0.className == both.className }, "\(changes)")
            #expect(told.last?.className == both.className && told.last?.at == both.at)
          }
        }
      }
    }
    // With another real server, the later one holds, whatever is known there.
    let one = seen(.resident, "10.70.1.2", 1)
    let other = seen(.newcomer, isUnheard: true, "10.70.2.2", 2)
    for changes in [[one, other], [other, one]] {
      let stored = try await result(changes).stored
      #expect(stored?.realServer == other.realServer && stored?.isUnheard == true)
    }
  }

  private func filled(_ redis: RedisProcess, _ when: String) async throws {
    let isFilled = try await waitUntilAnswered {
      try redis.command("EVAL", Self.countOfClients, "0") == "2"
    }
    #expect(isFilled, "\(when)")
  }

  private static let countOfClients =
    "local n = 0 for _, k in ipairs(redis.call('KEYS', 'ulb:{ulb}:a:*')) do n = n + redis.call('HLEN', k) end return n"

  @Test func aRedisThatStallsLosesNothing() async throws {
    let redis = try RedisProcess()
    try await withDirectors(redis) { a, b in
      redis.send(signal: SIGSTOP)
      for number in 1...1000 { a.director.associate("10.50.1.1:\(number)", "10.70.1.2") }
      try await a.wait("the loss") { $0.report?.redis.state == .away }
      try await a.wait("the reason") { $0.report?.redis.error?.contains("does not answer") == true }
      redis.send(signal: SIGCONT)
      try await b.wait("all clients") { $0.count == 1000 }
    }
  }

  @Test func whatTheStreamHasNoMoreIsReadFromTheState() async throws {
    let redis = try RedisProcess()
    try await withDirectors(redis) { a, b in
      b.process.send(signal: SIGSTOP)
      for number in 1...300 {
        a.director.associate("10.50.1.1:\(number)", "10.70.1.2")
        if number % 100 == 0 {
          let sent = UInt64(number)
          try await a.wait("its batch") { ($0.report?.sent ?? 0) >= sent }
        }
      }
      try redis.command("XTRIM", "ulb:{ulb}:changes", "MAXLEN", "1")
      b.process.send(signal: SIGCONT)
      try await b.wait("all clients") { $0.count == 300 }
    }
  }

  @Test func aScriptThatRedisHasForgottenIsSentAgain() async throws {
    let redis = try RedisProcess()
    try await withDirectors(redis) { a, b in
      try redis.command("SCRIPT", "FLUSH")
      a.director.associate("10.50.0.2:5683", "10.70.1.2")
      try await b.wait("the client") { $0.realServer(of: "10.50.0.2:5683") != nil }
      #expect(a.warnings == [])
    }
  }

  @Test func aDaemonThatBeginsAnewIsToldAll() async throws {
    let redis = try RedisProcess()
    try await withDirectors(redis) { a, b in
      a.director.associate("10.50.0.2:5683", "10.70.1.2")
      try await b.wait("the client") { $0.realServer(of: "10.50.0.2:5683") != nil }
      try await b.director.restart()
      #expect(b.director.count == 0)
      try await b.wait("the client again") { $0.realServer(of: "10.50.0.2:5683") != nil }
      b.director.associate("10.50.0.3:5683", "10.70.1.2")
      try await a.wait("what b tells") { $0.realServer(of: "10.50.0.3:5683") != nil }
      // So does the director that Redis has the clients of.
      try await a.director.restart()
      try await a.wait("both clients") { $0.count == 2 }
    }
  }

  @Test func aLogThatOverflowsIsMadeGoodByTheWhole() async throws {
    let redis = try RedisProcess()
    let small = try MemoryDirector(room: 10)
    let a = try SharedDirector("a", ["redis = unix://\(redis.path)"], director: small)
    let b = try SharedDirector("b", redis)
    try await b.wait("the other") { $0.report?.peers.count == 1 }
    let before = small.resets
    redis.send(signal: SIGSTOP)
    for number in 1...500 { small.associate("10.50.1.1:\(number)", "10.70.1.2") }
    try await a.wait("the loss") { $0.report?.redis.state == .away }
    redis.send(signal: SIGCONT)
    try await b.wait("all clients") { $0.count == 500 }
    #expect(small.resets > before)
    try await a.stop()
    try await b.stop()
  }

  @Test func aHundredThousandAreReadWhole() async throws {
    let redis = try RedisProcess()
    let a = try SharedDirector("a", redis)
    for number in 0..<100_000 {
      a.director.associate(
        "10.50.\(number >> 8 & 255).\(number & 255):\(1024 + (number >> 16))", "10.70.1.2")
    }
    try await a.wait("all that was sent", timeout: patience * 5) {
      ($0.report?.sent ?? 0) >= 100_000
    }
    let b = try SharedDirector("b", redis)
    try await b.wait("the end of its start", timeout: patience * 5) { _ in b.isReady }
    // Whoever starts after it need not wait any more.
    #expect(b.director.count == 100_000)
    #expect(b.director.report?.received == 100_000)
    #expect(b.director.entry("10.50.7.9:1024")?.isLearned == true)
    try await a.stop()
    try await b.stop()
  }

  /// One that starts before others have noticed that Redis has lost all.
  @Test func theStartWaitsForWhoHasToFillRedis() async throws {
    let redis = try RedisProcess()
    let a = try SharedDirector("a", redis)
    for number in 1...1000 { a.director.associate("10.50.0.2:\(number)", "10.70.1.2") }
    try await a.wait("all that was sent") { ($0.report?.sent ?? 0) >= 1000 }
    a.process.send(signal: SIGSTOP)
    try redis.kill()
    try redis.start()
    let b = try SharedDirector("b", redis)
    try await b.wait("a Redis that is empty") { $0.report?.redis.state == .connected }
    a.process.send(signal: SIGCONT)
    try await b.wait("the end of its start") { _ in b.isReady }
    #expect(b.director.count == 1000)
    try await a.stop()
    try await b.stop()
  }

  /// One that starts while others fill Redis, which takes long where they know many.
  @Test func theStartWaitsForWhoFillsRedis() async throws {
    let redis = try RedisProcess()
    try redis.command("SET", "ulb:{ulb}:id", "1")
    func announce(isWhole: Bool) throws {
      try redis.command(
        "HSET", "ulb:{ulb}:directors", "a",
        "{\"seen\":\(currentMilliseconds()),\"process\":1,\"whole\":\(isWhole)}")
    }
    try announce(isWhole: false)
    let b = try SharedDirector("b", redis)
    let start = ContinuousClock.now
    while ContinuousClock.now - start < SyncState.startPatience.empty * 2 {
      try announce(isWhole: false)
      try await Task.sleep(for: .milliseconds(200))
    }
    #expect(b.director.report?.redis.state == .connected)
    #expect(!b.isReady)
    try announce(isWhole: true)
    try await b.wait("the end of its start") { _ in b.isReady }
    #expect(b.warnings == [])
    try await b.stop()
  }

  /// A director alone serves clients, too.
  @Test func theStartDoesNotWaitForEver() async throws {
    let a = try SharedDirector("a", ["redis = unix:///nonexistent/redis.sock"])
    try await a.wait("the reason") { $0.report?.redis.state == .away }
    #expect(!a.isReady)
    try await a.wait("the end of its start") { _ in a.isReady }
    #expect(a.warnings.contains { $0.contains("does not know other directors' clients yet") })
    try await a.stop()
  }

  /// What comes is waited for longer than what does not.
  @Test func theStartWaitsForWhatComes() {
    var state = SyncState(director: "a", server: "redis.example")
    let patience = SyncState.startPatience
    #expect(!state.isReady(after: patience.away - .milliseconds(1)))
    #expect(state.isReady(after: patience.away))
    for comes in [SyncReport.Redis.State.loading, .connected] {
      state.set(comes, server: "redis.example")
      #expect(!state.isReady(after: patience.reading - .milliseconds(1)), "\(comes)")
      #expect(state.isReady(after: patience.reading), "\(comes)")
    }
    state.daemonSilence = "/run/ulb/lb0/control.sock does not answer"
    #expect(state.isReady(after: patience.away))
    state.daemonSilence = nil
    state.hasReadAll = true
    #expect(state.isReady(after: .zero))
  }

  /// Whatever comes between, as long as Redis keeps what it has acknowledged.
  @Test(arguments: [1, 2, 3] as [UInt64])
  func afterAllTroublesAllAreAlike(_ seed: UInt64) async throws {
    var numbers = SeededNumbers(seed: seed)
    let redis = try RedisProcess(["--appendonly", "yes", "--appendfsync", "always"])
    let all = try ["a", "b", "c"].map { try SharedDirector($0, redis) }
    for one in all { try await one.wait("the others") { $0.report?.peers.count == 2 } }
    var expected: [String: String] = [:]
    var at = currentMilliseconds()
    for step in 1...400 {
      // Each at a time of its own, so that it is known which is the last.
      at = max(at + 1, currentMilliseconds())
      let client = "10.50.0.\(Int.random(in: 1...20, using: &numbers)):5683"
      let director = all.randomElement(using: &numbers)!.director
      if Int.random(in: 0..<4, using: &numbers) == 0 {
        director.forget(client, at: at)
        expected[client] = nil
      } else {
        let realServer = "10.70.\(Int.random(in: 1...9, using: &numbers)).2"
        director.associate(client, realServer, at: at)
        expected[client] = realServer
      }
      guard step.isMultiple(of: 20) else { continue }
      switch Int.random(in: 0..<6, using: &numbers) {
      case 0:
        try redis.kill()
        try await Task.sleep(for: .milliseconds(300))
        try redis.start()
      case 1: try redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
      case 2: try redis.command("SCRIPT", "FLUSH")
      case 3: try redis.command("XTRIM", "ulb:{ulb}:changes", "MAXLEN", "1")
      case 4: all.randomElement(using: &numbers)!.process.send(signal: SIGSTOP)
      default: for one in all { one.process.send(signal: SIGCONT) }
      }
      try await Task.sleep(for: .milliseconds(Int.random(in: 0...100, using: &numbers)))
    }
    for one in all { one.process.send(signal: SIGCONT) }
    for one in all {
      try await one.wait("what is the last of all") { $0.realServers == expected }
    }
    for one in all { try await one.stop() }
  }

  @Test func clustersDoNotMix() async throws {
    let redis = try RedisProcess()
    let a = try SharedDirector("a", ["redis = unix://\(redis.path)", "cluster = one"])
    let b = try SharedDirector("b", ["redis = unix://\(redis.path)", "cluster = two"])
    let c = try SharedDirector("c", ["redis = unix://\(redis.path)", "cluster = one"])
    a.director.associate("10.50.0.2:5683", "10.70.1.2")
    try await c.wait("its cluster's client") { $0.count == 1 }
    try await b.wait("a report") { $0.report?.redis.state == .connected }
    #expect(b.director.count == 0)
    #expect(b.director.report?.peers == [])
    for one in [a, b, c] { try await one.stop() }
  }

  @Test func twoOfOneNameAreTold() async throws {
    let redis = try RedisProcess()
    let one = try SharedDirector("a", redis)
    let other = try SharedDirector("a", redis)
    try await one.wait("a warning") { _ in
      one.warnings.contains { $0.contains("is called a, too") }
        || other.warnings.contains { $0.contains("is called a, too") }
    }
    try await one.stop()
    try await other.stop()
  }

  @Test func aDaemonThatIsNotThereIsToldOnce() async throws {
    let redis = try RedisProcess()
    let a = try SharedDirector("a", redis)
    try await a.wait("a report") { $0.report?.redis.state == .connected }
    await a.director.stop()
    try a.process.waitForLine(containing: "trying again until it is there")
    try a.director.start()
    try a.process.waitForLine(containing: "\(a.director.path) is there again")
    #expect(a.warnings.count == 1)
    try await a.stop()
  }
}
