// The config file changes, or breaks, while clients are being served.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite struct ConfigFileTests {
  /// Waits until a new client is sent to this server.
  private func waitForNewClients(at name: String, of service: BalancedService) throws {
    let came = try waitUntil { try service.server(answering: service.newClient()) == name }
    try #require(came, "no client came to \(name): \(service.daemon.process.transcript)")
  }

  @Test(arguments: AddressFamily.allCases)
  func changesUnderTraffic(_ family: AddressFamily) throws {
    let service = try BalancedService(family, servers: 4, listed: [0, 1], usingFile: true)
    let file = try #require(service.configFile)
    let clients = try (0..<4).map { _ in try service.newClient() }
    #expect(
      try clients.map { try service.server(answering: $0) } == ["srv1", "srv2", "srv1", "srv2"])
    let traffic = Traffic(clients, to: service.virtualServer)

    // Added: clients stay where they are, new ones come to the new server.
    try file.replace(with: [0, 1, 2].map(service.address(ofServer:)))
    try waitForNewClients(at: "srv3", of: service)
    #expect(traffic.waitForProgress())
    // Only moved in the list.
    try file.replace(with: [3, 2, 1, 0].map(service.address(ofServer:)))
    try waitForNewClients(at: "srv4", of: service)
    #expect(traffic.waitForProgress())

    let record = traffic.stop()
    #expect(record.servers == [["srv1"], ["srv2"], ["srv1"], ["srv2"]])
    #expect(record.unanswered == 0)
    #expect(try service.daemon.stop() == 0)
  }

  @Test(arguments: AddressFamily.allCases)
  func clientsOfRemovedServersMove(_ family: AddressFamily) throws {
    let service = try BalancedService(family, servers: 4, listed: [0, 1, 2], usingFile: true)
    let file = try #require(service.configFile)
    let clients = try (0..<6).map { _ in try service.newClient() }
    let first = try clients.map { try service.server(answering: $0) }
    #expect(first == ["srv1", "srv2", "srv3", "srv1", "srv2", "srv3"])
    let kept = Traffic([clients[0], clients[2], clients[3], clients[5]], to: service.virtualServer)
    // An answer that is on its way when its server is removed does not come from the virtual server.
    let moved = Traffic([clients[1], clients[4]], to: service.virtualServer, timeout: .seconds(5))

    // The second server is replaced.
    try file.replace(with: [0, 3, 2].map(service.address(ofServer:)))
    let allMoved = waitUntil { moved.current.servers.allSatisfy { $0.count > 1 } }
    #expect(allMoved, "\(moved.current)")
    #expect(moved.waitForProgress() && kept.waitForProgress())
    let movedRecord = moved.stop()
    for servers in movedRecord.servers {
      // Moved once, to a server of the new list, and stayed there.
      #expect(servers.count == 2 && servers[0] == "srv2")
      #expect(["srv1", "srv3", "srv4"].contains(servers[1]))
    }
    #expect(movedRecord.unanswered <= 1)

    // The last two are removed.
    try file.replace(with: [0, 3].map(service.address(ofServer:)))
    try waitForListing(["srv1", "srv4"], of: service)
    let keptRecord = kept.stop()
    #expect(keptRecord.servers[0] == ["srv1"])
    #expect(keptRecord.servers[2] == ["srv1"])

    // A server that comes back has lost its clients.
    try file.replace(with: [0, 1, 2].map(service.address(ofServer:)))
    try waitForNewClients(at: "srv2", of: service)
    #expect(try service.server(answering: clients[0]) == "srv1")
    let last = try #require(movedRecord.servers[0].last)
    if last != "srv4" { #expect(try service.server(answering: clients[1]) == last) }
  }

  /// Waits until as many new clients as there are servers in a list are spread over just these.
  private func waitForListing(_ names: Set<String?>, of service: BalancedService) throws {
    let came = try waitUntil { try Set(service.serversOfNewClients(4)) == names }
    try #require(came, "\(names) not in service: \(service.daemon.process.transcript)")
  }

  @Test func hangUpAppliesAtOnce() throws {
    let service = try BalancedService(servers: 3, listed: [0], usingFile: true)
    let file = try #require(service.configFile)
    for round in 1...10 {
      let number = round % 3
      try file.replace(with: [service.address(ofServer: number)])
      service.daemon.process.send(signal: SIGHUP)
      try service.daemon.waitForNotification("READY=1", times: round + 1)
      #expect(try service.serversOfNewClients(2) == ["srv\(number + 1)", "srv\(number + 1)"])
    }
    #expect(service.daemon.notifications.assignments.contains("RELOADING=1"))
    #expect(try service.daemon.stop() == 0)
  }

  enum Damage: String, CaseIterable {
    case missing, halfALine, notAnAddress, noSection, empty, directory, fifo, danglingLink, noise
    case otherFamily, tooMany

    /// How the message names the line that is wrong, where it is one line's fault.
    var line: String? {
      switch self {
      case .halfALine: "line 3"
      case .notAnAddress, .otherFamily: "line 2"
      default: nil
      }
    }
  }

  @Test(arguments: Damage.allCases)
  func brokenFileLeavesServiceAsItWas(_ damage: Damage) throws {
    let service = try BalancedService(servers: 3, listed: [0, 1], usingFile: true)
    let file = try #require(service.configFile)
    let known = try service.newClient()
    #expect(try service.server(answering: known) == "srv1")

    let process = service.daemon.process
    // The last that the start says: it may come after READY=1.
    try process.waitForLine(containing: "└───> \(service.address(ofServer: 1))")
    let before = process.lines.count
    try apply(damage, to: file)
    try process.waitForLine(containing: file.path, after: before)
    // It is looked at again each second, and said once.
    Thread.sleep(forTimeInterval: 2.5)
    let said = process.lines.dropFirst(before).map(\.text)
    #expect(said.count { $0.contains(file.path) } == 1, "\(said)")
    #expect(said.count == 1, "\(said)")
    if let line = damage.line { #expect(said.first?.contains(line) == true, "\(said)") }

    #expect(process.isRunning)
    #expect(try service.server(answering: known) == "srv1")
    #expect(try service.serversOfNewClients(3) == ["srv2", "srv1", "srv2"])

    try file.replace(with: [1, 2].map(service.address(ofServer:)))
    try waitForListing(["srv2", "srv3"], of: service)
    #expect(try service.daemon.stop() == 0)
  }

  private func apply(_ damage: Damage, to file: ConfigFile) throws {
    switch damage {
    case .missing: try file.remove()
    case .halfALine: try file.replace(withText: "[Real Servers]\n10.70.1.2\n10.70.2")
    case .notAnAddress: try file.replace(withText: "[Real Servers]\nsrv1.example\n")
    case .noSection: try file.replace(withText: "[Servers]\n10.70.1.2\n")
    case .empty: try file.replace(withText: "")
    case .otherFamily: try file.replace(withText: "[Real Servers]\nfd70:1::2\n")
    case .tooMany:
      try file.replace(with: (0..<33).map { "10.70.1.\($0 + 1)" })
    case .directory:
      let new = file.sibling("directory")
      try FileManager.default.createDirectory(atPath: new, withIntermediateDirectories: false)
      try file.replace(withItemAt: new)
    case .fifo:
      let new = file.sibling("fifo")
      guard mkfifo(new, 0o600) == 0 else { throw SystemError("mkfifo") }
      try file.replace(withItemAt: new)
    case .danglingLink:
      let new = file.sibling("link")
      try FileManager.default.createSymbolicLink(
        atPath: new, withDestinationPath: "/nonexistent/servers.cfg")
      try file.replace(withItemAt: new)
    case .noise:
      let bytes = (0..<1_000_000).map { _ in UInt8.random(in: 0...255) }
      try file.replace(withBytes: Data(bytes))
    }
  }
}
