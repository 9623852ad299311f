// Thousands of clients send without a pause through everything that happens to a daemon.
import Foundation
import TestSupport
import Testing

extension SystemdTests {
  @Suite struct UnderLoad {
    private static let rounds = 20
    private enum Phase: Int, CaseIterable {
      case before, start, restarts, kills, swaps
    }

    /// The levels that say nothing of normal traffic, and another port in each round.
    private static func settings(_ round: Int) -> String {
      let level = ["WARNING", "ERROR", "CRITICAL", "INFO"][round % 4]
      return "loglevel = \(level)\nport = \(Network.port) \(10_000 + round)"
    }

    @Test func nobodyNoticesRestartsKillsAndSwaps() throws {
      let unit = try Unit()
      let (topology, container) = (unit.topology, unit.container)
      let servers = (0..<3).map { Topology.realServer($0, .ipv4) }
      // What reaches the director's own kernel was not balanced: it has no socket on that port.
      func unbalanced() throws -> Int {
        try KernelCounters.snmp("Udp", "NoPorts", in: topology.director)
      }
      let load = try Load(topology)
      #expect(try waitUntil { try unbalanced() > 0 })
      #expect(load.knownClients == 0)
      try unit.systemctl("start")
      load.enter(phase: Phase.start.rawValue)
      #expect(waitUntil { load.knownClients == Load.clients })
      let unbalancedBefore = try unbalanced()

      load.enter(phase: Phase.restarts.rawValue)
      for _ in 0..<Self.rounds {
        let former = try unit.mainPID()
        try unit.systemctl("restart")
        #expect(try unit.mainPID() != former)
        #expect(load.waitForRound())
      }
      load.enter(phase: Phase.kills.rawValue)
      for _ in 0..<Self.rounds {
        let former = try unit.mainPID()
        try unit.signal(SIGKILL)
        try unit.waitForSuccessor(of: former)
        #expect(load.waitForRound())
      }
      load.enter(phase: Phase.swaps.rawValue)
      for round in 0..<Self.rounds {
        try unit.list(servers, settings: Self.settings(round))
        if round % 2 == 0 { try unit.systemctl("reload") }
        try unit.waitForJournal("compiled anew", times: round + 1)
        #expect(load.waitForRound())
      }
      let unbalancedAfter = try unbalanced()
      let drops =
        try KernelCounters.drops(in: topology.gateway)
        + KernelCounters.drops(in: topology.director)
      let overflows = try topology.realServers.reduce(0) {
        try $0 + KernelCounters.snmp("Udp", "RcvbufErrors", in: $1)
      }
      let (sent, heard, answers) = load.stop()

      let total = sent.ofPhase.reduce(0, +)
      let rate = Double(total) / (sent.time / .seconds(1))
      print("load: \(total) packets of \(Load.clients) clients, \(Int(rate)) a second")
      var lost = 0
      for phase in Phase.allCases where phase != .before {
        let sent = sent.ofPhase[phase.rawValue]
        let arrived = heard.reduce(0) { $0 + $1.ofPhase[phase.rawValue] }
        print("load: \(phase): \(sent) sent, \(sent - arrived) lost")
        lost += sent - arrived
      }
      let questions = heard.reduce(0) { $0 + $1.answers }
      print(
        """
        load: \(overflows) lost in the servers' sockets, \(drops) on the wires; \
        \(questions) answers, \(questions - answers.right) lost
        """)

      #expect(rate >= 20_000)
      #expect(total > 1_000_000)
      #expect(sent.refused == 0)
      // Each client was heard, and by one server alone.
      let serversOf = (0..<Load.clients).map { client in heard.count { $0.ofClient[client] > 0 } }
      #expect(serversOf.count { $0 != 1 } == 0)
      #expect(heard.allSatisfy { $0.strangers == 0 })
      #expect(answers.wrong == 0)
      // Not one passed by the program. A program detached for a tenth of a second costs 2,200.
      #expect(unbalancedAfter == unbalancedBefore)
      #expect((0..<1_000).contains(lost))
      #expect((0..<1_000).contains(questions - answers.right))
      #expect(try container.run("systemctl", "is-active", Unit.name) == "active")
      try unit.systemctl("stop")
    }
  }
}
