// Several CPUs at once, and a daemon that changes the list under traffic.
import BCC
import Foundation
import LoadBalancing
import Synchronization
import Testing

@Suite("Concurrency", .serialized)
struct ConcurrencyTests {
  /// Two CPUs run each frame at the same instant, and make the same of it.
  /// - Returns: the real server that each frame went to.
  private func serversOnTwoCPUs(_ director: Director, _ frames: [[UInt8]]) throws -> [IPAddress?] {
    let program = director.dataPlane.program
    let meeting = Meeting(of: 2)
    let work = {
      try frames.indices.map { index in
        meeting.wait(step: index)
        return Director.Outcome(try program.testRun(frame: frames[index]))
      }
    }
    let outcomes = try onCPUs(Array(usableCPUs.prefix(2)), [work, work])
    #expect(outcomes[0] == outcomes[1])
    return outcomes[0].map { $0.destination(director.addresses.family) }
  }

  @Test("CPUs that see a client at once agree on its server", arguments: AddressFamily.allCases)
  func agreement(family: AddressFamily) throws {
    try #require(usableCPUs.count >= 2, "this test needs two CPUs")
    let count = 4000
    let director = try Director(family, maxAssociations: 65536)
    let frames = (0..<count).map { director.addresses.request(client: $0).bytes }
    let servers = try serversOnTwoCPUs(director, frames)
    #expect(try director.servers(of: 0..<count) == servers)
    // All have their share: a client takes one turn, or two where both CPUs took one for it.
    for server in director.addresses.servers(1..<4) {
      #expect(servers.count { $0 == server } > count / 6)
    }
  }

  @Test(
    "CPUs that see a client at once whose server has left agree", arguments: AddressFamily.allCases)
  func agreementOnTheNext(family: AddressFamily) throws {
    try #require(usableCPUs.count >= 2, "this test needs two CPUs")
    let count = 4000
    let director = try Director(family, maxAssociations: 65536)
    let frames = (0..<count).map { director.addresses.request(client: $0).bytes }
    for frame in frames { #expect(try director.run(frame).verdict == .send) }
    let next = director.addresses.servers(4..<7)
    try director.dataPlane.apply(next)
    let servers = try serversOnTwoCPUs(director, frames)
    #expect(Set(servers) == Set(next))
    #expect(try director.servers(of: 0..<count) == servers)
  }

  @Test("a client and a server that write at once", arguments: AddressFamily.allCases)
  func agreementOfBothWays(family: AddressFamily) throws {
    try #require(usableCPUs.count >= 2, "this test needs two CPUs")
    let count = 4000
    let director = try Director(family, maxAssociations: 65536)
    let addresses = director.addresses
    let program = director.dataPlane.program
    let requests = (0..<count).map { addresses.request(client: $0).bytes }
    let replies = (0..<count).map { addresses.reply(server: 2, client: $0) }
    let replyFrames = replies.map(\.bytes)
    let meeting = Meeting(of: 2)
    func work(_ frames: [[UInt8]]) -> () throws -> [Director.Outcome] {
      {
        try frames.indices.map { index in
          meeting.wait(step: index)
          return Director.Outcome(try program.testRun(frame: frames[index]))
        }
      }
    }
    let outcomes = try onCPUs(
      Array(usableCPUs.prefix(2)), [work(requests), work(replyFrames)])
    for (index, reply) in replies.enumerated() {
      let given = outcomes[0][index].destination(family)
      let isItsClient = given == addresses.server(2)
      #expect(
        outcomes[1][index]
          == (isItsClient ? .send(reply.sent(from: addresses.virtualServer)) : .drop(reply)),
        "client \(index)")
    }
  }

  @Test("no packet sees half of a list", arguments: AddressFamily.allCases)
  func wholeLists(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    // One server is in both lists, at different places.
    let stable = addresses.server(500)
    let lists = [
      addresses.servers(1..<40) + [stable],
      [stable] + addresses.servers(101..<161),
    ]
    let sets = lists.map { Set($0) }
    let director = try Director(
      family, servers: lists[0], maxServers: 64, maxAssociations: 65536)
    let dataPlane = director.dataPlane
    let program = dataPlane.program
    let known = try (0..<80).map { ($0, try director.server(of: $0)) }
    let faithful = known.filter { $0.1 == stable }.map { addresses.request(client: $0.0).bytes }
    #expect(faithful.count == 2)
    let others = (0..<20).map { addresses.request(client: $0).bytes }
    let newcomers = (1000..<21000).map { addresses.request(client: $0).bytes }

    // Odd while a list is being applied; half of it tells which is in force.
    let epoch = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
    struct Tally { var judged = 0, misdirected = 0, moved = 0 }
    let traffic = { () throws -> Tally in
      defer { isOver.store(true, ordering: .releasing) }
      var tally = Tally()
      func judge(_ frame: [UInt8]) throws {
        let before = epoch.load(ordering: .sequentiallyConsistent)
        let outcome = Director.Outcome(try program.testRun(frame: frame))
        let after = epoch.load(ordering: .sequentiallyConsistent)
        guard let server = outcome.destination(family) else {
          tally.misdirected += 1
          return
        }
        let candidates =
          before == after && before % 2 == 0
          ? [sets[before / 2 % 2]]
          : Array(Set((before / 2...(after + 1) / 2).map { $0 % 2 })).map { sets[$0] }
        if !candidates.contains(where: { $0.contains(server) }) { tally.misdirected += 1 }
        if candidates.count == 1 { tally.judged += 1 }
      }
      for (index, newcomer) in newcomers.enumerated() {
        try judge(newcomer)
        try judge(others[index % others.count])
        let outcome = Director.Outcome(
          try program.testRun(frame: faithful[index % faithful.count]))
        if outcome.destination(family) != stable { tally.moved += 1 }
      }
      return tally
    }
    let changes = { () throws -> Tally in
      while !isOver.load(ordering: .acquiring) {
        let now = epoch.add(1, ordering: .sequentiallyConsistent).newValue
        try dataPlane.apply(lists[(now + 1) / 2 % 2])
        epoch.add(1, ordering: .sequentiallyConsistent)
        // Packets in between, which can be told to belong to this list.
        usleep(500)
      }
      return Tally()
    }
    let cpus = [usableCPUs[0], usableCPUs[min(1, usableCPUs.count - 1)]]
    let tally = try onCPUs(cpus, [traffic, changes])[0]
    let applied = epoch.load(ordering: .acquiring) / 2
    #expect(tally.misdirected == 0)
    #expect(tally.moved == 0)
    // It was tried: many changes, and packets that could be judged by one list alone.
    #expect(applied > 100)
    #expect(tally.judged > 1000)
  }
}
