// The rules for what fits together in a configuration, and what asks for another program.
import Testing

@testable import LoadBalancing

/// Why a configuration is refused; `nil` where it is not.
private func fault(of configuration: Configuration) -> ConfigurationError? {
  do throws(ConfigurationError) {
    try configuration.validate()
    return nil
  } catch {
    return error
  }
}

@Suite struct ConfigurationTests {
  private static func configuration(
    servers: [String] = ["10.40.0.2", "10.40.0.3"], ports: [UInt16] = [5683, 5684],
    adjust: (inout Configuration) -> Void = { _ in }
  ) -> Configuration {
    Configuration(
      interface: "eth0", virtualServer: IPAddress("10.40.0.1")!,
      realServers: servers.map { IPAddress($0)! }, ports: ports, adjust: adjust)
  }

  @Test func asManyAsTheMaximaAllowFit() {
    let full = Self.configuration {
      $0.maxPorts = 2
      $0.maxRealServers = 2
    }
    #expect(fault(of: full) == nil)
    #expect(
      fault(of: Self.configuration { $0.maxPorts = 1 })?.message.hasPrefix(
        "too many ports, 2 ports configured, 1 maximum allowed") == true)
    let servers = fault(of: Self.configuration { $0.maxRealServers = 1 })
    #expect(servers?.element == .realServer(virtualServer: 0, index: 1))
    #expect(servers?.message.hasPrefix("too many real servers, 2 real servers") == true)
  }

  @Test func realServersAreOfTheVirtualServersFamily() {
    let mixed = fault(of: Self.configuration(servers: ["10.40.0.2", "fd00::2"]))
    #expect(mixed?.element == .realServer(virtualServer: 0, index: 1))
    #expect(mixed?.message.contains("fd00::2 seems to be ipv6 address. ipv4 is expected") == true)
  }

  @Test func zeroIsNoPort() {
    #expect(
      fault(of: Self.configuration(ports: [5683, 0]))?.element == .port(virtualServer: 0, index: 1)
    )
    #expect(fault(of: Self.configuration(ports: [1, 65535])) == nil)
  }

  @Test(arguments: ["-mp", "-mrs", "-ma"])
  func aMaximumOfZeroIsNone(_ option: String) {
    let error = fault(
      of:
        Self.configuration(servers: [], ports: []) {
          switch option {
          case "-mp": $0.maxPorts = 0
          case "-mrs": $0.maxRealServers = 0
          default: $0.maxAssociations = 0
          }
        })
    #expect(error?.message == "a maximum must be at least 1, 0 given. See option \(option).")
  }

  @Test func thereAreNoMoreRealServersThanAnAssociationCanTell() {
    #expect(fault(of: Self.configuration { $0.maxRealServers = 65_535 }) == nil)
    for count in [65_536, .max] as [UInt32] {
      let error = fault(of: Self.configuration { $0.maxRealServers = count })
      #expect(
        error?.message
          == "a maximum of real servers must be at most 65535, \(count) given, as an association "
          + "has 16 bits for its real server. See option -mrs.")
    }
  }

  @Test func liveSettingsStandOverTheCommandLinesAndAreCheckedToo() {
    let live = Self.configuration {
      $0.maxPorts = 2
      $0.liveSettings = LiveSettings(logLevel: .debug, debug: 3, ports: [53])
    }
    #expect(fault(of: live) == nil)
    #expect(live.effective.ports == [53])
    #expect(live.effective.debug == 3)
    #expect(live.effective.logLevel == .debug)
    #expect(live.effective.effective == live.effective)
    var tooMany = live
    tooMany.liveSettings.ports = [1, 2, 3]
    #expect(fault(of: tooMany)?.message.hasPrefix("too many ports, 3") == true)
    // The command line's own are not forgotten over them.
    var hidden = live
    hidden.ports = [1, 2, 3]
    #expect(fault(of: hidden)?.message.hasPrefix("too many ports, 3") == true)
  }

  @Test func theConfigFileSaysWhetherGatewaysAreVerified() {
    for (given, live, expected) in [
      (false, nil, false), (true, nil, true), (false, true, true), (true, false, false),
    ] as [(Bool, Bool?, Bool)] {
      let configuration = Self.configuration {
        $0.verifiesGateway = given
        $0.liveSettings.verifiesGateway = live
      }
      #expect(configuration.effective.verifiesGateway == expected)
      #expect(configuration.effective.liveSummary.hasSuffix(", gateways verified") == expected)
    }
  }

  @Test func theConfigFilesSchedulerStandsOverTheDefault() {
    let live = Self.configuration { $0.liveSettings.scheduler = .maglev }
    #expect(live.virtualServers[0].scheduler == .roundRobin)
    #expect(live.effective.virtualServers[0].scheduler == .maglev)
    #expect(live.effective.isRendered(differentlyFrom: live))
  }

  @Test func portsLevelAndDebugFlagsAskForAnotherProgramAndNothingElseDoes() {
    let before = Self.configuration()
    let same = Self.configuration(servers: ["10.40.0.9"]) { $0.stateInterval = 7 }
    #expect(!same.isRendered(differentlyFrom: before))
    for other in [
      Self.configuration(ports: [5683]), Self.configuration { $0.logLevel = .info },
      Self.configuration { $0.debug = 1 },
    ] {
      #expect(other.isRendered(differentlyFrom: before))
    }
  }
}

@Suite struct VirtualServerRuleTests {
  static func server(
    _ name: String?, _ address: String, _ ports: [UInt16], _ servers: [String]
  ) -> VirtualServer {
    VirtualServer(
      name: name, address: IPAddress(address)!, ports: ports,
      realServers: servers.map { RealServer(IPAddress($0)!) })
  }

  /// The command line's, and others.
  static func configuration(
    _ others: [VirtualServer], adjust: (inout Configuration) -> Void = { _ in }
  ) -> Configuration {
    Configuration(
      interface: "eth0", virtualServer: IPAddress("10.40.0.1")!,
      realServers: [IPAddress("10.41.0.1")!], ports: [5683]
    ) {
      $0.virtualServers += others
      adjust(&$0)
    }
  }

  /// Expects that the configuration is refused for an element, with this beginning of a message.
  private static func expect(
    _ others: [VirtualServer], _ element: ConfigurationError.Element, _ beginning: String,
    adjust: (inout Configuration) -> Void = { _ in },
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let error = fault(of: configuration(others, adjust: adjust))
    #expect(error?.element == element, sourceLocation: sourceLocation)
    #expect(
      error?.message.hasPrefix(beginning) == true, "\(error?.message ?? "no error")",
      sourceLocation: sourceLocation)
  }

  private static let six = server("six", "fd60::10", [5683, 5684], ["fd70::1", "fd70::2"])

  @Test func bothFamiliesFitBesideEachOther() {
    let configuration = Self.configuration([
      Self.six, Self.server("other port", "10.40.0.1", [53], ["10.41.0.1", "10.41.0.1"]),
      Self.server("10.40.0.2", "10.40.0.2", [5683], ["10.41.0.2"]),
    ])
    #expect(fault(of: configuration) == nil)
  }

  @Test func thereAreAtMost64() {
    let others = (1...64).map {
      Self.server("\($0)", "10.50.0.\($0)", [1], ["10.41.1.\($0)"])
    }
    #expect(fault(of: Self.configuration(Array(others.prefix(63)))) == nil)
    Self.expect(
      others, .virtualServer(64),
      "too many virtual servers, 65 virtual servers configured, 64 maximum allowed")
  }

  @Test func eachIsBoundByTheMaxima() {
    #expect(
      fault(
        of:
          Self.configuration([Self.six]) {
            $0.maxPorts = 2
            $0.maxRealServers = 2
          }) == nil)
    Self.expect(
      [Self.six], .port(virtualServer: 1, index: 1),
      "virtual server six: too many ports, 2 ports configured, 1 maximum allowed"
    ) { $0.maxPorts = 1 }
    Self.expect(
      [Self.six], .realServer(virtualServer: 1, index: 1),
      "virtual server six: too many real servers, 2 real servers configured, 1 maximum allowed"
    ) { $0.maxRealServers = 1 }
  }

  @Test func allOfAFamilyShareTheSlots() {
    func servers(_ count: Int, _ network: UInt8) -> [RealServer] {
      (0..<count).map {
        RealServer(IPAddress(octets: [10, network, UInt8($0 >> 8), UInt8($0 & 255)]))
      }
    }
    func others(_ count: Int) -> [VirtualServer] {
      [(2, 40_000), (3, count)].map { (network: UInt8, count: Int) in
        VirtualServer(
          name: "\(network)", address: IPAddress("10.40.0.\(network)")!, ports: [1],
          realServers: servers(count, network))
      }
    }
    // With the command line's one that is 65,535.
    #expect(fault(of: Self.configuration(others(25_534)) { $0.maxRealServers = 40_000 }) == nil)
    Self.expect(
      others(25_535), .virtualServer(2),
      "too many real servers, more than 65,535 of ipv4 behind all virtual servers"
    ) { $0.maxRealServers = 40_000 }
  }

  @Test func aNamedOneNeedsAddressPortsAndServers() {
    Self.expect(
      [Self.server("x", "0.0.0.0", [1], ["10.41.0.2"])], .virtualServer(1),
      "virtual server x: 0.0.0.0 is the unspecified address")
    Self.expect(
      [Self.server("x", "::", [1], ["fd70::1"])], .virtualServer(1),
      "virtual server x: :: is the unspecified address")
    Self.expect(
      [Self.server("x", "10.40.0.2", [], ["10.41.0.2"])], .virtualServer(1),
      "virtual server x: it has no port")
    Self.expect(
      [Self.server("x", "10.40.0.2", [1, 0], ["10.41.0.2"])],
      .port(virtualServer: 1, index: 1), "virtual server x: port out of range, 0 is not in 1")
    Self.expect(
      [Self.server("x", "10.40.0.2", [1], [])], .virtualServer(1),
      "virtual server x: it has no real server")
    Self.expect(
      [Self.six, Self.server("x", "10.40.0.2", [1], ["10.41.0.2", "fd70::1"])],
      .realServer(virtualServer: 2, index: 1),
      "virtual server x: real server fd70::1 is an ipv6 address. ipv4 is expected")
  }

  @Test func aWeightIsAtMost256() {
    for weight in [-1, 257] {
      var other = Self.six
      other.realServers[1].weight = weight
      Self.expect(
        [other], .realServer(virtualServer: 1, index: 1),
        "virtual server six: weight out of range, \(weight) of real server fd70::2 is not in 0 to")
      Self.expect(
        [], .realServer(virtualServer: 0, index: 0),
        "weight out of range, \(weight) of real server 10.41.0.1 is not in 0 to 256"
      ) { $0.virtualServers[0].realServers[0].weight = weight }
    }
    for weight in [0, 256] {
      var other = Self.six
      other.realServers[1].weight = weight
      #expect(fault(of: Self.configuration([other])) == nil)
    }
  }

  @Test func namesAreDistinctAndOfAKernelTablesLength() {
    func named(_ name: String?) -> VirtualServer {
      Self.server(name, "10.40.0.2", [1], ["10.41.0.2"])
    }
    // 63 octets, 32 characters.
    #expect(fault(of: Self.configuration([named(String(repeating: "é", count: 31) + "e")])) == nil)
    Self.expect(
      [named(String(repeating: "é", count: 32))], .virtualServer(1),
      "the name \"\(String(repeating: "é", count: 32))\" of a virtual server is too long, "
        + "it has 64 octets, 63 maximum allowed")
    Self.expect(
      [named("a\tb")], .virtualServer(1),
      #"the name "a\u{9}b" of a virtual server has a control character"#)
    Self.expect(
      [named("a\u{85}b")], .virtualServer(1), "the name \"a\\u{85}b\" of a virtual server has a")
    for name in ["", nil] {
      Self.expect([named(name)], .virtualServer(1), "a virtual server has no name")
    }
    Self.expect(
      [Self.six, named("six")], .virtualServer(2), "virtual server six is there twice")
    // Names that only look alike.
    #expect(
      fault(
        of:
          Self.configuration([
            Self.six, named("Six"), Self.server("six ", "10.40.0.3", [1], ["10.41.0.3"]),
          ])) == nil)
  }

  @Test func anAddressAndAPortAreOneVirtualServers() {
    Self.expect(
      [Self.server("x", "10.40.0.1", [53, 5683], ["10.41.0.2"])],
      .port(virtualServer: 1, index: 1),
      "virtual server x: port 5683 of 10.40.0.1 is virtual server 10.40.0.1's already")
    Self.expect(
      [Self.six, Self.server("x", "fd60::10", [5684], ["fd70::9"])],
      .port(virtualServer: 2, index: 0),
      "virtual server x: port 5684 of fd60::10 is virtual server six's already")
    // What the config file sets over the command line's is what counts.
    let other = Self.server("x", "10.40.0.1", [53], ["10.41.0.2"])
    Self.expect(
      [other], .port(virtualServer: 1, index: 0),
      "virtual server x: port 53 of 10.40.0.1 is virtual server 10.40.0.1's already"
    ) { $0.liveSettings.ports = [53] }
    #expect(
      fault(
        of:
          Self.configuration([Self.server("x", "10.40.0.1", [5683], ["10.41.0.2"])]) {
            $0.liveSettings.ports = [53]
          }) == nil)
    // One of its own that is there twice is no other's.
    #expect(
      fault(
        of:
          Self.configuration([Self.server("x", "10.40.0.2", [53, 53], ["10.41.0.2"])])) == nil)
  }

  @Test func aRealServersAnswersTellTheVirtualServer() {
    Self.expect(
      [Self.server("x", "10.40.0.2", [53, 5683], ["10.41.0.2", "10.41.0.1"])],
      .realServer(virtualServer: 1, index: 1),
      "virtual server x: real server 10.41.0.1 is behind virtual server 10.40.0.1 with port 5683 too"
    )
    // The third one, with a port of the second.
    Self.expect(
      [
        Self.server("x", "10.40.0.2", [53], ["10.41.0.1"]),
        Self.server("y", "10.40.0.3", [54, 53], ["10.41.0.2", "10.41.0.1"]),
      ],
      .realServer(virtualServer: 2, index: 1),
      "virtual server y: real server 10.41.0.1 is behind virtual server x with port 53 too")
    // Whoever is down may come back.
    Self.expect(
      [Self.server("x", "10.40.0.2", [5683], ["10.41.0.1"])],
      .realServer(virtualServer: 1, index: 0), "virtual server x: real server 10.41.0.1 is behind"
    ) { $0.virtualServers[0].realServers[0].state = .down }
  }

  @Test func anotherProgramIsCompiledForAllButTheRealServers() {
    let before = Self.configuration([Self.six])
    var after = before
    after.virtualServers[1].realServers = [
      RealServer(IPAddress("fd70::2")!, weight: 3), RealServer(IPAddress("fd70::9")!, state: .down),
    ]
    after.virtualServers[0].realServers[0].weight = 2
    #expect(!after.isRendered(differentlyFrom: before))
    let changes: [(inout Configuration) -> Void] = [
      { $0.virtualServers[1].name = "other" },
      { $0.virtualServers[1].address = IPAddress("fd60::11")! },
      { $0.virtualServers[1].ports = [5683] },
      { $0.virtualServers[1].scheduler = .maglev },
      { $0.virtualServers[0].scheduler = .maglev },
      { $0.virtualServers[0].address = IPAddress("10.40.0.2")! },
      { $0.virtualServers.removeLast() },
      { $0.verifiesGateway = true },
      { $0.virtualServers.append(Self.server("y", "10.40.0.2", [1], ["10.41.0.2"])) },
    ]
    for change in changes {
      var after = before
      change(&after)
      #expect(after.isRendered(differentlyFrom: before))
      #expect(before.isRendered(differentlyFrom: after))
    }
  }
}
