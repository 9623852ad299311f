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

  @Test func aChangeNamesWhoCameAndWent() throws {
    var plan = ServerPlan(capacity: 80_000)
    #expect(try plan.apply([]).summary == "no server came or went")
    #expect(try plan.apply(Self.addresses(2)).summary == "added 10.41.0.0, 10.41.0.1")
    #expect(try plan.apply(Self.addresses(10)).summary.hasPrefix("added 10.41.0.2, 10.41.0.3, "))
    #expect(try plan.apply([]).summary == "removed 10 servers")
    #expect(try plan.apply(Self.addresses(9)).summary == "added 9 servers")
    let change = try plan.apply(Array(Self.addresses(40_000).dropFirst()))
    #expect(change.summary == "added 39,991 servers; removed 10.41.0.0")
  }

  @Test(arguments: [
    (0, "0"), (999, "999"), (1000, "1,000"), (40_001, "40,001"), (-1_234_567, "-1,234,567"),
  ])
  func numbersAreGrouped(_ number: Int, _ text: String) {
    #expect(grouped(number) == text)
  }
}
