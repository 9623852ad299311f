// What ulb tells of packets: ulb.py's lines, one JSON object a line, and libbcc's debug output.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite struct EventTests {
  /// A line with each run of spaces made one: columns are told apart in the unit tests.
  private static func squeezed(_ line: String) -> String {
    line.split(separator: " ").joined(separator: " ")
  }

  /// Waits until ulb has written these lines, in this order and one right after the other.
  private func expect(
    _ expected: [String], from service: BalancedService,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let process = service.daemon.process
    let isThere = waitUntil(timeout: .seconds(20)) {
      let lines = process.standardOutput.map(Self.squeezed)
      return lines.indices.contains { lines[$0...].starts(with: expected) }
    }
    #expect(
      isThere, "\(expected.joined(separator: "\n")) is not in \(process.transcript)",
      sourceLocation: sourceLocation)
  }

  @Test(arguments: AddressFamily.allCases)
  func linesOfAnExchange(_ family: AddressFamily) throws {
    let service = try BalancedService(family, servers: 2, options: ["-l", "DEBUG"])
    let gateway = try service.topology.gatewayInterface.hardwareAddress()
    let director = try service.topology.directorInterface.hardwareAddress()
    let client = "\(gateway)/\(Topology.clientAddress(family))"
    let virtual = "\(director)/\(Topology.virtualServer(family))"
    let servers = (0..<2).map { "\(gateway)/\(service.address(ofServer: $0))" }
    func exchange(_ server: String, _ age: String) -> [String] {
      [
        "\(client) ─┐ \(virtual) Destination NAT",
        "└> \(server) (\(age) ASSOCIATION)",
        "┌ \(server) Source NAT",
        "\(client) <─┘ \(virtual) (REUSED ASSOCIATION)",
      ]
    }
    let first = try service.newClient()
    #expect(try service.server(answering: first) == "srv1")
    expect(exchange(servers[0], "NEW"), from: service)
    #expect(try service.server(answering: first) == "srv1")
    expect(exchange(servers[0], "NEW") + exchange(servers[0], "REUSED"), from: service)

    let second = try service.newClient()
    try service.servers[1].send("news", to: second.endpoint)
    #expect(try second.receive()?.payload == "news")
    expect(
      ["┌ \(servers[1]) Source NAT", "\(client) <─┘ \(virtual) (NEW ASSOCIATION)"], from: service)
    #expect(try service.server(answering: second) == "srv2")
    expect(exchange(servers[1], "REUSED"), from: service)
    #expect(service.daemon.process.standardOutput.count { $0.contains(" NAT") } == 7)
    #expect(try service.daemon.stop() == 0)
  }

  @Test(arguments: AddressFamily.allCases)
  func linesOfOtherTraffic(_ family: AddressFamily) throws {
    let service = try BalancedService(family, servers: 2, options: ["-l", "TRACE"])
    let gateway = try service.topology.gatewayInterface.hardwareAddress()
    let director = try service.topology.directorInterface.hardwareAddress()
    let client = "\(gateway)/\(Topology.clientAddress(family))"
    let virtual = "\(director)/\(Topology.virtualServer(family))"

    #expect(try answersPing(Topology.virtualServer(family), from: service.topology.client))
    expect(["\(client) <─> \(virtual) Not UDP packet"], from: service)

    let socket = try service.newClient()
    try socket.send("hello", to: Endpoint(Topology.virtualServer(family), 7))
    expect(["\(client) ──> \(virtual) Unhandled port"], from: service)

    // A frame from a real server goes to the director's hardware address, too.
    #expect(try service.server(answering: socket) == "srv1")
    try service.servers[1].send("intruder", to: socket.endpoint)
    let unchanged = "\(director)/\(Topology.clientAddress(family))"
    let intruder = "\(gateway)/\(service.address(ofServer: 1))"
    expect(["\(unchanged) <── \(intruder) Not associated real server"], from: service)

    try socket.send("hello", to: Endpoint(Topology.directorAddress(family), 5683))
    let own = "\(director)/\(Topology.directorAddress(family))"
    expect(["\(client) <─> \(own) Unhandled traffic"], from: service)
  }

  @Test func nothingBelowTheLevel() throws {
    let service = try BalancedService(options: ["-l", "INFO"])
    #expect(try service.serversOfNewClients(3) == ["srv1", "srv2", "srv3"])
    let client = try service.newClient()
    #expect(try service.server(answering: client) == "srv1")
    try service.servers[1].send("intruder", to: client.endpoint)
    try service.daemon.process.waitForLine(containing: "Not associated real server")
    #expect(!service.daemon.process.transcript.contains(" NAT"))
    #expect(try service.daemon.stop() == 0)
  }

  @Test(arguments: AddressFamily.allCases)
  func jsonLines(_ family: AddressFamily) throws {
    let service = try BalancedService(
      family, usingFile: true, options: ["-l", "TRACE", "--log_format", "json"])
    let clients = try (0..<4).map { _ in try service.newClient() }
    for client in clients + clients { _ = try service.server(answering: client) }
    #expect(try answersPing(Topology.virtualServer(family), from: service.topology.client))
    let file = try #require(service.configFile)
    try file.replace(withText: "noise")
    let process = service.daemon.process
    try process.waitForLine(containing: file.path)
    try process.waitForLine(containing: "NOT_UDP")
    #expect(try service.daemon.stop() == 0)

    var names: [String: Int] = [:]
    for line in process.lines {
      let object = try JSONSerialization.jsonObject(with: Data(line.text.utf8))
      let members = try #require(object as? [String: Any], "\(line.text)")
      #expect(members["time"] is String && members["level"] is String, "\(line.text)")
      #expect(members["message"] is String, "\(line.text)")
      guard let name = members["event"] as? String else { continue }
      names[name, default: 0] += 1
      guard name == "INGRESS_NEW_NAT" else { continue }
      #expect(members["source"] as? String == Topology.clientAddress(family))
      #expect(members["destination"] as? String == Topology.virtualServer(family))
      #expect(members["destination_port"] as? Int == Int(BalancedService.port))
      #expect(clients.contains { Int($0.endpoint.port) == members["source_port"] as? Int })
    }
    #expect(names["INGRESS_NEW_NAT"] == 4)
    #expect(names["INGRESS_REUSED_NAT"] == 4)
    #expect(names["EGRESS_REUSED_NAT"] == 8)
  }

  /// The kernel has one trace pipe, so these take turns.
  @Suite(.serialized) struct DebugTests {
    @Test(arguments: AddressFamily.allCases)
    func tracePointsAreCopiedToTheLog(_ family: AddressFamily) throws {
      try mountTraceFileSystem()
      let service = try BalancedService(family, options: ["-d", "1"])
      let process = service.daemon.process
      #expect(process.standardError.contains { $0.hasPrefix("define ") }, "no LLVM IR")
      #expect(try service.serversOfNewClients(2) == ["srv1", "srv2"])
      try process.waitForLine(containing: "INGRESS_NEW_NAT")
      try process.waitForLine(containing: "EGRESS_REUSED_NAT")
      #expect(try service.daemon.stop() == 0)
    }

    @Test(arguments: [0, 1, 2, 3, 4])
    func compilerOutput(_ flags: Int) throws {
      try mountTraceFileSystem()
      let service = try BalancedService(options: ["-d", String(flags)])
      #expect(try service.serversOfNewClients(2) == ["srv1", "srv2"])
      #expect(try service.daemon.stop() == 0)
      let lines = service.daemon.process.standardError
      #expect(lines.isEmpty == (flags == 0))
      let hasIR = lines.contains { $0.hasPrefix("define ") }
      let hasByteCode = lines.contains { $0.contains(/\br[0-9] =/) }
      // What libbcc makes of a map call before the compiler sees it; beside byte code after a ";".
      let hasRewrittenSource = lines.contains {
        !$0.hasPrefix(";") && $0.contains("bpf_map_lookup_elem((void *)")
      }
      #expect(hasIR == (flags & 1 != 0), "LLVM IR")
      #expect(hasByteCode == (flags & 2 != 0), "byte code")
      #expect(hasRewrittenSource == (flags & 4 != 0), "preprocessor's output")
    }
  }
}

/// Systems that systemd booted have it there.
private func mountTraceFileSystem() throws {
  let directory = "/sys/kernel/tracing"
  guard !FileManager.default.fileExists(atPath: directory + "/trace_pipe") else { return }
  let result = try run("mount", "-t", "tracefs", "tracefs", directory)
  try #require(result.status == 0, "\(result.standardError)")
}
