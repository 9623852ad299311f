// Several directors on one network, each with ulb and what makes it one of several: ulb-sync between ulb
// and Redis, and keepalived or bird.
import Control
import Foundation
import HTTP
import JSONCoding
import LoadBalancing
import TestSupport
import Testing

/// A fleet of directors, and the Redis that they share.
final class Fleet {
  let topology: Topology
  let directors: [FleetDirector]
  private(set) var redis: ChildProcess?
  private let directory: TemporaryDirectory

  /// What brings packets to the directors.
  enum Routing {
    /// One director at a time has the virtual servers' addresses.
    case keepalived
    /// The gateway spreads packets over all directors (ECMP).
    case bird
  }

  /// The gateway's bird.
  private var router: ChildProcess?

  init(
    directors count: Int, realServers: Int = 3, scheduler: String = "round-robin",
    routing: Routing = .keepalived
  ) throws {
    topology = try Topology(realServers: realServers, directors: count)
    directory = try TemporaryDirectory()
    func list(_ family: AddressFamily) -> String {
      (0..<realServers).map { Topology.realServer($0, family) }.joined(separator: "\n")
    }
    let text = """
      [ulb]
      scheduler = \(scheduler)
      [Real Servers]
      \(list(.ipv4))
      [Virtual Server ipv6]
      address = \(Topology.virtualServer(.ipv6))
      port = \(Network.port)
      scheduler = \(scheduler)
      [Real Servers ipv6]
      \(list(.ipv6))
      """
    let file = directory.path(of: "servers.cfg")
    try text.write(toFile: file, atomically: false, encoding: .utf8)
    directors = try topology.directors.indices.map { [topology] number in
      try FleetDirector(number, topology, configuration: file, routing: routing)
    }
    if routing == .bird { try startRouter() }
  }

  /// The example of the package with this network's addresses, and a session with each director.
  private func startRouter() throws {
    let gateway = topology.gateway.name
    for family in ["-4", "-6"] {
      try runSuccessfully(["ip", "-n", gateway, family, "route", "flush", "table", "100"])
    }
    for family in ["ipv4", "ipv6"] {
      try topology.gateway.run {
        let path = "/proc/sys/net/\(family)/fib_multipath_hash_policy"
        try "1".write(toFile: path, atomically: false, encoding: .utf8)
      }
    }
    let text = try BirdExample.text("bird-router.conf", interface: "gwl")
    let start = try #require(text.range(of: "protocol bgp ")?.lowerBound)
    let sessions = topology.directors.indices.map { number in
      BirdExample.ofDirector(number, String(text[start...]))
        .replacing("director_a", with: "director_\(number + 1)_")
    }
    router = try BirdExample.start(
      text[..<start] + sessions.joined(), in: topology.gateway, directory)
  }

  /// To how many directors the gateway sends packets of clients.
  var announced: Int {
    let lines = try? runSuccessfully(
      ["ip", "-n", topology.gateway.name, "-o", "route", "show", Topology.virtualServer(.ipv4)])
    return lines?.first.map { $0.ranges(of: "via ").count } ?? 0
  }

  /// Whether the gateway sends packets to the virtual server to that director's link-layer address.
  func gatewaySends(to director: FleetDirector, _ family: AddressFamily) throws -> Bool {
    let lines = try runSuccessfully([
      "ip", "-n", topology.gateway.name, "neigh", "show", Topology.virtualServer(family),
    ])
    let address = try director.linkLayerAddress
    return lines.contains { $0.contains("lladdr \(address) ") }
  }

  /// Whether what real servers send goes nowhere, as it does where no director is announced.
  func isAnswerLost(_ family: AddressFamily) throws -> Bool {
    let lines = try runSuccessfully([
      "ip", "-n", topology.gateway.name, family == .ipv4 ? "-4" : "-6", "-o", "route", "show",
      "table", "100",
    ])
    return lines.count == 1 && lines[0].hasPrefix("blackhole default ")
  }

  /// Starts a Redis, which is empty.
  func startRedis() throws {
    redis = try ChildProcess(
      [
        "redis-server", "--bind", Topology.redisAddress(.ipv4), "--protected-mode", "no", "--dir",
        directory.path, "--save", "", "--appendonly", "no",
      ], in: topology.redis)
    try redis?.waitForLine(containing: "Ready to accept connections")
  }

  /// Kills Redis and starts another, which is empty.
  func restartRedis() throws {
    redis?.send(signal: SIGKILL)
    try redis?.waitForExit()
    try startRedis()
  }

  /// Directors do not hear each other; the gateway and Redis hear all.
  func split(_ isSplit: Bool) throws {
    for number in directors.indices {
      try runSuccessfully(
        [
          "bridge", "-n", topology.gateway.name, "link", "set", "dev", "gwl\(number + 1)",
          "isolated",
          isSplit ? "on" : "off",
        ])
    }
  }

  /// Waits until all directors share each of the load's clients, and have the same real server for it. From
  /// then on none may be with another one.
  func waitForAgreement(_ load: Load) async throws {
    var disagreements: [String] = []
    let isAgreed = try await waitUntilAnswered {
      disagreements = try await self.disagreements(load)
      return disagreements.isEmpty
    }
    guard isAgreed else {
      let some = disagreements.prefix(10).joined(separator: "\n")
      throw TimedOut("agreement about \(disagreements.count) clients:\n\(some)")
    }
  }

  /// The load's clients that not all directors share, or that have not the same real server everywhere.
  private func disagreements(_ load: Load) async throws -> [String] {
    var known: [[String: AssociationEntry]] = []
    for director in directors { known.append(try await director.associations(load)) }
    return load.allClients.compactMap { client in
      let entries = known.map { $0[client] }
      if entries.allSatisfy({ $0.map { $0.class != .newcomer } ?? false }),
        Set(entries.map { $0?.realServer }).count == 1
      {
        return nil
      }
      let all = entries.map { entry in
        entry.map { "\($0.realServer) (\($0.class), age \($0.age))" } ?? "none"
      }
      return "\(client): \(all.joined(separator: ", "))"
    }
  }

  /// Starts Redis and all directors; whoever of these is active, one is.
  func start() throws {
    try startRedis()
    for director in directors { try director.start() }
  }

  /// Waits until one director is active; nobody is for a moment where one gives way to the other.
  ///
  /// - Returns: of two directors, the active one and the other.
  func activeAndStandby() throws -> (active: FleetDirector, standby: FleetDirector) {
    var active: [FleetDirector] = []
    guard
      waitUntil({
        active = self.active
        return active.count == 1
      }), let standby = directors.first(where: { $0.number != active[0].number })
    else { throw TimedOut("one active director; \(active.count) are") }
    return (active[0], standby)
  }

  /// Who has the virtual servers' addresses.
  var active: [FleetDirector] { directors.filter { $0.isActive } }
}

/// One of several directors.
final class FleetDirector {
  let number: Int
  let namespace: NetworkNamespace
  private let topology: Topology
  private let configuration: String
  private let routing: Fleet.Routing
  private let directory: TemporaryDirectory
  private(set) var ulb: ChildProcess?
  private(set) var sync: ChildProcess?
  private(set) var keepalived: ChildProcess?
  private(set) var bird: ChildProcess?

  /// The control socket.
  var socket: String { directory.path(of: "control.sock") }

  fileprivate init(
    _ number: Int, _ topology: Topology, configuration: String, routing: Fleet.Routing
  ) throws {
    self.number = number
    namespace = topology.directors[number]
    self.topology = topology
    self.configuration = configuration
    self.routing = routing
    directory = try TemporaryDirectory()
  }

  /// The associations of the load's clients.
  func associations(_ load: Load) async throws -> [String: AssociationEntry] {
    let response = try await HTTPClient(unixSocket: socket).send(
      "GET", "/v1/associations", headers: [("Accept", "application/jsonl")])
    let lines = try await response.collect().split(separator: UInt8(ascii: "\n"))
    let clients = load.allClients
    let entries = try lines.map { try JSON.decode(AssociationEntry.self, from: Array($0)) }
      .filter { clients.contains($0.client) }
    return Dictionary(entries.map { ($0.client, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The real server that a client is with; `nil` where it is with none.
  func server(of client: Endpoint) async throws -> String? {
    let response = try await HTTPClient(unixSocket: socket).send(
      "GET",
      "/v1/associations/"
        + client.description.replacing("[", with: "%5B")
        .replacing("]", with: "%5D"))
    return try JSON.decode(ClientAssociations.self, from: await response.collect())
      .associations.first?.realServer
  }

  // MARK: Start and end

  /// Starts all that runs on a director, in the order of systemd's units.
  func start() throws {
    try startDaemon()
    try startSync()
    switch routing {
    case .keepalived: try startKeepalived()
    case .bird: try startBird()
    }
  }

  /// Starts ulb, which is attached when this is through.
  private func startDaemon() throws {
    // Nobody keeps its descriptors: with the process goes what it has loaded, as with a machine.
    let daemon = try ChildProcess(
      [
        Package.executable, "lb0", "-vs", Topology.virtualServer(.ipv4), "-cfg", configuration,
        "-p",
        String(Network.port), "-mrs", "8", "-ma", "65536", "-l",
        "WARNING", "--control", socket,
      ], in: namespace, environment: ["NOTIFY_SOCKET": ""])
    ulb = daemon
    let interface = Interface("lb0", in: namespace)
    var isStarted = false
    _ = waitUntil {
      isStarted =
        (try? interface.xdpProgram()) != nil && FileManager.default.fileExists(atPath: socket)
      return isStarted || !daemon.isRunning
    }
    guard isStarted else { throw TimedOut("ulb, which wrote:\n\(daemon.transcript)") }
  }

  /// Starts ulb-sync, which has read what the other directors know when this is through.
  private func startSync() throws {
    let path = directory.path(of: "sync.conf")
    let text = """
      redis = redis://\(Topology.redisAddress(.ipv4))
      director = \(namespace.name)
      control = \(socket)
      """
    try text.write(toFile: path, atomically: false, encoding: .utf8)
    // What a former one has told is not read again.
    try? FileManager.default.removeItem(atPath: directory.path(of: "notify"))
    let notifications = try NotifySocket(in: directory)
    let program = try ChildProcess(
      ["\(Package.executable)-sync", "--config", path, "lb0"], in: namespace,
      environment: ["NOTIFY_SOCKET": notifications.path])
    sync = program
    var isReady = false
    _ = waitUntil {
      isReady = notifications.assignments.contains("READY=1")
      return isReady || !program.isRunning
    }
    guard isReady else { throw TimedOut("ulb-sync, which wrote:\n\(program.transcript)") }
  }

  /// Of keepalived's processes.
  private var pidFiles: [String: String] {
    Dictionary(
      uniqueKeysWithValues: ["pid", "vrrp_pid", "checkers_pid"].map {
        ($0, directory.path(of: "keepalived.\($0)"))
      })
  }

  private func startKeepalived() throws {
    let program = try ChildProcess(
      [
        "keepalived", "--dont-fork", "--log-console", "--log-detail",
        "--use-file", try writeConfiguration(),
      ] + pidFiles.flatMap { ["--\($0)", $1] }, in: namespace)
    keepalived = program
    try program.waitForLine(containing: "Entering BACKUP STATE")
  }

  private func startBird() throws {
    let text = try BirdExample.text("bird-director.conf", interface: "lb0")
    bird = try BirdExample.start(BirdExample.ofDirector(number, text), in: namespace, directory)
  }

  /// The example of the package with this network's interface and addresses.
  private func writeConfiguration() throws -> String {
    let text = try String(
      contentsOfFile: Package.path("debian/examples/keepalived.conf"), encoding: .utf8)
    let own =
      text
      .replacing("192.0.2.10", with: Topology.virtualServer(.ipv4))
      .replacing("2001:db8::10", with: Topology.virtualServer(.ipv6))
      .replacing("director-a", with: namespace.name)
      .replacing("interface eth0\n", with: "interface lb0\n")
      .replacing(
        "/usr/bin/ulbctl --interface eth0 health",
        with: "\(Package.executable)ctl --socket \(socket) health")
    let path = directory.path(of: "keepalived.conf")
    try own.write(toFile: path, atomically: false, encoding: .utf8)
    return path
  }

  /// Whether the machine's kernel has the virtual server's address.
  var isActive: Bool {
    let addresses = try? runSuccessfully(
      ["ip", "-n", namespace.name, "-o", "address", "show", "dev", "lb0"])
    return addresses?.contains { $0.contains(" \(Topology.virtualServer(.ipv4))/32 ") } ?? false
  }

  /// Whether keepalived has ended a process of its own and started another, as it does where one fails.
  var hasRespawned: Bool { keepalived?.transcript.contains("Respawning") ?? false }

  /// Of its interface.
  fileprivate var linkLayerAddress: String {
    get throws {
      let lines = try runSuccessfully(
        ["ip", "-n", namespace.name, "-o", "link", "show", "dev", "lb0"])
      guard let match = lines.first?.firstMatch(of: /link\/ether ([0-9a-f:]+)/) else {
        throw Failure("no link-layer address: \(lines)")
      }
      return String(match.1)
    }
  }

  /// All that runs is gone at once, without a word.
  ///
  /// - Parameter linksToo: whether its links are down, as where its power has failed.
  func fail(linksToo: Bool) throws {
    if linksToo {
      try runSuccessfully(["ip", "-n", topology.gateway.name, "link", "set", port, "down"])
    }
    try killProcesses()
    try waitForEnds()
    // keepalived had no time for these, as a machine that starts anew has not.
    for file in pidFiles.values { try? FileManager.default.removeItem(atPath: file) }
    for (family, length) in [(AddressFamily.ipv4, 32), (.ipv6, 128)] {
      _ = try? run(
        "ip", "-n", namespace.name, "address", "del",
        "\(Topology.virtualServer(family))/\(length)", "dev", "lb0")
    }
  }

  /// Also what these have started: keepalived's own do not end with it.
  private func killProcesses() throws {
    for pid in try runSuccessfully(["ip", "netns", "pids", namespace.name]).compactMap(pid_t.init) {
      kill(pid, SIGKILL)
    }
  }

  deinit { try? killProcesses() }

  /// An operator stops all of it, in the order of systemd's units.
  func stop() throws {
    for program in [keepalived, bird, sync, ulb] {
      program?.send(signal: SIGTERM)
      try program?.waitForExit()
    }
    try waitForEnds()
  }

  private func waitForEnds() throws {
    for program in [ulb, sync, keepalived, bird] { try program?.waitForExit() }
    (ulb, sync, keepalived, bird) = (nil, nil, nil, nil)
  }

  /// The machine is there again, with nothing running.
  func connect() throws {
    try runSuccessfully(["ip", "-n", topology.gateway.name, "link", "set", port, "up"])
  }

  /// The gateway's end of the wire.
  private var port: String { "gwl\(number + 1)" }
}

/// The package's examples for bird, with the addresses of scripts/addresses.
private enum BirdExample {
  static func text(_ name: String, interface: String) throws -> String {
    let path = Package.path("debian/examples/\(name)")
    // The longer ones first: one is the beginning of another.
    return try String(contentsOfFile: path, encoding: .utf8)
      .replacing("192.0.2.10", with: Topology.virtualServer(.ipv4))
      .replacing("2001:db8::10", with: Topology.virtualServer(.ipv6))
      .replacing(/192\.0\.2\.1\b/, with: Topology.directorGateway(.ipv4))
      .replacing(/2001:db8::1\b/, with: Topology.directorGateway(.ipv6))
      .replacing("\"eth0\"", with: "\"\(interface)\"")
  }

  /// With the addresses of a director.
  static func ofDirector(_ number: Int, _ text: String) -> String {
    text.replacing("192.0.2.21", with: Topology.fleetDirectorAddress(number, .ipv4))
      .replacing("2001:db8::21", with: Topology.fleetDirectorAddress(number, .ipv6))
  }

  static func start(
    _ text: String, in namespace: NetworkNamespace, _ directory: TemporaryDirectory
  ) throws -> ChildProcess {
    let path = directory.path(of: "bird.conf")
    try text.write(toFile: path, atomically: false, encoding: .utf8)
    try runSuccessfully(["bird", "-p", "-c", path])
    return try ChildProcess(
      [
        "bird", "-f", "-c", path, "-s", directory.path(of: "bird.ctl"), "-P",
        directory.path(of: "bird.pid"),
      ], in: namespace)
  }
}
