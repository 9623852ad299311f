// A daemon that is killed, starved, cut off or doubled: what it promised holds.
import Foundation
import TestSupport
import Testing

@Suite struct FaultTests {
  /// Nothing is attached afterwards, nothing piles up, and the next start succeeds.
  @Test func killedAtAnyInstantOfTheStart() throws {
    let stage = try Stage()
    let network = stage.network
    let interface = stage.topology.directorInterface
    let run = stage.path("run")
    try need(["mkdir", run])
    // Who waits on a notify socket holds what was sent there, the link to the interface as well.
    let environment = ["RUNTIME_DIRECTORY": run, "NOTIFY_SOCKET": ""]
    let whole = StateFiles.bytes(clients: 1_000, servers: network.addresses([0, 1, 2]))
    try StateFiles.write(whole, to: stage.state)
    let arguments = stage.arguments(["--state", stage.state])
    var most = 0
    var seen = BPFObjects()
    var step = 0
    // At least so far as the program is loaded, however slow the machine is.
    while step <= 30 || (seen.programs.isEmpty && step <= 300) {
      defer { step += 1 }
      let daemon = try Daemon(arguments, in: stage.topology.director, environment: environment)
      usleep(UInt32(step) * 20_000)
      seen = seen.union(BPFObjects.held(by: daemon.process.pid))
      try #require(try daemon.stop(with: SIGKILL) == 128 + SIGKILL)
      #expect(try waitUntil { try interface.xdpProgram() == nil })
      #expect(try StateFiles.read(stage.state).count == 1_000)
      most = max(most, try FileManager.default.contentsOfDirectory(atPath: run).count)
    }
    // A start removes what one before it could not.
    #expect(most <= 1)
    let daemon = try stage.start(
      ["--state", stage.state], environment: ["RUNTIME_DIRECTORY": run])
    #expect(daemon.count("Restored 1000 association(s)") == 1)
    #expect(try network.serversOfNewClients(3) == ["srv1", "srv2", "srv3"])
    #expect(try daemon.stop() == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: run) == [])
    #expect(!seen.programs.isEmpty && !seen.maps.isEmpty)
    #expect(waitUntil { (try? BPFObjects.all().intersection(seen).isEmpty) == true })
  }

  /// No timer follows the time of day: set back by years, it delays nothing.
  @Test func clockSetBack() throws {
    let stage = try Stage()
    let network = stage.network
    let clock = stage.path("clock")
    try "+0".write(toFile: clock, atomically: false, encoding: .utf8)
    let library = try run("sh", "-c", "ls /usr/lib/*/faketime/libfaketime.so.1")
    try #require(library.status == 0)
    let daemon = try stage.start(
      ["--state", stage.state, "--state_interval", "1", "--log_format", "json"],
      // The first process with libfaketime changes its own environment, and Swift then no longer
      // finds its arguments: the first is env, the second ulb.
      wrapper: ["env"],
      environment: [
        "LD_PRELOAD": library.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines),
        "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
      ])
    let clients = try network.newClients(3)
    #expect(network.servers(of: clients) == ["srv1", "srv2", "srv3"])
    #expect(waitUntil { (try? StateFiles.read(stage.state).count) == 3 })
    try "-10y".write(toFile: clock, atomically: false, encoding: .utf8)
    try stage.list([0, 1])
    #expect(waitUntil { daemon.count("New config applied: 2 real server(s)") == 1 })
    // The daemon did see another clock.
    let year = Calendar(identifier: .gregorian).component(.year, from: Date())
    #expect(daemon.count("\"time\":\"\(year)") > 0)
    #expect(daemon.count("\"time\":\"\(year - 10)") > 0)
    let servers = network.servers(of: clients)
    #expect(servers == ["srv1", "srv2", "srv1"])
    #expect(try network.serversOfNewClients(2) == ["srv2", "srv1"])
    #expect(waitUntil { (try? StateFiles.read(stage.state).count) == 5 })
    #expect(network.servers(of: clients) == servers)
    #expect(try daemon.stop() == 0)
  }

  @Test func interfaceDownAndUp() throws {
    let stage = try Stage()
    let network = stage.network
    let daemon = try stage.start()
    let clients = try network.newClients(4)
    let servers = network.servers(of: clients)
    let program = try stage.topology.directorInterface.xdpProgram()
    let name = stage.topology.director.name
    try need(["ip", "-n", name, "link", "set", "dev", "lb0", "down"])
    Thread.sleep(forTimeInterval: 1)
    #expect(daemon.process.isRunning)
    try need(["ip", "-n", name, "link", "set", "dev", "lb0", "up"])
    let gateway = Topology.directorGateway(.ipv4)
    try need(["ip", "-n", name, "route", "replace", "default", "via", gateway])
    #expect(waitUntil { network.servers(of: clients, timeout: .seconds(1)) == servers })
    #expect(try stage.topology.directorInterface.xdpProgram() == program)
    #expect(try network.serversOfNewClients(2) == ["srv2", "srv3"])
    #expect(daemon.errors == [])
    #expect(try daemon.stop() == 0)
  }

  @Test func interfaceAwayAndBack() throws {
    let stage = try Stage()
    let network = stage.network
    let daemon = try stage.startWithState(["--interface_wait", "600"])
    let clients = try network.newClients(4)
    let servers = network.servers(of: clients)
    for round in 1...3 {
      try stage.topology.directorInterface.remove()
      #expect(waitUntil { daemon.count("the interface lb0 is gone") == round })
      try stage.topology.connectDirector()
      #expect(waitUntil { daemon.count("XDP program attached to lb0") == round + 1 })
      #expect(waitUntil { network.servers(of: clients, timeout: .seconds(1)) == servers })
    }
    #expect(try network.serversOfNewClients(2) == ["srv2", "srv3"])
    #expect(daemon.errors.count == 3)
    #expect(try daemon.stop() == 0)
    #expect(try StateFiles.read(stage.state).count == 6)
  }

  @Test func interfaceAwayForGood() throws {
    let stage = try Stage()
    let network = stage.network
    let daemon = try stage.startWithState(["--interface_wait", "1"])
    #expect(try network.serversOfNewClients(2) == ["srv1", "srv2"])
    try stage.topology.directorInterface.remove()
    #expect(try daemon.process.waitForExit() == 1)
    let errors = daemon.process.standardError
    #expect(errors.count == 1, "\(daemon.process.transcript)")
    #expect(errors.first?.hasPrefix("ulb: error: no such network interface: 'lb0'") == true)
    #expect(try StateFiles.read(stage.state).count == 2)
  }

  private func limitDescriptors(of daemon: Daemon, to number: Int) throws {
    try need(["prlimit", "--pid", String(daemon.process.pid), "--nofile=\(number):4096"])
  }

  private func lowestFreeDescriptor(of process: pid_t) throws -> Int {
    let names = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd")
    let used = Set(names.compactMap { Int($0) })
    return (0...).first { !used.contains($0) }!
  }

  /// No descriptor to read with, and then too few to compile with. Where saves go on, one may take the
  /// last of them from either.
  @Test(arguments: [(86_400, [0, 2, 6]), (1, [2])])
  func descriptorsExhausted(interval: Int, spares: [Int]) throws {
    let stage = try Stage()
    let network = stage.network
    let daemon = try stage.startWithState(["--state_interval", String(interval)])
    let clients = try network.newClients(3)
    let servers = network.servers(of: clients)
    let swapped = "Program compiled anew and swapped in"
    try stage.list([0, 1, 2], settings: "loglevel = CRITICAL")
    try daemon.process.waitForLine(containing: swapped)
    // The program before has descriptors for a moment longer, whose numbers would be free later.
    Thread.sleep(forTimeInterval: 2)
    let open = try daemon.openDescriptors()
    for (round, spare) in spares.enumerated() {
      #expect(waitUntil { (try? daemon.openDescriptors()) == open })
      let before = daemon.errors.count
      try limitDescriptors(
        of: daemon, to: try lowestFreeDescriptor(of: daemon.process.pid) + spare)
      try stage.list([0, 1, 2], settings: "loglevel = \(["INFO", "WARNING"][round % 2])")
      daemon.process.send(signal: SIGHUP)
      let isSaid = waitUntil {
        daemon.errors.dropFirst(before).contains { $0.contains(stage.file) }
      }
      #expect(isSaid, "\(spare): \(daemon.process.transcript)")
      Thread.sleep(forTimeInterval: 2)
      let said = daemon.errors.dropFirst(before).filter { $0.contains(stage.file) }
      #expect(said.count == (interval > 1 ? 1 : Set(said).count), "\(spare): \(daemon.errors)")
      #expect(said.allSatisfy { $0.contains("Too many open files") }, "\(said)")
      #expect(daemon.process.isRunning)
      #expect(network.servers(of: clients) == servers)
      try limitDescriptors(of: daemon, to: 1_024)
      daemon.process.send(signal: SIGHUP)
      let isMended = waitUntil { daemon.count(swapped) == round + 2 }
      #expect(isMended, "\(spare): \(daemon.process.transcript)")
      #expect(network.servers(of: clients) == servers)
    }
    #expect(waitUntil { (try? daemon.openDescriptors()) == open })
    #expect(try daemon.stop() == 0)
    #expect(try StateFiles.read(stage.state).count == 3)
  }

  @Test func notifySocketGone() throws {
    let stage = try Stage()
    let network = stage.network
    let daemon = try stage.start(environment: ["WATCHDOG_USEC": "400000"])
    #expect(waitUntil { daemon.notifications.assignments.contains("WATCHDOG=1") })
    let clients = try network.newClients(3)
    let servers = network.servers(of: clients)
    try need(["rm", daemon.notifications.path])
    try daemon.process.waitForLine(containing: "the service manager does not hear")
    try stage.list([1])
    daemon.process.send(signal: SIGHUP)
    try network.waitForListing(["srv2"])
    try stage.list([0, 1, 2])
    daemon.process.send(signal: SIGHUP)
    try network.waitForListing(["srv1", "srv2", "srv3"])
    #expect(network.servers(of: clients) == servers)
    #expect(daemon.count("the service manager does not hear") == 1)
    #expect(try daemon.stop() == 0)
  }

  @Test func twoAtOnce() throws {
    let stage = try Stage()
    let network = stage.network
    let whole = StateFiles.bytes(clients: 1_000, servers: network.addresses([0, 1, 2]))
    try StateFiles.write(whole, to: stage.state)
    let sum = try StateFiles.read(stage.state).sum
    for _ in 0..<5 {
      let daemons = try (0..<2).map { _ in
        try Daemon(
          stage.arguments(["--state", stage.state]), in: stage.topology.director)
      }
      #expect(waitUntil { daemons.count { !$0.process.isRunning } == 1 })
      let loser = try #require(daemons.first { !$0.process.isRunning })
      let winner = try #require(daemons.first { $0.process.isRunning })
      #expect(try loser.process.waitForExit() == 1)
      let errors = loser.process.standardError
      #expect(errors.count == 1)
      #expect(errors.first?.contains("'\(stage.state)' is in use by another ulb") == true)
      try winner.waitForNotification("READY=1")
      #expect(try Set(network.serversOfNewClients(3)) == ["srv1", "srv2", "srv3"])
      #expect(try StateFiles.read(stage.state).count >= 1_000)
      #expect(try winner.stop() == 0)
      #expect(try stage.topology.directorInterface.xdpProgram() == nil)
    }
    let (count, last) = try StateFiles.read(stage.state)
    #expect(count == 1_015 && last != sum)
    #expect(try stage.contents() == ["associations", "servers.cfg"])
  }
}
