// The state file: what it brings over a stop and a crash, and what a broken one cannot do.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite struct StateFileTests {
  @Test(arguments: AddressFamily.allCases)
  func stopAndStart(_ family: AddressFamily) throws {
    let stage = try Stage(family)
    let network = stage.network
    let first = try stage.startWithState()
    let clients = try network.newClients(5)
    let servers = network.servers(of: clients)
    #expect(servers == ["srv1", "srv2", "srv3", "srv1", "srv2"])
    #expect(try first.stop() == 0)
    #expect(try StateFiles.read(stage.state).count == 5)

    let second = try stage.startWithState()
    #expect(second.count("Restored 5 association(s) from \(stage.state)") == 1)
    // In another order than they came first, and the round goes on where it was.
    #expect(network.servers(of: clients.reversed()) == servers.reversed())
    #expect(try network.serversOfNewClients(2) == ["srv3", "srv1"])
    #expect(network.servers(of: clients) == servers)
    #expect(try second.stop() == 0)
    #expect(try StateFiles.read(stage.state).count == 7)
    #expect(try stage.contents() == ["associations", "servers.cfg"])
  }

  /// A table of another size keeps the clients that were used last, in their order. (With classes,
  /// clients that were answered in the same half second are in none.)
  @Test(arguments: AddressFamily.allCases)
  func anotherSizeKeepsTheOrderOfUse(_ family: AddressFamily) throws {
    let stage = try Stage(family)
    let network = stage.network
    /// What a start with this size has restored, and what it leaves when these clients have spoken.
    func run(_ size: Int, restored: Int, _ clients: [UDPSocket]) throws -> (
      ports: [UInt16], servers: [String]
    ) {
      let daemon = try stage.startWithState(["-ma", String(size), "--probation", "0"])
      let line = "Restored \(restored) association(s) from \(stage.state)"
      #expect(daemon.count(line) == (restored == 0 ? 0 : 1), "\(daemon.process.transcript)")
      let servers = network.servers(of: clients)
      #expect(try daemon.stop() == 0)
      return (try StateFiles.associations(stage.state).map(\.client.port), servers)
    }
    func ports(_ clients: [UDPSocket]) -> [UInt16] { clients.map(\.endpoint.port) }

    let clients = try network.newClients(14)
    let first = try run(14, restored: 0, clients)
    #expect(first.ports == ports(clients.reversed()))
    // The order is exact in a table of 7, over restarts too.
    let smaller = try run(7, restored: 7, [clients[9], clients[7], clients[8]])
    #expect(smaller.servers == [9, 7, 8].map { first.servers[$0] })
    #expect(smaller.ports == ports([8, 7, 9, 13, 12, 11, 10].map { clients[$0] }))
    let newcomer = try network.newClient()
    #expect(
      try run(7, restored: 7, [newcomer]).ports
        == ports([newcomer] + [8, 7, 9, 13, 12, 11].map { clients[$0] }))
    // A larger one keeps what it is given.
    let larger = try run(100_000, restored: 7, [])
    #expect(larger.ports == ports([newcomer] + [8, 7, 9, 13, 12, 11].map { clients[$0] }))
    let least = try run(3, restored: 3, [])
    #expect(least.ports == ports([newcomer, clients[8], clients[7]]))
    #expect(
      try run(3, restored: 3, [clients[7], clients[8]]).servers == [7, 8].map { first.servers[$0] })
  }

  /// Whatever class the rest are of: into a smaller table with classes, and into one without.
  @Test(arguments: AddressFamily.allCases)
  func residentsStayWhereThereIsNoRoomForAll(_ family: AddressFamily) throws {
    let stage = try Stage(family)
    let network = stage.network
    func start(_ size: Int, restored: Int) throws -> Daemon {
      let daemon = try stage.startWithState(["-ma", String(size)])
      let line = "Restored \(restored) association(s) from \(stage.state)"
      #expect(daemon.count(line) == (restored == 0 ? 0 : 1), "\(daemon.process.transcript)")
      return daemon
    }

    let first = try start(40, restored: 0)
    let clients = try network.newClients(40)
    let servers = network.servers(of: clients)
    // Those that send again after their probation: neither the first nor the last ones.
    Thread.sleep(forTimeInterval: 1.6)
    let residents = [3, 16, 30]
    let ports = Set(residents.map { clients[$0].endpoint.port })
    #expect(
      network.servers(of: residents.map { clients[$0] }) == residents.map { servers[$0] })
    #expect(try first.stop() == 0)
    func expectResidentsFirst(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation)
      throws
    {
      let saved = try StateFiles.associations(stage.state).map(\.client.port)
      #expect(saved.count == count, sourceLocation: sourceLocation)
      #expect(Set(saved.prefix(residents.count)) == ports, sourceLocation: sourceLocation)
    }
    try expectResidentsFirst(40)
    for (size, count) in [(8, 14), (7, 7), (3, 3)] {
      let next = try start(size, restored: count)
      #expect(try next.stop() == 0)
      try expectResidentsFirst(count)
    }
    let last = try start(1000, restored: 3)
    #expect(
      network.servers(of: residents.map { clients[$0] }) == residents.map { servers[$0] })
    #expect(try last.stop() == 0)
  }

  @Test func savedNowAndThenForACrash() throws {
    let stage = try Stage()
    let network = stage.network
    let first = try stage.startWithState(["--state_interval", "1"])
    let clients = try network.newClients(5)
    let servers = network.servers(of: clients)
    #expect(waitUntil { (try? StateFiles.read(stage.state).count) == 5 })
    #expect(try first.stop(with: SIGKILL) == 128 + SIGKILL)
    let second = try stage.startWithState()
    #expect(network.servers(of: clients.reversed()) == servers.reversed())
    #expect(try network.serversOfNewClients(1) == ["srv3"])
    #expect(try second.stop() == 0)
  }

  @Test func unlistedServersLoseTheirClients() throws {
    let stage = try Stage()
    let network = stage.network
    let first = try stage.startWithState()
    let clients = try network.newClients(6)
    #expect(network.servers(of: clients) == ["srv1", "srv2", "srv3", "srv1", "srv2", "srv3"])
    #expect(try first.stop() == 0)
    try stage.list([2, 0])
    let second = try stage.startWithState()
    #expect(
      second.count(
        "Restored 4 association(s) from \(stage.state); 2 of real servers that are no longer "
          + "listed") == 1)
    let kept = [0, 2, 3, 5].map { clients[$0] }
    #expect(network.servers(of: kept) == ["srv1", "srv3", "srv1", "srv3"])
    #expect(Set(network.servers(of: [clients[1], clients[4]])) == ["srv1", "srv3"])
    #expect(try second.stop() == 0)
    // They do not come back with the server.
    try stage.list([0, 1, 2])
    let third = try stage.startWithState()
    #expect(!network.servers(of: clients).contains("srv2"))
    #expect(try third.stop() == 0)
  }

  /// What the control socket has set comes back, until the config file says something else.
  @Test func whatTheControlSocketHasSet() throws {
    let stage = try Stage()
    let network = stage.network
    let servers = network.addresses([0, 1, 2]).map { IPAddress($0)! }
    func target(_ number: Int) -> Overrides.Target {
      Overrides.Target(name: nil, address: servers[number])
    }
    func draining(wasWeight weight: Int) -> RealServer.Override {
      RealServer.Override(
        state: .draining, weight: nil,
        configured: RealServer.Setting(state: .up, weight: weight))
    }
    try StateFiles.write(
      StateFiles.bytes(
        clients: 3, servers: network.addresses([0, 1, 2]),
        overrides: Overrides([target(1): draining(wasWeight: 1), target(2): draining(wasWeight: 7)])
      ),
      to: stage.state)
    var daemon = try stage.startWithState()
    let text = "Real server \(servers[1]) of \(network.virtualServer.address): draining, as the"
    #expect(daemon.count(text) == 1, "\(daemon.process.transcript)")
    #expect(daemon.count("Real server \(servers[2]) of") == 1)
    #expect(daemon.count("as the configuration says again") == 1)
    #expect(try network.serversOfNewClients(4) == ["srv1", "srv3", "srv1", "srv3"])
    #expect(try daemon.stop() == 0)
    #expect(try StateFiles.overrides(stage.state) == Overrides([target(1): draining(wasWeight: 1)]))

    daemon = try stage.startWithState()
    #expect(daemon.count(text) == 1)
    #expect(Set(try network.serversOfNewClients(3)) == ["srv1", "srv3"])
    try stage.replace("[Real Servers]\n\(servers[0])\n\(servers[1]) = weight 2\n")
    #expect(
      waitUntil { daemon.count("\(servers[1]) of \(network.virtualServer.address): up with") == 1 })
    #expect(Set(try network.serversOfNewClients(3)) == ["srv1", "srv2"])
    #expect(try daemon.stop() == 0)
    #expect(try StateFiles.overrides(stage.state).isEmpty)
  }

  /// State files of ulb that cannot be used.
  enum Damage: String, CaseIterable {
    case torn, truncated, longer, newer, header, otherFamily

    var reason: String {
      switch self {
      case .torn: "its checksum is wrong"
      case .truncated, .longer: "it ends too early or too late"
      case .newer: "it has version 6, this ulb knows versions up to 5"
      case .header: "its header is damaged"
      case .otherFamily: "it is of ipv6 clients"
      }
    }

    func bytes(of whole: [UInt8]) -> [UInt8] {
      var bytes = whole
      switch self {
      case .torn: bytes[bytes.count / 2] ^= 1
      case .truncated: bytes.removeLast(100)
      case .longer: bytes.append(0)
      case .newer: bytes[8] = 6
      case .header: bytes[20] = 5
      case .otherFamily: bytes = StateFiles.bytes(clients: 3, servers: ["fd70:1::2"])
      }
      return bytes
    }
  }

  private func refused(_ stage: Stage) throws -> [String] {
    try stage.contents().filter { $0.hasPrefix("associations.refused-") }
      .map { stage.path($0) }
  }

  @Test func brokenFilesAreKeptAside() throws {
    let stage = try Stage()
    let network = stage.network
    let whole = StateFiles.bytes(clients: 100, servers: network.addresses([0, 1, 2]))
    for damage in Damage.allCases {
      let bytes = damage.bytes(of: whole)
      try StateFiles.write(bytes, to: stage.state)
      let daemon = try stage.startWithState()
      let message = Comment(rawValue: "\(damage): \(daemon.process.transcript)")
      #expect(daemon.errors.count == 1, message)
      let error = try #require(daemon.errors.first, message)
      #expect(error.hasPrefix("ERROR: The state file \(stage.state) is refused: "), message)
      #expect(error.contains(damage.reason), message)
      let aside = try #require(try refused(stage).first, message)
      #expect(error.contains("kept aside as \(aside); started without it"), message)
      #expect(try network.serversOfNewClients(3) == ["srv1", "srv2", "srv3"], message)
      #expect(try daemon.stop() == 0)
      #expect(try StateFiles.read(stage.state).count == 3, message)
      #expect(try stage.contents().count == 3, message)
      #expect(try Data(contentsOf: URL(fileURLWithPath: aside)) == Data(bytes), message)
      try need(["rm", aside])
    }
  }

  /// A virtual server of the other family, and back: nothing of the first one's clients is lost.
  @Test func otherFamilyAndBack() throws {
    let stage = try Stage()
    let network = stage.network
    let first = try stage.startWithState()
    let clients = try network.newClients(5)
    let servers = network.servers(of: clients)
    #expect(try first.stop() == 0)
    let whole = try Data(contentsOf: URL(fileURLWithPath: stage.state))

    try stage.replace("[Real Servers]\n" + Topology.realServer(0, .ipv6))
    for round in 1...2 {
      let other = try stage.startWithState(["-vs", Topology.virtualServer(.ipv6)])
      #expect(other.count("it is of ipv4 clients; kept aside as ") == (round == 1 ? 1 : 0))
      #expect(try other.stop() == 0)
    }
    let aside = try #require(try refused(stage).first)
    try stage.list([0, 1, 2])
    let back = try stage.startWithState()
    #expect(back.count("it is of ipv6 clients; kept aside as ") == 1)
    #expect(try back.stop() == 0)
    #expect(try refused(stage).count == 2)
    #expect(try Data(contentsOf: URL(fileURLWithPath: aside)) == whole)

    try need(["mv", aside, stage.state])
    let again = try stage.startWithState()
    #expect(again.count("Restored 5 association(s)") == 1)
    #expect(network.servers(of: clients.reversed()) == servers.reversed())
    #expect(try again.stop() == 0)
  }

  /// What is no state file of ulb's ends the start, before anything is compiled, and stays.
  @Test func whatIsNotOursEndsTheStart() throws {
    let stage = try Stage()
    let network = stage.network
    let whole = StateFiles.bytes(clients: 100, servers: network.addresses([0, 1, 2]))
    for (command, reason) in [
      ("echo '[Real Servers]' >PATH", "is not a state file of ulb"),
      ("mkdir PATH", "is a directory"), ("mkfifo PATH", "is a named pipe"),
      ("mknod PATH c 1 3", "is a device"), ("ln -s servers.cfg PATH", "is a symbolic link"),
      ("ln -s /nonexistent/state PATH", "is a symbolic link"),
      ("cp whole PATH; chown 65534 PATH; chmod 600 PATH", "Permission denied"),
      ("cp whole PATH; mkdir PATH.new", "is a directory"),
      ("cp whole PATH; echo mine >PATH.new", "is not a state file of ulb"),
      ("truncate -s 4G PATH", "is not a state file of ulb"),
    ] {
      try StateFiles.write(whole, to: stage.path("whole"))
      let make = command.replacingOccurrences(of: "PATH", with: "associations")
      try need(["sh", "-c", "cd \(stage.path("")) && \(make)"])
      func picture() throws -> String {
        // Names, kinds, inodes, sizes and times, and what is in the files.
        try need([
          "sh", "-c",
          "cd \(stage.path("")) && ls -ilR --time-style=full-iso && "
            + "find . -type f -size -1M -exec cksum {} +",
        ])
      }
      let before = try picture()
      // Root that may read only what root may.
      let start = ContinuousClock.now
      let result = try Daemon.run(
        stage.arguments(["--state", stage.state]), in: stage.topology.director,
        wrapper: ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"])
      let message = Comment(rawValue: "\(command): \(result.standardError)")
      #expect(ContinuousClock.now - start < .seconds(3), message)
      #expect(result.status == 1, message)
      #expect(result.standardError.hasPrefix("ulb: error: "), message)
      #expect(!result.standardError.contains("\n"), message)
      #expect(result.standardError.contains("'\(stage.state)"), message)
      #expect(result.standardError.contains(reason), message)
      #expect(result.standardOutput == "", message)
      #expect(try picture() == before, message)
      #expect(try stage.topology.directorInterface.xdpProgram() == nil)
      try need(["sh", "-c", "rm -rf \(stage.state)*"])
    }
    let device = try need(["stat", "-c", "%F %t %T %i", "/dev/null"])
    let result = try Daemon.run(
      stage.arguments(["--state", "/dev/null"]), in: stage.topology.director)
    #expect(result.status == 1)
    #expect(result.standardError.contains("'/dev/null' is a device, not a regular file"))
    #expect(try need(["stat", "-c", "%F %t %T %i", "/dev/null"]) == device)
  }

  @Test func anEmptyFileIsAFirstStart() throws {
    let stage = try Stage()
    try need(["touch", stage.state])
    let daemon = try stage.startWithState()
    #expect(try stage.network.serversOfNewClients(2) == ["srv1", "srv2"])
    #expect(try daemon.stop() == 0)
    #expect(daemon.errors == [])
    #expect(try StateFiles.read(stage.state).count == 2)
    #expect(try stage.contents() == ["associations", "servers.cfg"])
  }

  /// One file, two daemons: the second is refused at any time, and a killed one is in nobody's way.
  @Test func aSecondDaemonIsRefused() throws {
    let stage = try Stage()
    let network = stage.network
    let daemon = try stage.startWithState(["--state_interval", "1"])
    func expectRefusal() throws {
      let second = try Daemon.run(
        stage.arguments(["--state", stage.state]), in: stage.topology.director)
      #expect(second.status == 1)
      #expect(
        second.standardError.hasPrefix(
          "ulb: error: the state file '\(stage.state)' is in use by another ulb"),
        "\(second.standardError)")
      #expect(!second.standardError.contains("\n"))
    }
    try expectRefusal()
    for count in 1...3 {
      _ = network.servers(of: try network.newClients(1))
      #expect(waitUntil { (try? StateFiles.read(stage.state).count) == count })
      try expectRefusal()
    }
    _ = try daemon.stop(with: SIGKILL)
    let next = try stage.startWithState()
    #expect(next.count("Restored 3 association(s)") == 1)
    #expect(try next.stop() == 0)
    #expect(try stage.contents() == ["associations", "servers.cfg"])
  }

  @Test func fullDisk() throws {
    let stage = try Stage()
    let network = stage.network
    let disk = stage.path("disk")
    try need(["mkdir", disk])
    try need(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk])
    defer { _ = try? need(["umount", "--lazy", disk]) }
    let state = disk + "/associations"
    // Two of these have no room there.
    let whole = StateFiles.bytes(clients: 50_000, servers: network.addresses([0, 1, 2]))
    try StateFiles.write(whole, to: state)
    let options = ["--state", state, "--state_interval", "1"]
    let daemon = try stage.start(options)
    try daemon.process.waitForLine(containing: "Restored 50000 association(s)")
    try daemon.process.waitForLine(containing: "Unable to save the associations")
    let clients = try network.newClients(3)
    let servers = network.servers(of: clients)
    // It is tried again each second, and said once.
    Thread.sleep(forTimeInterval: 3.5)
    #expect(daemon.errors.count == 1, "\(daemon.process.transcript)")
    #expect(daemon.errors[0].contains("No space left on device"))
    #expect(try Data(contentsOf: URL(fileURLWithPath: state)) == Data(whole))
    #expect(network.servers(of: clients) == servers)

    try need(["mount", "-o", "remount,size=16m", disk])
    try daemon.process.waitForLine(containing: "The associations are saved again.")
    #expect(waitUntil { (try? StateFiles.read(state).count) == 50_003 })

    // Full again, and the last save fails as well.
    try need(["mount", "-o", "remount,size=1m", disk])
    try daemon.process.waitForLine(containing: "No space left", after: daemon.process.lines.count)
    #expect(try daemon.stop() == 0)
    #expect(try StateFiles.read(state).count == 50_003)
    #expect(try FileManager.default.contentsOfDirectory(atPath: disk) == ["associations"])
    let next = try stage.start(options)
    #expect(network.servers(of: clients.reversed()) == servers.reversed())
    #expect(try next.stop() == 0)
  }

  /// Whether a thread of a process waits for something that no signal ends, as a frozen disk is.
  private func isHeldUp(_ process: pid_t) throws -> Bool {
    let tasks = "/proc/\(process)/task"
    return try FileManager.default.contentsOfDirectory(atPath: tasks).contains { task in
      let status = try? String(contentsOfFile: "\(tasks)/\(task)/status", encoding: .utf8)
      return status?.contains("State:\tD") == true
    }
  }

  /// A snapshot of the disk is taken while the daemon saves: it goes on, and what it has learned
  /// meanwhile is saved at the stop.
  @Test func aFrozenDiskHoldsNobodyUp() throws {
    let stage = try Stage()
    let network = stage.network
    try Disk.lend { disk in
      let state = disk.path(of: "associations")
      let daemon = try stage.start(["--state", state, "--state_interval", "1"])
      _ = network.servers(of: try network.newClients(2))
      try disk.freeze()
      #expect(try waitUntil { try isHeldUp(daemon.process.pid) })
      try stage.list([1])
      try daemon.process.waitForLine(containing: "New config applied: 1 real server(s)")
      #expect(try network.serversOfNewClients(3) == ["srv2", "srv2", "srv2"])
      daemon.process.send(signal: SIGTERM)
      try daemon.process.waitForLine(containing: "Stopping by signal")
      try disk.thaw()
      #expect(try daemon.process.waitForExit() == 0)
      #expect(daemon.errors == [])
      #expect(try StateFiles.read(state).count == 5)
    }
  }

  /// The file under its own name is whole, whenever the daemon dies.
  @Test func killedWhileSaving() throws {
    let stage = try Stage()
    let network = stage.network
    let count = 300_000
    let whole = StateFiles.bytes(clients: count, servers: network.addresses([0, 1, 2]))
    try StateFiles.write(whole, to: stage.state)
    let sum = try StateFiles.read(stage.state).sum
    var seenHalf = 0
    for part in [1, 500_000, 1_500_000, 3_000_000] {
      let daemon = try stage.startWithState(["--state_interval", "1"])
      try daemon.process.waitForLine(containing: "Restored \(count) association(s)")
      // The kernel says how much of the new file is there.
      let came = waitUntil {
        var status = stat()
        return stat(stage.state + ".new", &status) == 0 && status.st_size >= part
      }
      #expect(came)
      _ = try daemon.stop(with: SIGKILL)
      if FileManager.default.fileExists(atPath: stage.state + ".new") { seenHalf += 1 }
      let (found, foundSum) = try StateFiles.read(stage.state)
      #expect(found == count && foundSum == sum)
    }
    // What was half-written is not in the way.
    #expect(seenHalf > 0)
    let daemon = try stage.startWithState()
    try daemon.process.waitForLine(containing: "Restored \(count) association(s)")
    #expect(try daemon.stop() == 0)
    #expect(try StateFiles.read(stage.state) == (count, sum))
    #expect(try stage.contents() == ["associations", "servers.cfg"])
  }

  @Test(arguments: AddressFamily.allCases)
  func aMillionAssociations(_ family: AddressFamily) throws {
    let stage = try Stage(family)
    let network = stage.network
    let count = 1_000_000
    let whole = StateFiles.bytes(
      clients: count, servers: network.addresses([0, 1, 2]), position: 2)
    try StateFiles.write(whole, to: stage.state)
    let sum = try StateFiles.read(stage.state).sum
    let daemon = try stage.startWithState(["--state_interval", "2"])
    try daemon.process.waitForLine(containing: "Restored \(count) association(s)")
    // Whoever waits for it sees how far it is.
    let shown = daemon.notifications.assignments.filter { $0.hasSuffix("associations restored") }
    #expect(shown.count > 20)
    #expect(shown.first == "STATUS=32768 of \(count) associations restored")
    #expect(shown.last == "STATUS=\(count) of \(count) associations restored")
    let clients = try network.newClients(3)
    #expect(network.servers(of: clients) == ["srv3", "srv1", "srv2"])
    // Saved while it serves.
    #expect(waitUntil { (try? StateFiles.read(stage.state).count) == count + 3 })
    #expect(network.servers(of: clients) == ["srv3", "srv1", "srv2"])
    #expect(try daemon.stop() == 0)
    #expect(daemon.errors == [])
    // All the same clients, and three more.
    let (found, foundSum) = try StateFiles.read(stage.state)
    #expect(found == count + 3 && foundSum != sum)
    let again = try stage.startWithState()
    try again.process.waitForLine(containing: "Restored \(count + 3) association(s)")
    #expect(network.servers(of: clients) == ["srv3", "srv1", "srv2"])
    #expect(try again.stop() == 0)
    #expect(try StateFiles.read(stage.state) == (found, foundSum))
  }
}
