// Whether packets under load arrived, and where those went that did not.
import Foundation
import TestSupport
import Testing

/// What happened to packets elsewhere than in ulb's program.
struct Losses {
  /// Frames on the wires, datagrams in the sockets of the real servers.
  let outside: Int
  /// What reached the director's own kernel, which has no socket on these ports.
  let unbalanced: Int

  init(_ topology: Topology) throws {
    let namespaces =
      [topology.client, topology.gateway, topology.director] + topology.realServers
    outside =
      try namespaces.reduce(0) { try $0 + KernelCounters.drops(in: $1) }
      + topology.realServers.reduce(0) { try $0 + KernelCounters.udp("RcvbufErrors", in: $1) }
    unbalanced = try KernelCounters.udp("NoPorts", in: topology.director)
  }
}

/// Ends the traffic: none was lost by ulb, none misdirected, no client was moved.
func expectNobodyNoticed(
  _ load: Load, _ topology: Topology, since before: Losses,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  #expect(load.waitForRate(20_000), sourceLocation: sourceLocation)
  let (sent, heard, answers) = load.stop()
  let after = try Losses(topology)
  let total = sent.ofPhase.reduce(0, +)
  let rate = Double(total) / (sent.time / .seconds(1))
  let lost = sent.ofPhase.indices.map { phase in
    sent.ofPhase[phase] - heard.reduce(0) { $0 + $1.ofPhase[phase] }
  }
  let questions = heard.reduce(0) { $0 + $1.answers }
  let outside = after.outside - before.outside
  print(
    """
    load: \(total) packets, \(Int(rate)) a second; lost in each phase \(lost), \(outside) of them \
    elsewhere; \(questions) answers, \(questions - answers.right) lost
    """)
  #expect(sent.refused == 0, sourceLocation: sourceLocation)
  let serversOf = (0..<Load.clients).map { client in heard.count { $0.ofClient[client] > 0 } }
  #expect(serversOf.count { $0 != 1 } == 0, sourceLocation: sourceLocation)
  #expect(heard.allSatisfy { $0.strangers == 0 }, sourceLocation: sourceLocation)
  #expect(answers.wrong == 0, sourceLocation: sourceLocation)
  #expect(after.unbalanced == before.unbalanced, sourceLocation: sourceLocation)
  #expect(lost.reduce(0, +) <= outside, sourceLocation: sourceLocation)
  #expect(questions - answers.right <= outside, sourceLocation: sourceLocation)
}
