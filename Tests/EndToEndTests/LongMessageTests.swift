// However much comes from outside, what is said of it stays short, and nothing ends by it.
import Foundation
import TestSupport
import Testing

@Suite struct LongMessageTests {
  private static let ports = (1...40_000).map(String.init)

  private func expectShortLines(_ process: ChildProcess) {
    let longest = process.lines.map(\.text.utf8.count).max() ?? 0
    #expect(longest < 1000)
  }

  @Test func fortyThousandPortsOnTheCommandLine() throws {
    let topology = try Topology(realServers: 0)
    let daemon = try Daemon.start(
      [
        "lb0", "-vs", Topology.virtualServer(.ipv4), "-rs", Topology.realServer(0, .ipv4), "-mp",
        "65535", "-p",
      ] + Self.ports,
      in: topology.director)
    try daemon.process.waitForLine(containing: "for 40,000 ports :")
    #expect(try daemon.stop() == 0)
    expectShortLines(daemon.process)
  }

  @Test func fortyThousandPortsInTheConfigFile() throws {
    let service = try BalancedService(servers: 1, usingFile: true, options: ["-mp", "65535"])
    let file = try #require(service.configFile)
    let list = ConfigFile.text([service.address(ofServer: 0)])
    try file.replace(withText: list + "[ulb]\nport = \(Self.ports.joined(separator: " "))\n")
    let process = service.daemon.process
    try process.waitForLine(containing: "swapped in: 40,000 ports")
    #expect(try service.serversOfNewClients(1) == ["srv1"])
    // Refused, in a line that is as short.
    let name = String(repeating: "n", count: 300_000)
    try file.replace(withText: list + "[\(name)]\n[\(name)]\n")
    try process.waitForLine(containing: "line 4: section [nnnn")
    #expect(try service.serversOfNewClients(1) == ["srv1"])
    #expect(try service.daemon.stop() == 0)
    expectShortLines(process)
  }

  @Test func aLongNameOfAnInterface() throws {
    let topology = try Topology(realServers: 0)
    let name = String(repeating: "n", count: 100_000)
    let result = try Daemon.run(
      [name]
        + BalancedService.arguments(.ipv4, servers: [Topology.realServer(0, .ipv4)]).dropFirst(),
      in: topology.director)
    #expect(result.status == 1)
    #expect(result.standardError.hasPrefix("ulb: error: no such network interface: 'nnnn"))
    #expect(result.standardError.utf8.count < 1000)
  }

  @Test func aLongNameOfASectionAtStart() throws {
    let topology = try Topology(realServers: 0)
    let file = try ConfigFile([])
    let name = String(repeating: "n", count: 300_000)
    try file.replace(withText: "[Real Servers]\n10.70.1.2\n[\(name)]\n[\(name)]\n")
    let result = try Daemon.run(
      BalancedService.arguments(.ipv4, servers: [], file: file), in: topology.director)
    #expect(result.status == 1)
    #expect(result.standardError.utf8.count < 1000)
    #expect(result.standardError.contains("already exists"))
  }
}
