// The real unit under a real systemd: start, reload, watchdog, stop, and what it may do.
import Foundation
import TestSupport
import Testing

/// One at a time: each has a container of its own, with a systemd in it.
@Suite(.serialized) struct SystemdTests {
  @Test func lifeOfTheUnit() throws {
    // The miss of a watchdog takes that long.
    let unit = try Unit(dropIn: "WatchdogSec=4\nTimeoutAbortSec=2")
    let network = try Network(unit.topology)
    let interface = unit.topology.directorInterface
    let leader = unit.container.leader

    try unit.list(network.addresses([0, 1]))
    try unit.systemctl("start")
    #expect(try unit.property("ActiveState") == "active")
    #expect(try unit.property("SubState") == "running")
    let status = try unit.property("StatusText")
    #expect(
      status == "2 real server(s) behind \(Topology.virtualServer(.ipv4)), lb0 in native mode")
    // Not root, and no capability but three.
    let process = try unit.container.process(unit.mainPID())
    let facts = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    #expect(facts.contains("CapEff:\t000000c000001000"), "\(facts)")
    #expect(!facts.contains("Uid:\t0"))
    #expect(facts.contains("Seccomp:\t2"))
    let clients = try network.newClients(4)
    #expect(network.servers(of: clients) == ["srv1", "srv2", "srv1", "srv2"])
    // Twelve tables, their program and the link; systemd has programs of its own as well.
    #expect(BPFObjects.held(by: leader).links.count == 1)
    #expect(try unit.property("NFileDescriptorStore") == "14")

    try unit.list(network.addresses([0, 2]))
    try unit.systemctl("reload")
    try network.waitForListing(["srv1", "srv3"])
    try unit.waitForJournal("New config applied: 2 real server(s)")
    try unit.list(network.addresses([0, 1, 2]))
    try unit.systemctl("reload")
    try unit.waitForJournal("New config applied: 3 real server(s)")
    #expect(network.servers(of: [clients[0], clients[2]]) == ["srv1", "srv1"])

    // What is set over the control socket outlives the daemon.
    let drained = network.addresses([1])[0]
    try unit.container.run("ulbctl", "drain", drained)

    // A daemon that hangs: its program goes on, systemd puts another in its place.
    let former = try unit.mainPID()
    let program = try #require(try interface.xdpProgram())
    try unit.signal(SIGSTOP)
    #expect(network.servers(of: [clients[0], clients[2]]) == ["srv1", "srv1"])
    #expect(try interface.xdpProgram() == program)
    try unit.waitForSuccessor(of: former)
    #expect(try unit.property("NRestarts") == "1")
    #expect(network.servers(of: [clients[0], clients[2]]) == ["srv1", "srv1"])
    #expect(try Set(network.serversOfNewClients(4)) == ["srv1", "srv3"])
    let servers = try unit.container.run("ulbctl", "servers")
    #expect(servers.contains("draining"), "\(servers)")
    try unit.container.run("ulbctl", "up", drained)
    #expect(try Set(network.serversOfNewClients(3)) == ["srv1", "srv2", "srv3"])
    #expect(try interface.xdpProgram() != program)

    let journal = try unit.journal()
    for line in [
      "XDP program attached to lb0 in native mode.", " Virtual Server           Real Server(s)",
      "Watchdog timeout", "The association table of the process before is taken over.",
      "XDP program on lb0 swapped in one step, in native mode.",
    ] {
      #expect(journal.contains(line), "\(line) in \(journal)")
    }

    let objects = BPFObjects.held(by: try unit.container.process(unit.mainPID()))
    #expect(!objects.programs.isEmpty && !objects.maps.isEmpty && !objects.links.isEmpty)
    try unit.systemctl("stop")
    #expect(try unit.property("ActiveState") == "inactive")
    #expect(try unit.property("Result") == "success")
    #expect(try interface.xdpProgram() == nil)
    #expect(waitUntil { (try? BPFObjects.all().intersection(objects).isEmpty) == true })
    #expect(try unit.property("NFileDescriptorStore") == "0")
    #expect(BPFObjects.held(by: leader).links.isEmpty)
    // The folder of all instances stays.
    let left = try FileManager.default.contentsOfDirectory(atPath: unit.container.path("/run/ulb"))
    #expect(left == [])
    #expect(try unit.journal().contains("... ulb stopped."))
  }

  /// Who is in the group may use the control socket; a reload that is refused fails, and says why.
  @Test func theControlSocketIsTheGroups() throws {
    let unit = try Unit()
    try unit.systemctl("start")
    /// As a user who has no right, in one group more.
    func ask(inGroup group: String) throws -> String {
      try unit.container.run(
        "setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", group, "ulbctl", "status",
        "--json")
    }
    #expect(try ask(inGroup: "ulb").contains(#""interface":"lb0""#))
    #expect {
      try ask(inGroup: "nogroup")
    } throws: {
      "\($0)".contains("group 'ulb'")
    }
    #expect(
      try unit.container.run("stat", "-c", "%a %U %G", "/run/ulb/lb0/control.sock") == "660 ulb ulb"
    )

    let before = try unit.mainPID()
    try unit.write("nonsense\n", to: "/etc/ulb/lb0.servers")
    #expect(throws: Failure.self) { try unit.systemctl("reload") }
    try unit.waitForJournal(
      "ulbctl: error: Unable to load config file /etc/ulb/lb0.servers, line 1")
    #expect(try unit.property("ActiveState") == "active")
    #expect(try unit.mainPID() == before)
  }

  /// A unit of one's own may be without systemd's store: it costs one warning, not one for each table.
  @Test func aUnitWithoutAStoreIsToldOnce() throws {
    let unit = try Unit(dropIn: "FileDescriptorStoreMax=0")
    try unit.systemctl("start")
    let journal = try unit.journal().split(separator: "\n")
    let systemds = journal.filter { $0.contains("Cannot store more fds") }
    #expect(systemds.count == 1, "\(journal)")
    #expect(try unit.property("NFileDescriptorStore") == "0")
  }

  /// `journalctl -p` finds the lines that it is asked for.
  @Test func linesHavePrioritiesInTheJournal() throws {
    let unit = try Unit(options: Unit.options(.ipv4, "-l DEBUG"))
    let network = try Network(unit.topology)
    try unit.systemctl("start")
    #expect(try network.serversOfNewClients(1) == ["srv1"])
    try unit.write("nonsense", to: "/etc/ulb/lb0.servers")
    try unit.waitForJournal("Unable to load config file")
    try unit.waitForJournal("(NEW ASSOCIATION)")
    #expect(try unit.property("LogRateLimitIntervalUSec") == "0")

    func lines(_ priorities: String) throws -> [String] {
      try unit.container.run(
        "journalctl", "--no-pager", "--output=cat", "--priority", priorities,
        "_SYSTEMD_UNIT=\(Unit.name)"
      ).split(separator: "\n").map(String.init)
    }
    let errors = try lines("err")
    #expect(errors.count == 1)
    #expect(errors.first?.hasPrefix("ERROR: Unable to load config file") == true, "\(errors)")
    let notices = try lines("notice..notice")
    for text in ["Virtual Server ", "XDP program attached to lb0"] {
      #expect(notices.contains { $0.contains(text) }, "\(text) in \(notices)")
    }
    let details = try lines("debug..debug")
    for text in ["Start: render", " Destination NAT", "(NEW ASSOCIATION)", " Source NAT"] {
      #expect(details.contains { $0.contains(text) }, "\(text) in \(details)")
    }
    #expect(!(errors + notices + details).contains { $0.hasPrefix("<") })
  }

  /// 0 is best, 10 is worst.
  @Test func exposureIsSmall() throws {
    let unit = Package.path("debian/ulb@.service")
    let result = try run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit)
    let text = result.standardOutput
    let match = try #require(
      text.firstMatch(of: /Overall exposure level for .*: ([0-9.]+)/), "\(text)")
    let exposure = try #require(Double(match.1))
    print("systemd-analyze security: \(exposure)")
    #expect(exposure <= 2.0)
  }
}
