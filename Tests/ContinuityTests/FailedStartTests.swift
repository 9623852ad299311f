// The real unit where it cannot start: few lines, few attempts, and no wait for who mends it.
import Foundation
import TestSupport
import Testing

extension SystemdTests {
  @Test func aStartThatCannotSucceedIsTriedEverMoreRarely() throws {
    let unit = try Unit(options: "--nonsense")
    let start = ContinuousClock.now
    func elapsed() -> Duration { ContinuousClock.now - start }
    #expect(throws: Failure.self) { try unit.systemctl("start") }
    #expect(elapsed() < .seconds(5))
    usleep(20_000_000)
    let lines = try unit.journal().split(separator: "\n")
    let own = lines.filter { !$0.contains("ulb@lb0.service") }
    // After 0, 1, 3, 6, 11 and 20 s.
    #expect((4...7).contains(own.count), "\(lines)")
    for line in own {
      #expect(line.hasPrefix("ulb: error: "))
      #expect(line.hasSuffix("; see 'ulb --help'"))
    }
    let errors = try unit.container.run(
      "journalctl", "--no-pager", "--output=cat", "--priority=err", "_SYSTEMD_UNIT=\(Unit.name)")
    #expect(errors.split(separator: "\n").count >= own.count)
    let status = try unit.property("StatusText")
    #expect(status.contains("in a row failed: ") && status.contains("are required"), "\(status)")

    // Whoever stops it, or mends it and starts it again, waits for nothing.
    func quickly(_ verb: String) throws {
      let begin = ContinuousClock.now
      try unit.systemctl(verb)
      #expect(ContinuousClock.now - begin < .seconds(4), "\(verb)")
    }
    try quickly("stop")
    #expect(try unit.property("ActiveState") == "inactive")
    #expect(throws: Failure.self) { try unit.systemctl("start") }
    usleep(4_000_000)
    try unit.setOptions(Unit.options())
    try quickly("restart")
    #expect(try unit.property("ActiveState") == "active")
    #expect(try unit.property("StatusText").hasPrefix("3 real server(s)"))
  }

  @Test func whatAStartLackedEndsTheWaitWhenItComes() throws {
    let unit = try Unit()
    let topology = unit.topology
    func rename(_ from: String, _ to: String) throws {
      for command in ["set \(from) down", "set \(from) name \(to)", "set \(to) up"] {
        try need(
          ["ip", "-n", topology.director.name, "link"]
            + command.split(separator: " ").map(String.init))
      }
    }
    try rename("lb0", "lb9")
    try unit.list(["nonsense"])
    #expect(throws: Failure.self) { try unit.systemctl("start") }
    // The fifth waits for 8 s.
    func attempts() throws -> Int {
      try unit.journal().components(separatedBy: "ulb: error:").count - 1
    }
    #expect(try waitUntil { try attempts() == 5 })
    var since = ContinuousClock.now
    try unit.list([Topology.realServer(0, .ipv4)])
    try unit.waitForJournal("no such network interface: 'lb0'")
    #expect(ContinuousClock.now - since < .seconds(5))
    since = ContinuousClock.now
    try rename("lb9", "lb0")
    #expect(try waitUntil { try unit.property("ActiveState") == "active" })
    #expect(ContinuousClock.now - since < .seconds(6))
  }

  @Test func aStateFileThatIsMovedOutOfTheWayEndsTheWait() throws {
    let unit = try Unit()
    try unit.list([Topology.realServer(0, .ipv4)])
    try unit.container.run("mkdir", "-p", "/var/lib/private/ulb/lb0.associations")
    #expect(throws: Failure.self) { try unit.systemctl("start") }
    let failure = "the state file '/var/lib/ulb/lb0.associations' is a directory"
    // The fifth waits for 8 s.
    try unit.waitForJournal(failure, times: 5)
    let since = ContinuousClock.now
    try unit.container.run("rmdir", "/var/lib/private/ulb/lb0.associations")
    #expect(try waitUntil { try unit.property("ActiveState") == "active" })
    #expect(ContinuousClock.now - since < .seconds(5))
    try unit.systemctl("stop")
    #expect(
      try FileManager.default.contentsOfDirectory(
        atPath: unit.container.path("/var/lib/private/ulb")) == ["lb0.associations"])
  }
}
