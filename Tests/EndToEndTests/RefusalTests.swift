// What ulb cannot do, or will not: one clear line, the status that says so, and nothing changed.
import Foundation
import TestSupport
import Testing

@Suite struct RefusalTests {
  private static let servers = [Topology.realServer(0, .ipv4), Topology.realServer(1, .ipv4)]
  private static let arguments = BalancedService.arguments(.ipv4, servers: servers)

  /// Runs ulb, which is to say no in one line that holds these words.
  private func expectRefusal(
    _ arguments: [String], in topology: Topology, wrapper: [String] = [], naming words: String...,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let result = try Daemon.run(arguments, in: topology.director, wrapper: wrapper)
    let message = Comment(rawValue: result.standardError)
    #expect(result.status == 1, message, sourceLocation: sourceLocation)
    #expect(
      result.standardError.hasPrefix("ulb: error: "), message, sourceLocation: sourceLocation)
    #expect(!result.standardError.contains("\n"), message, sourceLocation: sourceLocation)
    for word in words {
      #expect(result.standardError.contains(word), message, sourceLocation: sourceLocation)
    }
    #expect(result.standardOutput == "", sourceLocation: sourceLocation)
  }

  @Test func noSuchInterface() throws {
    let topology = try Topology(realServers: 0)
    try expectRefusal(
      ["nosuch0"] + Self.arguments.dropFirst(), in: topology, naming: "nosuch0")
  }

  @Test func secondOnTheSameInterface() throws {
    let service = try BalancedService()
    let interface = service.topology.directorInterface
    let program = try interface.xdpProgram()
    try expectRefusal(Self.arguments, in: service.topology, naming: "lb0")
    #expect(try interface.xdpProgram() == program)
    #expect(try service.serversOfNewClients(3) == ["srv1", "srv2", "srv3"])
  }

  @Test func foreignProgramStays() throws {
    let topology = try Topology(realServers: 0)
    try topology.directorInterface.attachPassProgram()
    let program = try #require(try topology.directorInterface.xdpProgram())
    try expectRefusal(Self.arguments, in: topology, naming: "lb0", "--replace")
    #expect(try topology.directorInterface.xdpProgram() == program)
  }

  @Test func foreignProgramIsReplacedWhenAsked() throws {
    let topology = try Topology(realServers: 2)
    let interface = topology.directorInterface
    try interface.attachPassProgram()
    let foreign = try #require(try interface.xdpProgram())
    let server = try UDPEchoServer(
      named: "srv1", in: topology.realServers[0], address: Self.servers[0],
      port: BalancedService.port)
    let daemon = try Daemon.start(Self.arguments + ["--replace"], in: topology.director)
    #expect(try interface.xdpProgram() != foreign)
    let client = try UDPSocket(in: topology.client, address: Topology.clientAddress(.ipv4))
    let virtualServer = Endpoint(Topology.virtualServer(.ipv4), BalancedService.port)
    let answer = try client.exchange("hello", with: virtualServer)
    #expect(answer == ReceivedDatagram(payload: "srv1:hello", source: virtualServer))
    #expect(server.received.count == 1)
    #expect(try daemon.stop() == 0)
    #expect(try interface.xdpProgram() == nil)
  }

  /// Whoever took the interface over meanwhile keeps it, where the kernel lets it be taken at all.
  @Test func onlyItsOwnProgramIsRemoved() throws {
    let topology = try Topology(realServers: 0)
    let interface = topology.directorInterface
    let daemon = try Daemon.start(Self.arguments, in: topology.director)
    let own = try #require(try interface.xdpProgram())
    try? interface.detachXDPProgram()
    try? interface.attachPassProgram()
    let present = try #require(try interface.xdpProgram())
    try daemon.stop()
    #expect(try interface.xdpProgram() == (present == own ? nil : present))
  }

  @Test(arguments: ["native", "generic"])
  func modes(_ mode: String) throws {
    let service = try BalancedService(options: ["--mode", mode])
    let interface = service.topology.directorInterface
    #expect(try interface.xdpProgram()?.isGeneric == (mode == "generic"))
    #expect(try service.serversOfNewClients(4) == ["srv1", "srv2", "srv3", "srv1"])
    #expect(try service.daemon.stop() == 0)
    #expect(try interface.xdpProgram() == nil)
  }

  @Test func withoutPrivileges() throws {
    let topology = try Topology(realServers: 0)
    // Copied to where anybody may run it.
    let directory = try TemporaryDirectory()
    let copy = directory.path(of: "ulb")
    try FileManager.default.copyItem(atPath: Package.executable, toPath: copy)
    let process = try ChildProcess(
      ["setpriv", "--reuid", "65534", "--clear-groups", copy] + Self.arguments,
      in: topology.director)
    #expect(try process.waitForExit() == 1)
    let message = Comment(rawValue: process.transcript)
    #expect(process.lines.count == 1, message)
    #expect(process.standardError.first?.hasPrefix("ulb: error: ") == true, message)
    #expect(process.transcript.contains("root") || process.transcript.contains("CAP_"), message)
    #expect(try topology.directorInterface.xdpProgram() == nil)
  }

  @Test func interfaceGoesAway() throws {
    let service = try BalancedService(options: ["--interface_wait", "0"])
    try service.topology.directorInterface.remove()
    let process = service.daemon.process
    #expect(try process.waitForExit() == 1)
    let last = try #require(process.standardError.last)
    #expect(last.hasPrefix("ulb: error: ") && last.contains("lb0"), "\(process.transcript)")
  }

  @Test(arguments: [4, 8, 12])
  func outOfDescriptors(_ limit: Int) throws {
    let topology = try Topology(realServers: 0)
    let orphans = try BPFObjects.orphans()
    try expectRefusal(
      Self.arguments, in: topology, wrapper: ["prlimit", "--nofile=\(limit)"], naming: "open files")
    #expect(try topology.directorInterface.xdpProgram() == nil)
    #expect(waitUntil { (try? BPFObjects.orphans().subtracting(orphans).isEmpty) == true })
  }

  @Test func moreAssociationsThanMemory() throws {
    let topology = try Topology(realServers: 0)
    // 16 bytes each.
    try expectRefusal(
      Self.arguments + ["-ma", "4294967295"], in: topology, naming: "4294967295", "64 GiB")
    #expect(try topology.directorInterface.xdpProgram() == nil)
  }

  @Test func unusableConfigFileAtStart() throws {
    let topology = try Topology(realServers: 0)
    let file = try ConfigFile(["10.70.1"])
    try expectRefusal(
      BalancedService.arguments(.ipv4, servers: [], file: file), in: topology, naming: file.path,
      "10.70.1")
    #expect(try topology.directorInterface.xdpProgram() == nil)
  }

  @Test func usageErrorsSayHow() throws {
    let topology = try Topology(realServers: 0)
    let file = try ConfigFile([])
    try file.remove()
    for (arguments, word) in [
      (["lb0", "-vs", Topology.virtualServer(.ipv4)], "-p/--port"),
      (BalancedService.arguments(.ipv4, servers: [], file: file), file.path),
    ] {
      let result = try Daemon.run(arguments, in: topology.director)
      #expect(result.status == 2)
      #expect(result.standardError.hasPrefix("usage: ulb"))
      #expect(result.standardError.contains(word))
      #expect(result.standardOutput == "")
    }
  }
}
