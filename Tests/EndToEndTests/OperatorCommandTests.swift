// ulbctl against ulb as both are installed, with real clients.
import Foundation
import TestSupport
import Testing

@Suite struct OperatorCommandTests {
  /// Runs ulbctl where it is expected to do what it is told.
  @discardableResult
  private func ulbctl(
    _ service: BalancedService, _ words: String..., status: Int32 = 0,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String {
    let command = [Package.operatorCommand] + words + ["--socket", service.daemon.control]
    let completed = try CompletedProcess(ChildProcess(command))
    #expect(
      completed.status == status, "\(words): \(completed.standardError)",
      sourceLocation: sourceLocation)
    return status == 0 ? completed.standardOutput : completed.standardError
  }

  @Test func anOperatorSeesAndLeadsClients() throws {
    let service = try BalancedService(.ipv6)
    let name = Topology.virtualServer(.ipv6)
    let addresses = (0..<3).map(service.address(ofServer:))
    let clients = try (0..<6).map { _ in try service.newClient() }
    for client in clients { #expect(try service.server(answering: client) != nil) }

    // Where they are, and what has gone by.
    #expect(try ulbctl(service, "health") == "good")
    let status = try ulbctl(service, "status")
    #expect(status.hasPrefix("ulb "))
    #expect(status.contains(" on lb0, native mode, up "))
    let servers = try ulbctl(service, "servers", "--stats", "--exact")
    for address in addresses {
      let row = servers.split(separator: "\n").first { $0.contains("  \(address) ") }
      // Two clients came by themselves; two packets went each way.
      #expect(
        row?.split(separator: " ").prefix(7).map(String.init)
          == [address, "2", "2", "0", "0", "2", "2"])
    }
    let counters = try ulbctl(service, "counters", "--exact").split(separator: "\n")
    let new = counters.first { $0.hasPrefix("INGRESS_NEW_NAT ") }
    #expect(new?.split(separator: " ").prefix(3) == ["INGRESS_NEW_NAT", "send", "6"])
    #expect(try ulbctl(service, "clients", "--count") == "6")
    #expect(try ulbctl(service, "clients").split(separator: "\n").count == 7)
    #expect(
      try ulbctl(service, "clients", "--server", addresses[0]).split(separator: "\n").count == 3)

    // A client is led elsewhere.
    let client = clients[0].endpoint.description
    #expect(try ulbctl(service, "client", client).contains("\(name) ─> \(addresses[0])"))
    #expect(
      try ulbctl(service, "move", client, addresses[2])
        == "\(client) is on \(addresses[2]) of \(name) now")
    #expect(try service.server(answering: clients[0]) == "srv3")

    // No new client, no client, and back.
    #expect(
      try ulbctl(service, "drain", addresses[1])
        == "\(addresses[1]) of \(name): draining, was up; 2 clients stay")
    #expect(try !service.serversOfNewClients(4).contains("srv2"))
    #expect(try service.server(answering: clients[1]) == "srv2")
    try ulbctl(service, "down", addresses[1])
    #expect(try service.server(answering: clients[1]) != "srv2")
    try ulbctl(service, "weight", addresses[0], "0")
    #expect(try service.serversOfNewClients(3) == ["srv3", "srv3", "srv3"])
    #expect(try ulbctl(service, "servers").contains("* set by ulbctl"))
    try ulbctl(service, "up", addresses[1])
    try ulbctl(service, "weight", addresses[0], "1")
    #expect(try !ulbctl(service, "servers").contains("* set by ulbctl"))

    // Who is forgotten is a new client.
    let forgotten = try ulbctl(service, "forget", client)
    #expect(forgotten == "1 association forgotten")
    #expect(
      try ulbctl(service, "client", client) == "\(client) is no client of any virtual server")
    #expect(
      try ulbctl(service, "forget", "--virtual-server", name, status: 1)
        .contains("associations of \(name) would be forgotten: say --yes"))
    try ulbctl(service, "forget", "--virtual-server", name, "--yes")
    #expect(try ulbctl(service, "clients", "--count") == "0")
    #expect(try service.daemon.stop() == 0)
  }

  @Test func aReloadTellsItsOutcome() throws {
    let service = try BalancedService(usingFile: true)
    let file = try #require(service.configFile)
    #expect(try ulbctl(service, "reload").hasPrefix("unchanged"))
    let more = file.sibling("more")
    try (ConfigFile.text((0..<2).map(service.address(ofServer:))))
      .write(toFile: more, atomically: true, encoding: .utf8)
    #expect(try ulbctl(service, "check", more).contains("removed \(service.address(ofServer: 2))"))
    try "nonsense\n".write(toFile: file.path, atomically: true, encoding: .utf8)
    let refusal = try ulbctl(service, "reload", status: 1)
    #expect(refusal.hasPrefix("ulbctl: error: ") && refusal.contains("line 1"), "\(refusal)")
    #expect(try ulbctl(service, "health", status: 1) == "")
    #expect(try service.daemon.stop() == 0)
    #expect(try ulbctl(service, "status", status: 3).contains("no daemon answers"))
  }

  /// The packets of a client and of no other, at any log level, until who looks has seen enough or the
  /// daemon is gone.
  @Test func oneClientsPacketsAreTraced() throws {
    let service = try BalancedService(options: ["-l", "CRITICAL"])
    let (client, other) = (try service.newClient(), try service.newClient())
    let name = client.endpoint.description
    let traces = try (0..<2).map { _ in
      try ChildProcess(
        [Package.operatorCommand, "trace", name, "--socket", service.daemon.control])
    }
    for trace in traces {
      try trace.waitForLine(containing: "following \(name) from here on; Ctrl-C ends it")
    }
    #expect(try service.server(answering: other) == "srv1")
    #expect(try service.server(answering: client) == "srv2")
    for trace in traces { try trace.waitForLine(containing: "(REUSED ASSOCIATION)") }

    traces[0].send(signal: SIGINT)
    #expect(try traces[0].waitForExit() == 0)
    #expect(traces[0].standardError.last == "2 packets")
    #expect(try service.daemon.stop() == 0)
    #expect(try traces[1].waitForExit() == 3)
    #expect(
      traces[1].standardError.last
        == "ulbctl: error: the daemon at \(service.daemon.control) has ended the stream: has it been "
        + "stopped?")
    for trace in traces {
      let packets = trace.standardOutput.filter { $0.contains("ASSOCIATION)") }
      #expect(packets.count == 2, "\(trace.transcript)")
      #expect(packets.first?.contains("(NEW ASSOCIATION)") == true)
    }
  }
}
