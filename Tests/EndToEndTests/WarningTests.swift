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
    try file.replace(withText: ConfigFile.text([Topology.realServer(0, .ipv4)]) + Self.misnamed)
    let arguments = BalancedService.arguments(.ipv4, servers: [], file: file)
    let result = try Daemon.run(["--check"] + arguments, in: topology.director)
    #expect(result.status == 0)
    #expect(
      result.standardError == "ulb: warning: \(file.path), line 3: section [ULB] is passed over; "
        + "write [ulb] if that is meant")
    #expect(result.standardOutput.contains("\"ifnet\":\"lb0\""))
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
    try file.replace(withText: ConfigFile.text([Topology.realServer(0, .ipv4)]) + Self.misnamed)
    let daemon = try Daemon.start(
      BalancedService.arguments(.ipv4, servers: [], file: file), in: topology.director)
    try daemon.process.waitForLine(containing: "WARNING: \(file.path), line 3: section [ULB]")
    #expect(try daemon.stop() == 0)
    #expect(daemon.process.standardError == [])
    #expect(warnings(daemon).count == 1)
  }

  @Test func aRelativeFileIsCalledByItsNameAsGiven() throws {
    let topology = try Topology(realServers: 0)
    let file = try ConfigFile([])
    let list = ConfigFile.text([Topology.realServer(0, .ipv4)]) + Self.misnamed
    try file.replace(withText: list)
    let folder = URL(fileURLWithPath: file.path).deletingLastPathComponent().path
    let daemon = try Daemon.start(
      ["lb0", "-vs", Topology.virtualServer(.ipv4), "-cfg", "servers.cfg", "-p", "5683"],
      in: topology.director, wrapper: ["env", "-C", folder])
    try file.replace(withText: list + "[Real servers]\n")
    try daemon.process.waitForLine(containing: "section [Real servers]")
    #expect(
      warnings(daemon) == [
        "WARNING: servers.cfg, line 3: section [ULB] is passed over; write [ulb] if that is meant",
        "WARNING: servers.cfg, line 5: section [Real servers] is passed over; "
          + "write [Real Servers] if that is meant",
      ])
    try file.replace(withText: "none")
    try daemon.process.waitForLine(containing: "ERROR: Unable to load config file servers.cfg, ")
    try file.remove()
    try daemon.process.waitForLine(containing: "ERROR: Unable to load config file servers.cfg: ")
    #expect(try daemon.stop() == 0)
  }

  private static let virtualServer = Topology.virtualServer(.ipv4)
  private static let directorAddress = Topology.directorAddress(.ipv4)
  private static let unusable = [virtualServer, directorAddress, "127.0.0.1", "224.0.0.1"]

  @Test func realServersThatCannotBeAnyAreGivenNoClient() throws {
    let service = try BalancedService(servers: 2, listed: [0], usingFile: true)
    let file = try #require(service.configFile)
    let process = service.daemon.process
    let known = try service.newClient()
    #expect(try service.server(answering: known) == "srv1")
    // A network of the director's, of which it knows the broadcast address.
    try run(
      "ip", "address", "add", "10.80.0.1/24", "brd", "+", "dev", "lb0",
      in: service.topology.director)
    let unusable = Self.unusable + ["10.80.0.255"]
    try file.replace(with: unusable + [0, 1].map(service.address(ofServer:)))
    try process.waitForLine(containing: "New config applied: 2 real server(s)")
    #expect(Set(try service.serversOfNewClients(4)) == ["srv1", "srv2"])
    for address in unusable {
      #expect(warnings(service.daemon).count { $0.contains("real server \(address) is") } == 1)
    }
    // None that is left: the list before it stays.
    try file.replace(with: Self.unusable)
    try process.waitForLine(
      containing: "no real server can be given a client: \(Self.virtualServer) is")
    try process.waitForLine(containing: "the present 2 real server(s) stay in service")
    #expect(Set(try service.serversOfNewClients(2)) == ["srv1", "srv2"])
    #expect(try service.server(answering: known) == "srv1")
    #expect(warnings(service.daemon).count == unusable.count)
    #expect(try service.daemon.stop() == 0)
  }

  @Test func theVirtualServerBehindItselfMakesNoPacketGoRound() throws {
    let topology = try Topology(realServers: 1)
    let server = try UDPEchoServer(
      named: "srv1", in: topology.realServers[0], address: Topology.realServer(0, .ipv4),
      port: BalancedService.port)
    let daemon = try Daemon.start(
      BalancedService.arguments(
        .ipv4, servers: [Topology.virtualServer(.ipv4), Topology.realServer(0, .ipv4)])
        + ["-l", "DEBUG"],
      in: topology.director)
    let client = try UDPSocket(
      in: topology.client, address: Topology.clientAddress(.ipv4), port: 40_000)
    let virtualServer = Endpoint(Topology.virtualServer(.ipv4), BalancedService.port)
    for _ in 0..<4 {
      let answer = try client.exchange("x", with: virtualServer)
      #expect(answer == ReceivedDatagram(payload: "srv1:x", source: virtualServer))
    }
    #expect(server.received.count == 4)
    #expect(try daemon.stop() == 0)
    let translations = daemon.process.lines.count { $0.text.contains("Destination NAT") }
    #expect(translations == 4, "\(daemon.process.transcript)")
  }

  @Test func noUsableRealServerIsRefusedAtStartAlone() throws {
    let topology = try Topology(realServers: 0)
    let arguments = BalancedService.arguments(.ipv4, servers: Self.unusable)
    let result = try Daemon.run(arguments, in: topology.director)
    #expect(result.status == 1)
    #expect(
      result.standardError == """
        ulb: error: no real server can be given a client: \(Self.virtualServer) is the virtual \
        server's own address, \(Self.directorAddress) is an address of the director itself, \
        127.0.0.1 is a loopback address, 224.0.0.1 is a multicast address. \
        See options -vs and -rs.
        """)
    #expect(result.standardOutput == "")
    #expect(try topology.directorInterface.xdpProgram() == nil)
    // ulb.py would start: --check shows what it makes of the command line, and says what ulb does.
    let check = try Daemon.run(["--check"] + arguments, in: topology.director)
    #expect(check.status == 0)
    #expect(check.standardOutput.contains(Self.unusable.map { "\"\($0)\"" }.joined(separator: ",")))
    let lines = check.standardError.split(separator: "\n")
    #expect(lines.count == 5 && lines.allSatisfy { $0.hasPrefix("ulb: warning: ") })
    #expect(lines.last?.contains("a start would be refused: no real server can be") == true)
  }
}
