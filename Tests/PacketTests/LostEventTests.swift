// Events that nobody takes in time are counted, and cost no packet.
import LoadBalancing
import Testing

@Suite("Lost events", .serialized)
struct LostEventTests {
  @Test("what is not taken is counted", arguments: AddressFamily.allCases)
  func counted(family: AddressFamily) throws {
    // The level at which the ring buffer is smallest, and a row that is an event there.
    let director = try Director(
      family, level: .error, virtualServer: .unspecified(family))
    let datagram = director.addresses.request(client: 1)
    let frame = datagram.bytes
    #expect(director.dataPlane.lostEvents() == 0)
    for round in 0..<2 {
      let sent = 8000
      for _ in 0..<sent { #expect(try director.run(frame) == .pass(datagram)) }
      let taken = director.events()
      let lost = Int(director.dataPlane.lostEvents())
      #expect(lost > 0 && taken.count > 0)
      #expect(taken.count + lost == sent, "round \(round)")
      #expect(taken.allSatisfy { $0.event == .noVirtualServer && $0.source == datagram.source })
      #expect(director.dataPlane.lostEvents() == 0)
    }
    // Once there is room again, nothing is lost.
    for _ in 0..<100 { _ = try director.run(frame) }
    #expect(director.events().count == 100)
    #expect(director.dataPlane.lostEvents() == 0)
  }

  @Test("translation goes on without a reader", arguments: AddressFamily.allCases)
  func forwarding(family: AddressFamily) throws {
    let director = try Director(family, level: .debug)
    let datagram = director.addresses.request(client: 1)
    let frame = datagram.bytes
    let expected = datagram.sent(to: director.addresses.server(1)).bytes
    let sent = 60000
    var wrong = 0
    for _ in 0..<sent {
      let outcome = try director.dataPlane.program.testRun(frame: frame)
      if outcome.verdict != Verdict.send.rawValue || outcome.frame != expected { wrong += 1 }
    }
    #expect(wrong == 0)
    let taken = director.events().count
    let lost = Int(director.dataPlane.lostEvents())
    #expect(lost > 0)
    #expect(taken + lost == sent)
  }

  @Test("taken in parts", arguments: AddressFamily.allCases)
  func limit(family: AddressFamily) throws {
    let director = try Director(family, level: .trace)
    for client in 1...10 { _ = try director.server(of: client) }
    var sources: [IPAddress] = []
    for expected in [4, 4, 2, 0] {
      #expect(director.dataPlane.consumeEvents(limit: 4) { sources.append($0.source) } == expected)
    }
    #expect(sources == (1...10).map(director.addresses.client))
  }
}
