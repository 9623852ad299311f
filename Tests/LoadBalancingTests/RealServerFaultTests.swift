// Addresses that cannot be a real server's: who they are, what is said of them, what is served.

import Testing

@testable import LoadBalancing

@Suite struct RealServerFaultTests {
  static func configuration(_ virtualServer: String, _ servers: [String]) -> Configuration {
    Configuration(
      interface: "eth0", virtualServer: IPAddress(virtualServer)!,
      realServers: servers.map { IPAddress($0)! }, ports: [53])
  }

  static let director = DirectorAddresses(
    own: Set(["10.60.0.2", "10.60.0.10", "fd60::2"].map { IPAddress($0)! }),
    broadcast: Set(["10.60.0.255", "0.0.0.0"].map { IPAddress($0)! }))

  @Test(arguments: [
    ("10.60.0.10", "10.60.0.10", RealServerFault.virtualServer),
    ("10.60.0.10", "0.0.0.0", .unspecified), ("0.0.0.0", "0.0.0.0", .virtualServer),
    ("10.60.0.10", "127.0.0.1", .loopback), ("10.60.0.10", "127.255.255.255", .loopback),
    ("10.60.0.10", "224.0.0.0", .multicast), ("10.60.0.10", "239.255.255.255", .multicast),
    ("10.60.0.10", "255.255.255.255", .broadcast), ("10.60.0.10", "10.60.0.255", .broadcast),
    ("10.60.0.10", "10.60.0.2", .director), ("10.60.0.11", "10.60.0.10", .director),
    ("fd60::10", "fd60::10", .virtualServer), ("fd60::10", "::", .unspecified),
    ("fd60::10", "::1", .loopback), ("fd60::10", "ff00::", .multicast),
    ("fd60::10", "ff02::1", .multicast), ("fd60::10", "fd60::2", .director),
  ])
  func anAddressThatCannotBeARealServers(
    _ virtualServer: String, _ address: String, _ fault: RealServerFault
  ) throws {
    let configuration = Self.configuration(virtualServer, ["10.70.1.2", address, address])
    #expect(
      configuration.warnings(on: Self.director) == [
        "real server \(address) is given no client: it is \(fault.what); take it off the list"
      ])
    #expect(try configuration.served(on: Self.director).realServers == [IPAddress("10.70.1.2")!])
    let alone = Self.configuration(virtualServer, [address])
    #expect(
      throws: ConfigurationError(
        message: "no real server can be given a client: \(address) is \(fault.what). "
          + "See options -vs and -rs.", element: .realServer(virtualServer: 0, index: 0))
    ) { try alone.served(on: Self.director) }
    #expect(
      alone.warnings(on: Self.director).last?
        .hasPrefix("a start would be refused: no real server can be given a client: ") == true)
  }

  @Test(arguments: [
    "126.255.255.255", "128.0.0.0", "223.255.255.255", "240.0.0.0", "255.255.255.254", "0.0.0.1",
    "10.60.0.11", "::2", "1::1", "fe80::1", "feff::", "0:0:0:1::", "::7f00:1", "e000::",
  ])
  func itsNeighbourCan(_ address: String) throws {
    let configuration = Self.configuration("10.60.0.10", [address, address])
    #expect(configuration.warnings(on: Self.director) == [])
    #expect(try configuration.served(on: Self.director) == configuration)
  }

  @Test func manyAreSummedUp() {
    let servers = (0..<3000).map { "127.0.\($0 >> 8).\($0 & 255)" }
    let warnings = Self.configuration("10.60.0.10", servers).warnings(on: Self.director)
    #expect(warnings.count == 10)
    #expect(warnings[8] == "2,992 more real servers are given no client")
    #expect(warnings[9].count < 500)
  }

  @Test func eachVirtualServersAreLookedAt() throws {
    var configuration = Self.configuration("10.60.0.11", ["10.70.1.2"])
    configuration.virtualServers += [
      VirtualServerRuleTests.server("six", "fd60::10", [53], ["::1", "fd70::1", "fd60::10"]),
      VirtualServerRuleTests.server("x", "10.60.0.12", [53], ["10.60.0.11", "10.70.1.3"]),
    ]
    #expect(
      configuration.warnings(on: Self.director) == [
        "virtual server six: real server ::1 is given no client: it is a loopback address; "
          + "take it off the list",
        "virtual server six: real server fd60::10 is given no client: it is the virtual server's "
          + "own address; take it off the list",
        "virtual server x: real server 10.60.0.11 is given no client: it is the address of another "
          + "virtual server; take it off the list",
      ])
    let served = try configuration.served(on: Self.director)
    #expect(
      served.virtualServers.map { $0.realServers.map(\.address.description) }
        == [["10.70.1.2"], ["fd70::1"], ["10.70.1.3"]])
    configuration.virtualServers[2].realServers.removeLast()
    #expect(
      throws: ConfigurationError(
        message:
          "virtual server x: no real server can be given a client: 10.60.0.11 is the address "
          + "of another virtual server. List one that can.",
        element: .realServer(virtualServer: 2, index: 0))
    ) { try configuration.served(on: Self.director) }
    #expect(
      configuration.warnings(on: Self.director).last?
        .hasPrefix("a start would be refused: virtual server x: no real server can be") == true)
  }

  @Test func whoIsLeftKeepsWeightAndState() throws {
    var configuration = Self.configuration("10.60.0.11", ["127.0.0.1", "10.70.1.2"])
    configuration.virtualServers[0].realServers[1].weight = 3
    configuration.virtualServers[0].realServers[1].state = .draining
    #expect(
      try configuration.served(on: Self.director).virtualServers[0].realServers
        == [RealServer(IPAddress("10.70.1.2")!, weight: 3, state: .draining)])
  }
}
