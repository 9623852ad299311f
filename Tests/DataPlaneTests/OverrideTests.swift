// What the control socket has set is kept in the tables, for the process after this one.
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Overrides in tables", .serialized)
struct OverrideTests {
  @Test("what is set is read from a word as it was written")
  func words() {
    let states: [RealServer.State?] = [nil, .down, .draining, .up]
    var words: Set<UInt32> = []
    for state in states {
      for weight in [nil, 0, 1, 255, 256] as [Int?] where state != nil || weight != nil {
        for configured in [.down, .draining, .up] as [RealServer.State] {
          for configuredWeight in [0, 1, 256, 262_143] {
            let override = RealServer.Override(
              state: state, weight: weight,
              configured: RealServer.Setting(state: configured, weight: configuredWeight))
            #expect(words.insert(override.inTables).inserted)
            #expect(RealServer.Override(inTables: override.inTables) == override)
          }
        }
      }
    }
    // Nothing is set; no state was configured; a weight that is none.
    for word in [0, 3 << 12, 1, 1 << 12 | 258 << 2] as [UInt32] {
      #expect(RealServer.Override(inTables: word) == nil)
    }
    // One that cannot be told is another one then.
    let heavy = RealServer.Override(
      state: .down, weight: nil, configured: RealServer.Setting(state: .up, weight: 262_144))
    #expect(RealServer.Override(inTables: heavy.inTables)?.configured.weight == 262_143)
  }

  @Test("it is in force with the list, and there for the next process until it is taken back")
  func kept() throws {
    let wire = try Wire()
    let store = Store()
    try wire.run {
      var configuration = Configuration.sample()
      configuration.interface = "one"
      configuration.virtualServers.append(
        VirtualServer(
          name: "six", address: IPAddress("2001:db8::1")!, ports: [7],
          realServers: ["2001:db8::2", "2001:db8::3"].map { RealServer(IPAddress($0)!) }))
      let (first, second) = (configuration.realServers[0], configuration.realServers[1])
      let third = configuration.virtualServers[1].realServers[0].address
      let dataPlane = try store.start(configuration)
      let id = try dataPlane.program.info().id
      #expect(store.kept().tables?.overrides == Overrides())

      configuration.overrides.set(
        state: .down, weight: nil, of: first, behind: configuration.virtualServers[0])
      // Nothing that packets see.
      configuration.overrides.set(
        state: nil, weight: 1, of: second, behind: configuration.virtualServers[0])
      configuration.overrides.set(
        state: .draining, weight: 5, of: third, behind: configuration.virtualServers[1])
      try dataPlane.apply(configuration)
      #expect(try dataPlane.program.info().id == id)
      #expect(try dataPlane.listInTables() == [second])
      #expect(store.kept().tables?.overrides == configuration.overrides)

      // Another program's tables have it too.
      configuration.liveSettings.ports = [99]
      try compiling { _ = try dataPlane.apply(configuration) }
      #expect(store.kept().tables?.overrides == configuration.overrides)

      configuration.overrides.set(
        state: nil, weight: nil, of: second, behind: configuration.virtualServers[0])
      try dataPlane.apply(configuration)
      let overrides = try #require(store.kept().tables?.overrides)
      #expect(overrides == configuration.overrides && overrides.all.count == 2)
      dataPlane.detach()

      let next = try store.start(configuration)
      #expect(try next.listInTables() == [second])
      configuration.overrides = Overrides()
      try next.apply(configuration)
      #expect(try next.listInTables() == [first, second])
      #expect(store.kept().tables?.overrides == Overrides())
    }
  }
}
