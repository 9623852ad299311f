// The rules for what fits together in a configuration, and what asks for another program.
import Testing

@testable import LoadBalancing

@Suite struct ConfigurationTests {
  private static func configuration(
    servers: [String] = ["10.40.0.2", "10.40.0.3"], ports: [UInt16] = [5683, 5684],
    adjust: (inout Configuration) -> Void = { _ in }
  ) -> Configuration {
    Configuration(
      interface: "eth0", virtualServer: IPAddress("10.40.0.1")!,
      realServers: servers.map { IPAddress($0)! }, ports: ports, adjust: adjust)
  }

  private static func error(_ configuration: Configuration) -> ConfigurationError? {
    do throws(ConfigurationError) {
      try configuration.validate()
      return nil
    } catch {
      return error
    }
  }

  @Test func asManyAsTheMaximaAllowFit() {
    let full = Self.configuration {
      $0.maxPorts = 2
      $0.maxRealServers = 2
    }
    #expect(Self.error(full) == nil)
    #expect(
      Self.error(Self.configuration { $0.maxPorts = 1 })?.message.hasPrefix(
        "too many ports, 2 ports configured, 1 maximum allowed") == true)
    let servers = Self.error(Self.configuration { $0.maxRealServers = 1 })
    #expect(servers?.element == .realServer(index: 1))
    #expect(servers?.message.hasPrefix("too many real servers, 2 real servers") == true)
  }

  @Test func realServersAreOfTheVirtualServersFamily() {
    let mixed = Self.error(Self.configuration(servers: ["10.40.0.2", "fd00::2"]))
    #expect(mixed?.element == .realServer(index: 1))
    #expect(mixed?.message.contains("fd00::2 seems to be ipv6 address. ipv4 is expected") == true)
  }

  @Test func zeroIsNoPort() {
    #expect(Self.error(Self.configuration(ports: [5683, 0]))?.element == .port(index: 1))
    #expect(Self.error(Self.configuration(ports: [1, 65535])) == nil)
  }

  @Test(arguments: ["-mp", "-mrs", "-ma"])
  func aMaximumOfZeroIsNone(_ option: String) {
    let error = Self.error(
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
    #expect(Self.error(Self.configuration { $0.maxRealServers = 65_535 }) == nil)
    for count in [65_536, .max] as [UInt32] {
      let error = Self.error(Self.configuration { $0.maxRealServers = count })
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
    #expect(Self.error(live) == nil)
    #expect(live.effective.ports == [53])
    #expect(live.effective.debug == 3)
    #expect(live.effective.logLevel == .debug)
    #expect(live.effective.effective == live.effective)
    var tooMany = live
    tooMany.liveSettings.ports = [1, 2, 3]
    #expect(Self.error(tooMany)?.message.hasPrefix("too many ports, 3") == true)
    // The command line's own are not forgotten over them.
    var hidden = live
    hidden.ports = [1, 2, 3]
    #expect(Self.error(hidden)?.message.hasPrefix("too many ports, 3") == true)
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
