// The lists of clients change, or break, while clients are being served.
import Control
import Foundation
import JSONCoding
import LoadBalancing
import TestSupport
import Testing

@Suite struct ClientListTests {
  /// Real servers behind a running ulb with lists of clients.
  private struct Scene {
    let service: BalancedService
    let allowed, denied: ConfigFile?
    var daemon: Daemon { service.daemon }
    /// The network that all clients are in.
    let clients: String

    init(
      _ family: AddressFamily = .ipv4, allowed: String? = nil, denied: String? = nil,
      usingFile: Bool = false, options: [String] = []
    ) throws {
      func file(_ text: String?) throws -> ConfigFile? {
        let file = try text.map { _ in try ConfigFile([]) }
        if let file, let text { try file.replace(withText: text) }
        return file
      }
      self.allowed = try file(allowed)
      self.denied = try file(denied)
      let lists = [("--allow", self.allowed), ("--deny", self.denied)].flatMap { option, file in
        file.map { [option, $0.path] } ?? []
      }
      service = try BalancedService(
        family, servers: 2, usingFile: usingFile, options: lists + ["-l", "INFO"] + options)
      let address = try #require(IPAddress(Topology.clientAddress(family)))
      let length = family == .ipv4 ? 24 : 64
      clients = try #require(IPNetwork(of: address, prefixLength: length)).description
    }

    private var denials: Int {
      daemon.process.lines.count { $0.text.contains("Denied client") }
    }

    /// Waits until what new clients send is denied.
    func waitForDenial() throws {
      let before = denials
      // One after the other: nothing is under way when it comes back.
      let came = try waitUntil {
        let server = try service.server(
          answering: service.newClient(), timeout: .milliseconds(200))
        return server == nil && denials > before
      }
      try #require(came, "no client is denied: \(daemon.process.transcript)")
    }

    /// Expects that what a client sends is denied.
    func expectDenied(_ client: UDPSocket) throws {
      let before = denials
      try client.send("anybody?", to: service.virtualServer)
      #expect(waitUntil { denials > before }, "\(daemon.process.transcript)")
    }

    func expectServed(_ client: UDPSocket) throws {
      #expect(try service.server(answering: client) != nil, "\(daemon.process.transcript)")
    }

    /// What ulbctl says. Not asked by an asynchronous test itself, which others that wait would hold up.
    func ulbctl(_ words: String...) throws -> CompletedProcess {
      let command = [Package.operatorCommand] + words + ["--socket", daemon.control]
      return try CompletedProcess(ChildProcess(command))
    }

    func status() throws -> Status {
      let json = try ulbctl("status", "--json").standardOutput
      return try JSON.decode(Status.self, from: Array(json.utf8))
    }
  }

  @Test(arguments: AddressFamily.allCases)
  func aChangeOfTheFileIsInForceSoon(_ family: AddressFamily) throws {
    let scene = try Scene(family, denied: "# nobody yet\n")
    let file = try #require(scene.denied)
    try scene.expectServed(scene.service.newClient())
    try file.replace(withText: "\(scene.clients) # all of them\n192.0.2.0/24\n")
    try scene.waitForDenial()
    let log = scene.daemon.process
    try log.waitForLine(
      containing: "New list of denied clients applied: 2 network(s); 2 added, 0 removed.", after: 0)

    let inForce = try scene.status().configuration
    #expect(inForce.probation == 1)
    #expect(
      inForce.clientLists
        == ClientListsInForce(
          allowed: nil, denied: NetworkListInForce(file: file.path, networks: 2),
          isStrict: false))
    try file.replace(withText: "")
    try log.waitForLine(
      containing: "New list of denied clients applied: 0 network(s); 0 added, 2 removed.", after: 0)
    try scene.expectServed(scene.service.newClient())
    #expect(try scene.daemon.stop() == 0)
  }

  enum Damage: String, CaseIterable {
    case missing, hostBits, noNetwork, directory

    /// What the message says, behind the file's name.
    var reason: String {
      switch self {
      case .missing: "No such file or directory"
      case .hostBits: "line 2: '10.0.0.1/8' has bits set behind its prefix; write 10.0.0.0/8"
      case .noNetwork: "line 1: '�' is no network"
      case .directory: "Is a directory"
      }
    }
  }

  @Test(arguments: Damage.allCases)
  func aBrokenFileLeavesTheListInForce(_ damage: Damage) throws {
    let scene = try Scene(allowed: "10.0.0.0/8\n", denied: "192.0.2.0/24\n")
    let denied = try #require(scene.denied)
    try denied.replace(withText: scene.clients)
    try scene.waitForDenial()
    let process = scene.daemon.process

    let before = process.lines.count
    switch damage {
    case .missing: try denied.remove()
    case .hostBits: try denied.replace(withText: "10.2.0.0/16\n10.0.0.1/8\n")
    case .noNetwork: try denied.replace(withBytes: Data([0xff, 0x0a]))
    case .directory:
      let new = denied.sibling("directory")
      try FileManager.default.createDirectory(atPath: new, withIntermediateDirectories: false)
      try denied.replace(withItemAt: new)
    }
    try process.waitForLine(containing: denied.path, after: before)
    // It is looked at again each second, and said once.
    Thread.sleep(forTimeInterval: 2.5)
    let said = process.lines.dropFirst(before).map(\.text).filter {
      !$0.contains("Denied client")
    }
    #expect(said.count == 1, "\(said)")
    #expect(
      said.first?.contains("Unable to load list of denied clients \(denied.path)") == true
        && said.first?.contains(damage.reason) == true
        && said.first?.hasSuffix("; the present list stays in force") == true, "\(said)")
    try scene.expectDenied(scene.service.newClient())
    let problems = try scene.status().health.problems
    #expect(problems.count == 1)
    #expect(problems.first?.hasPrefix("the list of denied clients is refused: ") == true)

    // Another file's being read well does not hide it.
    let allowed = try #require(scene.allowed)
    let then = process.lines.count
    try allowed.replace(withText: "10.0.0.0/8\n192.0.2.0/24\n")
    try process.waitForLine(containing: "New list of allowed clients applied", after: then)
    #expect(
      try scene.status().health.problems == problems)

    if damage == .directory { try denied.remove() }
    try denied.replace(withText: "192.0.2.0/24\n")
    try process.waitForLine(containing: "New list of denied clients applied", after: then)
    try scene.expectServed(scene.service.newClient())
    #expect(try scene.status().health.problems == [])
    #expect(try scene.daemon.stop() == 0)
  }

  /// Who asks is told of all files, and what is good in one is not lost by a fault of another.
  @Test func aReloadReadsAllFiles() throws {
    let scene = try Scene(allowed: "10.0.0.0/8\n", denied: "", usingFile: true)
    let (service, daemon) = (scene.service, scene.daemon)
    let config = try #require(service.configFile)
    let (allowed, denied) = (try #require(scene.allowed), try #require(scene.denied))
    #expect(try scene.ulbctl("reload").status == 0)

    // By the control socket.
    try config.replace(with: [service.address(ofServer: 1)])
    try denied.replace(withText: scene.clients)
    // What was seen before it was asked for is in the log alone.
    #expect(try scene.ulbctl("reload").status == 0)
    for change in [
      "New config applied: 1 real server(s); removed \(service.address(ofServer: 0)).",
      "New list of denied clients applied: 1 network(s); 1 added, 0 removed.",
    ] { try daemon.process.waitForLine(containing: change, after: 0) }
    try scene.expectDenied(service.newClient())

    try denied.replace(withText: "")
    try allowed.replace(withText: "nobody\n")
    let refusal = try scene.ulbctl("reload")
    #expect(refusal.status == 1)
    #expect(
      refusal.standardError.contains(
        "list of allowed clients \(allowed.path), line 1: 'nobody'"), "\(refusal)")
    #expect(try service.server(answering: service.newClient()) == "srv2")

    // By a signal.
    try allowed.replace(withText: "192.0.2.0/24\n")
    daemon.process.send(signal: SIGHUP)
    try daemon.waitForNotification("READY=1", times: 2)
    try scene.expectDenied(service.newClient())
    #expect(try daemon.stop() == 0)
  }

  /// Without a config file there is something to read again, too.
  @Test func strictAsksForEveryPacket() throws {
    let scene = try Scene(denied: "", options: ["--strict", "--probation", "0"])
    let client = try scene.service.newClient()
    try scene.expectServed(client)
    try #require(scene.denied).replace(withText: Topology.clientAddress(.ipv4))
    #expect(try scene.ulbctl("reload").status == 0)
    try scene.expectDenied(client)
    #expect(try scene.daemon.stop() == 0)
  }

  @Test func whoIsKnownIsNotAskedForWhereThereAreNoClasses() throws {
    let scene = try Scene(denied: "", options: ["--probation", "0"])
    let client = try scene.service.newClient()
    try scene.expectServed(client)
    try #require(scene.denied).replace(withText: Topology.clientAddress(.ipv4))
    #expect(try scene.ulbctl("reload").status == 0)
    try scene.expectDenied(scene.service.newClient())
    try scene.expectServed(client)
    #expect(try scene.daemon.stop() == 0)
  }
}
