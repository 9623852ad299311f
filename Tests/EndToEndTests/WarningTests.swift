// What is accepted but hardly meant is warned of: at start, by --check, and when a file changes.
import Foundation
import TestSupport
import Testing

@Suite struct WarningTests {
  private static let misnamed = "[ULB]\nloglevel = DEBUG\n"

  private func warnings(_ daemon: Daemon) -> [String] {
    daemon.process.lines.map(\.text).filter { $0.hasPrefix("WARNING: ") }
  }

  @Test func checkWarnsOnStandardError() throws {
    let topology = try Topology(realServers: 0)
    let file = try ConfigFile([])
    try file.replace(withText: ConfigFile.text(["10.70.1.2"]) + Self.misnamed)
    let arguments = BalancedService.arguments(.ipv4, servers: [], file: file)
    let result = try Daemon.run(["--check"] + arguments, in: topology.director)
    #expect(result.status == 0)
    #expect(
      result.standardError == "ulb: warning: \(file.path), line 3: section [ULB] is passed over; "
        + "write [ulb] if that is meant")
    #expect(result.standardOutput.hasPrefix("{\"ifnet\":\"lb0\""))
  }

  @Test func aRunningDaemonWarnsOnceOfEachThing() throws {
    let service = try BalancedService(servers: 2, listed: [0], usingFile: true)
    let file = try #require(service.configFile)
    let process = service.daemon.process
    #expect(warnings(service.daemon) == [])
    let list = ConfigFile.text([service.address(ofServer: 0)])
    try file.replace(withText: list + Self.misnamed)
    try process.waitForLine(containing: "WARNING: \(file.path), line 3: section [ULB]")
    // Read again, and changed elsewhere: it is known.
    process.send(signal: SIGHUP)
    try service.daemon.waitForNotification("READY=1", times: 2)
    try file.replace(withText: list + Self.misnamed + "[Real servers]\n[ulb]\nport = 5683 7\n")
    try process.waitForLine(containing: "line 5: section [Real servers]")
    #expect(warnings(service.daemon).count == 2)
    #expect(try service.serversOfNewClients(1) == ["srv1"])
    #expect(try service.daemon.stop() == 0)
  }

  @Test func aStartWarnsInTheLog() throws {
    let topology = try Topology(realServers: 0)
    let file = try ConfigFile([])
    try file.replace(withText: ConfigFile.text(["10.70.1.2"]) + Self.misnamed)
    let daemon = try Daemon.start(
      BalancedService.arguments(.ipv4, servers: [], file: file), in: topology.director)
    try daemon.process.waitForLine(containing: "WARNING: \(file.path), line 3: section [ULB]")
    #expect(try daemon.stop() == 0)
    #expect(daemon.process.standardError == [])
    #expect(warnings(daemon).count == 1)
  }
}
