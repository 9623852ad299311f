// What the log says of a configuration and of its changes.

import Testing

@testable import LoadBalancing

@Suite struct PictureTests {
  static func configuration(servers: Int, ports: ClosedRange<UInt16>) throws -> Configuration {
    let virtualServer = try #require(IPAddress("10.40.0.1"))
    return Configuration(
      interface: "eth0", virtualServer: virtualServer, realServers: addresses(servers),
      ports: Array(ports))
  }

  static func addresses(_ count: Int) -> [IPAddress] {
    (0..<count).map { IPAddress(octets: [10, 41, UInt8($0 >> 8), UInt8($0 & 255)]) }
  }

  @Test func thePictureIsThatOfTheOriginal() throws {
    #expect(
      try Self.configuration(servers: 3, ports: 5683...5684).picture == """
        Load balancing UDP traffic over eth0 interface for port(s) [5683, 5684] :
         Virtual Server           Real Server(s)
              10.40.0.1 <───┬───> 10.41.0.0
                            ├───> 10.41.0.1
                            └───> 10.41.0.2
        """)
    #expect(
      try Self.configuration(servers: 1, ports: 53...53).picture
        .hasSuffix("\n      10.40.0.1 <───────> 10.41.0.0"))
  }

  @Test func longListsAreSummedUp() throws {
    let configuration = try Self.configuration(servers: 40_000, ports: 1...40_001)
    let lines = configuration.picture.split(separator: "\n")
    #expect(
      lines[0] == "Load balancing UDP traffic over eth0 interface for 40,001 ports :")
    #expect(lines.count == 34)
    #expect(lines[33].hasSuffix(" └───> and 39,969 more"))
    #expect(configuration.liveSummary == "40,001 ports, log level ERROR, debug 0")
    let all = try Self.configuration(servers: 32, ports: 1...32)
    #expect(all.picture.hasSuffix(" └───> 10.41.0.31"))
    #expect(all.liveSummary.hasPrefix("port(s) [1, 2, 3, "))
    let more = try Self.configuration(servers: 33, ports: 1...33)
    #expect(more.picture.hasSuffix(" └───> and 2 more"))
    #expect(more.liveSummary.hasPrefix("33 ports, "))
  }

  @Test func portsOfTheConfigFileAreThoseThatAreDrawn() throws {
    var configuration = try Self.configuration(servers: 1, ports: 1...1)
    configuration.liveSettings.ports = [7]
    #expect(configuration.picture.contains("for port(s) [7] :"))
  }

  static func server(_ address: String, _ weight: Int = 1, _ state: RealServer.State = .up)
    -> RealServer
  {
    RealServer(IPAddress(address)!, weight: weight, state: state)
  }

  @Test func furtherVirtualServersAreDrawnBelow() throws {
    var configuration = try Self.configuration(servers: 1, ports: 5683...5683)
    configuration.liveSettings.scheduler = .maglev
    configuration.virtualServers[0].realServers += [
      Self.server("10.41.0.1", 3), Self.server("10.41.0.2", 0), Self.server("10.41.0.3", 1, .down),
    ]
    configuration.virtualServers += [
      VirtualServer(
        name: "lwm2m-v6", address: IPAddress("fd60::10")!, ports: [5683, 5684], scheduler: .maglev,
        realServers: [Self.server("fd70:1::2"), Self.server("fd70:2::2", 2, .draining)]),
      VirtualServer(
        name: "dns", address: IPAddress("10.40.0.2")!, ports: [53],
        realServers: [Self.server("10.41.0.9")]),
    ]
    #expect(
      configuration.picture == """
        Load balancing UDP traffic over eth0 interface for port(s) [5683], scheduler maglev :
         Virtual Server           Real Server(s)
              10.40.0.1 <───┬───> 10.41.0.0
                            ├───> 10.41.0.1 (weight 3)
                            ├───> 10.41.0.2 (drain)
                            └───> 10.41.0.3 (down)
        Virtual server lwm2m-v6 for port(s) [5683, 5684], scheduler maglev :
                                 Virtual Server           Real Server(s)
                                       fd60::10 <───┬───> fd70:1::2
                                                    └───> fd70:2::2 (weight 2, drain)
        Virtual server dns for port(s) [53] :
         Virtual Server           Real Server(s)
              10.40.0.2 <───────> 10.41.0.9
        """)
  }

  @Test(arguments: [(1, 34), (8, 34), (16, 18), (63, 6)])
  func manyVirtualServersAreDrawnShorter(_ count: Int, _ linesOfEach: Int) throws {
    var configuration = try Self.configuration(servers: 40, ports: 5683...5683)
    for number in 1...count {
      configuration.virtualServers.append(
        VirtualServer(
          name: "n\(number)", address: IPAddress("10.40.1.\(number)")!, ports: [1],
          realServers: Self.addresses(40).map { RealServer($0) }))
    }
    let lines = configuration.picture.split(separator: "\n")
    #expect(lines.count == 34 + count * linesOfEach)
    #expect(lines.last?.hasSuffix("└───> and \(40 - (linesOfEach - 3)) more") == true)
  }

  @Test(arguments: [
    (0, "0"), (999, "999"), (1000, "1,000"), (40_001, "40,001"), (-1_234_567, "-1,234,567"),
  ])
  func numbersAreGrouped(_ number: Int, _ text: String) {
    #expect(grouped(number) == text)
  }
}
