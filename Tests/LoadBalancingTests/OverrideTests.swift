// What the control socket sets stands over the configuration, until that says something else.

import Testing

@testable import LoadBalancing

@Suite struct OverrideTests {
  static let address = IPAddress("10.41.0.1")!
  static let other = IPAddress("10.41.0.2")!

  static func server(_ name: String?, _ lines: [RealServer]) -> VirtualServer {
    VirtualServer(
      name: name, address: IPAddress("10.40.0.1")!, ports: [5683], realServers: lines)
  }

  /// What one real server's lines become.
  static func lines(
    _ lines: [RealServer], state: RealServer.State? = nil, weight: Int? = nil
  ) -> [RealServer] {
    let server = server(nil, lines)
    var overrides = Overrides()
    overrides.set(state: state, weight: weight, of: address, behind: server)
    let once = overrides.applied(to: [server])
    #expect(overrides.applied(to: once) == once)
    return once[0].realServers
  }

  @Test func whatIsNotSetIsAsConfigured() {
    let line = RealServer(Self.address, weight: 3, state: .draining)
    let other = RealServer(Self.other)
    #expect(Self.lines([line, other]) == [line, other])
    #expect(
      Self.lines([line, other], state: .up) == [RealServer(Self.address, weight: 3), other])
    #expect(
      Self.lines([other, line], weight: 7)
        == [other, RealServer(Self.address, weight: 7, state: .draining)])
    #expect(
      Self.lines([line], state: .down, weight: 0)
        == [RealServer(Self.address, weight: 0, state: .down)])
  }

  @Test func allLinesOfAnAddressAreOneRealServer() {
    let lines = [
      RealServer(Self.address, weight: 2), RealServer(Self.other),
      RealServer(Self.address, weight: 3), RealServer(Self.address, weight: 8, state: .draining),
    ]
    #expect(
      Self.server(nil, lines).settings
        == [
          Self.address: RealServer.Setting(state: .up, weight: 5),
          Self.other: RealServer.Setting(state: .up, weight: 1),
        ])
    #expect(
      Self.lines(lines, state: .draining).map(\.state) == [.draining, .up, .draining, .draining])
    #expect(Self.lines(lines, state: .draining).map(\.weight) == [2, 1, 3, 8])
    #expect(
      Self.lines(lines, weight: 256)
        == [RealServer(Self.address, weight: 256), RealServer(Self.other)])
    let down = [RealServer(Self.address, state: .down), RealServer(Self.address, state: .down)]
    #expect(
      Self.server(nil, down).settings == [Self.address: RealServer.Setting(state: .down, weight: 2)]
    )
  }

  @Test func eachVirtualServerHasItsOwn() {
    let servers = [nil, "a", "b"].map { Self.server($0, [RealServer(Self.address)]) }
    var overrides = Overrides()
    overrides.set(state: .draining, weight: nil, of: Self.address, behind: servers[1])
    #expect(
      overrides.applied(to: servers).map { $0.realServers[0].state } == [.up, .draining, .up])
    #expect(overrides[Self.address, behind: servers[0]] == nil)
    #expect(overrides[Self.address, behind: servers[1]]?.state == .draining)
    overrides.set(state: nil, weight: nil, of: Self.address, behind: servers[1])
    #expect(overrides.isEmpty)
    #expect(overrides.applied(to: servers) == servers)
  }

  @Test func nothingIsSetOfWhoIsNotListed() {
    var overrides = Overrides()
    overrides.set(
      state: .down, weight: nil, of: Self.other,
      behind: Self.server("a", [RealServer(Self.address)])
    )
    #expect(overrides.isEmpty)
  }

  @Test func itLastsUntilTheConfigurationSaysSomethingElseOfThatRealServer() {
    let lines = [RealServer(Self.address), RealServer(Self.other)]
    let servers = [Self.server(nil, lines), Self.server("a", lines), Self.server("b", lines)]
    var overrides = Overrides()
    for server in servers {
      for address in [Self.address, Self.other] {
        overrides.set(state: .draining, weight: 9, of: address, behind: server)
      }
    }
    let before = overrides
    var next = servers
    // Others come, another order, another port: nothing of these two.
    next[0].realServers = [RealServer(IPAddress("10.41.0.3")!)] + lines.reversed()
    next[1].ports = [1]
    #expect(overrides.reconcile(with: next) == [] && overrides == before)

    next[0].realServers = [RealServer(Self.address, weight: 2), RealServer(Self.other)]
    next[1].realServers = [RealServer(Self.address), RealServer(Self.other, state: .draining)]
    next[2].name = "c"
    func ended(_ name: String?, _ address: IPAddress, _ setting: RealServer.Setting?)
      -> Overrides.Ended
    {
      Overrides.Ended(
        target: Overrides.Target(name: name, address: address), configured: setting)
    }
    #expect(
      overrides.reconcile(with: next) == [
        ended(nil, Self.address, RealServer.Setting(state: .up, weight: 2)),
        ended("a", Self.other, RealServer.Setting(state: .draining, weight: 1)),
        ended("b", Self.address, nil), ended("b", Self.other, nil),
      ])
    #expect(
      Set(overrides.all.keys) == [
        Overrides.Target(name: nil, address: Self.other),
        Overrides.Target(name: "a", address: Self.address),
      ])
    // As it said then, but not since.
    #expect(overrides.reconcile(with: servers) == [])
    #expect(overrides[Self.address, behind: servers[0]] == nil)
  }

  @Test func aSecondListingIsAChangeOfWhoGetsMore() {
    let once = Self.server("a", [RealServer(Self.address)])
    let twice = Self.server("a", [RealServer(Self.address), RealServer(Self.address)])
    var overrides = Overrides()
    overrides.set(state: .down, weight: nil, of: Self.address, behind: once)
    #expect(
      overrides.reconcile(with: [twice]).map(\.configured)
        == [RealServer.Setting(state: .up, weight: 2)])
  }

  @Test func theConfigurationInForceHasThem() throws {
    var configuration = Configuration(
      interface: "eth0", virtualServer: IPAddress("10.40.0.1")!,
      realServers: [Self.address, Self.address, Self.other], ports: [5683])
    configuration.virtualServers.append(Self.server("a", [RealServer(Self.address)]))
    configuration.virtualServers[1].address = IPAddress("10.40.0.2")!
    configuration.overrides.set(
      state: nil, weight: 200, of: Self.address, behind: configuration.virtualServers[0])
    configuration.overrides.set(
      state: .down, weight: nil, of: Self.address, behind: configuration.virtualServers[1])
    #expect(
      configuration.effective.virtualServers[0].realServers
        == [RealServer(Self.address, weight: 200), RealServer(Self.other)])
    #expect(configuration.effective.effective == configuration.effective)
    #expect(configuration.configured.virtualServers == configuration.virtualServers)
    #expect(!configuration.effective.isRendered(differentlyFrom: configuration))
    #expect(configuration.picture.contains("10.41.0.1 (weight 200)"))
    #expect(configuration.picture.contains("10.41.0.1 (down)"))
    // A fault is told of the line that has it.
    configuration.virtualServers[0].realServers[2].weight = 257
    #expect(throws: ConfigurationError.self) { try configuration.validate() }
    do throws(ConfigurationError) { try configuration.validate() } catch {
      #expect(error.element == .realServer(virtualServer: 0, index: 2))
    }
  }
}
