// Several directors, of which one goes now and then, under load: no client that is known changes its
// server. With the real keepalived, bird and Redis, each in a namespace of its own, and with the
// package's examples as their configuration.
import Foundation
import LoadBalancing
import TestSupport
import Testing

/// One at a time: each takes what the machine has.
@Suite(.serialized) struct FailoverTests {
  /// How a director ends.
  private enum End: CaseIterable {
    /// Its power fails: its links are down, and switches know it.
    case power
    /// It hangs: nothing runs any more, and its links are up.
    case processes
    /// An operator stops it.
    case stop
    /// Its power fails while Redis is started anew, empty.
    case powerAndRedis
  }

  /// - Returns: how often each end is met. More than once is for who wants to know how long the outages
  ///   are.
  private static var rounds: Int {
    ProcessInfo.processInfo.environment["ULB_FAILOVER_ROUNDS"].flatMap { Int($0) } ?? 1
  }

  @Test(arguments: AddressFamily.allCases)
  func theActiveDirectorGoes(_ family: AddressFamily) async throws {
    let fleet = try Fleet(directors: 2)
    try fleet.start()
    let load = try load(fleet, family)
    var outages: [Duration] = []
    for _ in 0..<Self.rounds {
      for end in End.allCases {
        let (active, standby) = try fleet.activeAndStandby()
        // Each client has an association there before it is asked.
        try await fleet.waitForAgreement(load)
        if outages.isEmpty { load.forgetServers() }
        let silence = load.watchForSilence()
        switch end {
        case .power: try active.fail(linksToo: true)
        case .processes: try active.fail(linksToo: false)
        case .stop: try active.stop()
        case .powerAndRedis:
          try fleet.restartRedis()
          try active.fail(linksToo: true)
        }
        #expect(waitUntil { standby.isActive }, "\(end)")
        #expect(load.waitForRound(), "\(end)")
        outages.append(silence.end())
        // Before that, what comes back gets packets of clients that it does not know yet.
        #expect(
          try await waitUntilAnswered { try fleet.gatewaySends(to: standby, family) }, "\(end)")
        #expect(!standby.hasRespawned, "\(standby.keepalived?.transcript ?? "")")
        try active.connect()
        // Who knows nobody yet does not become active: keepalived is started last.
        try active.start()
      }
    }
    print("outages with \(family): \(outages.sorted())")
    try expectSameServers(load)
  }

  /// A client that has not answered yet answers through another director than what it was written by.
  @Test(arguments: AddressFamily.allCases) func aServerWroteFirst(_ family: AddressFamily)
    async throws
  {
    let fleet = try Fleet(directors: 2)
    try fleet.start()
    let (active, standby) = try fleet.activeAndStandby()
    let topology = fleet.topology
    let servers = try topology.realServers.indices.map { number in
      try UDPSocket(
        in: topology.realServers[number], address: Topology.realServer(number, family),
        port: Network.port)
    }
    let client = try UDPSocket(
      in: topology.client, address: Topology.clientAddress(family),
      port: topology.unusedClientPort())
    let virtualServer = Endpoint(Topology.virtualServer(family), Network.port)
    // Another one than that whose turn it is.
    let server = servers[2]
    try server.send("news", to: client.endpoint)
    #expect(try client.receive() == ReceivedDatagram(payload: "news", source: virtualServer))
    #expect(
      try await waitUntilAnswered {
        try await standby.server(of: client.endpoint) == server.endpoint.address
      })
    try active.fail(linksToo: true)
    #expect(waitUntil { standby.isActive })
    try client.send("thanks", to: virtualServer)
    #expect(
      try server.receive() == ReceivedDatagram(payload: "thanks", source: client.endpoint))
  }

  /// Two directors that cannot hear each other are both active, and agree again afterwards.
  @Test(arguments: [AddressFamily.ipv6])
  func bothAreActive(_ family: AddressFamily) async throws {
    let fleet = try Fleet(directors: 2)
    try fleet.start()
    let load = try load(fleet, family)
    try await fleet.waitForAgreement(load)
    load.forgetServers()
    try fleet.split(true)
    #expect(waitUntil { fleet.active.count == 2 })
    sleep(5)
    try fleet.split(false)
    #expect(waitUntil { fleet.active.count == 1 })
    #expect(load.waitForRound())
    try expectSameServers(load)
  }

  /// Packets are spread over directors that come and go.
  @Test(arguments: [AddressFamily.ipv6])
  func oneOfManyGoesAndComes(_ family: AddressFamily) async throws {
    let fleet = try Fleet(directors: 3, scheduler: "maglev", routing: .bird)
    try fleet.start()
    #expect(waitUntil { fleet.announced == 3 })
    let load = try load(fleet, family)
    for round in 0..<(3 * Self.rounds) {
      let director = fleet.directors[round % 3]
      try await fleet.waitForAgreement(load)
      if round == 0 { load.forgetServers() }
      try director.fail(linksToo: true)
      #expect(waitUntil { fleet.announced == 2 })
      #expect(load.waitForRound())
      try director.connect()
      try director.start()
      #expect(waitUntil { fleet.announced == 3 })
    }
    try expectSameServers(load)
    for director in fleet.directors { try director.fail(linksToo: true) }
    for family in AddressFamily.allCases {
      #expect(try await waitUntilAnswered { try fleet.isAnswerLost(family) }, "\(family)")
    }
  }

  /// Starts traffic, and waits until each client is known.
  private func load(_ fleet: Fleet, _ family: AddressFamily) throws -> Load {
    let load = try Load(
      fleet.topology, to: Endpoint(Topology.virtualServer(family), Network.port), answered: 7,
      newcomers: 200)
    guard waitUntil({ load.knownClients == Load.clients }) else {
      throw TimedOut("all clients; \(load.knownClients) are known")
    }
    return load
  }

  /// Ends the traffic: every client had one server, and answers came from the virtual server alone.
  private func expectSameServers(
    _ load: Load, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(load.waitForRate(20_000), sourceLocation: sourceLocation)
    let (sent, heard, answers) = load.stop()
    let total = sent.ofPhase.reduce(0, +)
    let arrived = heard.reduce(0) { $0 + $1.ofPhase.reduce(0, +) }
    print(
      "failover: \(total) packets, \(total - arrived) lost; "
        + "\(heard.reduce(0) { $0 + $1.newcomers }) new clients heard")
    let serversOf = (0..<Load.clients).map { client in heard.count { $0.ofClient[client] > 0 } }
    #expect(serversOf.count { $0 != 1 } == 0, sourceLocation: sourceLocation)
    #expect(heard.allSatisfy { $0.strangers == 0 }, sourceLocation: sourceLocation)
    #expect(answers.wrong == 0 && answers.right > 0, sourceLocation: sourceLocation)
  }
}
