// What the log says of what the control socket has set.
import LoadBalancing
import Testing

@testable import ulb

@Suite struct OverrideMessageTests {
  private static func configuration(_ count: UInt8 = 2) -> Configuration {
    Configuration(
      interface: "eth0", virtualServer: IPAddress("10.0.0.1")!,
      realServers: (0..<count).map { IPAddress(octets: [10, 0, 0, 2 + $0]) }, ports: [5683]
    ) {
      $0.virtualServers.append(
        VirtualServer(
          name: "a", address: IPAddress("10.0.0.9")!, ports: [1],
          realServers: [RealServer(IPAddress("10.0.0.2")!)]))
    }
  }

  @Test func whatIsInForceIsToldAtTheStart() {
    var configuration = Self.configuration()
    #expect(configuration.overrides.messages(in: configuration) == [])
    for (state, weight, server, index) in [
      (.draining, nil, "10.0.0.3", 0), (nil, 3, "10.0.0.2", 0), (.up, 0, "10.0.0.2", 1),
    ] as [(RealServer.State?, Int?, String, Int)] {
      configuration.overrides.set(
        state: state, weight: weight, of: IPAddress(server)!,
        behind: configuration.virtualServers[index])
    }
    let messages = configuration.overrides.messages(in: configuration)
    #expect(
      messages.map(\.text) == [
        "Real server 10.0.0.2 of 10.0.0.1: with weight 3, as the control socket has set it.",
        "Real server 10.0.0.3 of 10.0.0.1: draining, as the control socket has set it.",
        "Real server 10.0.0.2 of a: up with weight 0, as the control socket has set it.",
      ])
    #expect(messages.map(\.virtualServer) == ["10.0.0.1", "10.0.0.1", "a"])
  }

  @Test func manyAreCounted() {
    var configuration = Self.configuration(11)
    for server in configuration.realServers {
      configuration.overrides.set(
        state: .down, weight: nil, of: server, behind: configuration.virtualServers[0])
    }
    let messages = configuration.overrides.messages(in: configuration)
    #expect(messages.count == 9)
    #expect(messages[8].text == "3 more real servers are as the control socket has set them.")
  }

  @Test func whatHasEndedIsToldWithTheReason() {
    let configuration = Self.configuration()
    func message(_ name: String?, _ setting: RealServer.Setting?) -> VirtualServerMessage {
      Overrides.Ended(
        target: Overrides.Target(name: name, address: IPAddress("10.0.0.3")!), configured: setting
      ).message(in: configuration)
    }
    #expect(
      message(nil, RealServer.Setting(state: .up, weight: 2))
        == VirtualServerMessage(
          text: "Real server 10.0.0.3 of 10.0.0.1: up with weight 2, as the configuration says "
            + "again: it has changed there.", virtualServer: "10.0.0.1"))
    #expect(
      message("b", nil)
        == VirtualServerMessage(
          text: "Real server 10.0.0.3 of b: what the control socket had set has ended: it is no "
            + "longer listed.", virtualServer: "b"))
  }
}
