// The packet path without any daemon: its table keeps the order of use and forgets the oldest alone.
import Foundation
import TestSupport
import Testing

extension SystemdTests {
  @Suite struct Unattended {
    /// While this is there, no daemon is started.
    private static let hold = "/etc/ulb/hold"

    /// More than twice the clients that there are places for, with epochs of one insertion each.
    @Test func theTableGoesOnAlone() throws {
      let unit = try Unit(
        options: Unit.options(.ipv4, "-ma 64"),
        dropIn: "ExecStartPre=/bin/sh -c 'while test -e \(Self.hold); do sleep 0.1; done'")
      let network = try Network(unit.topology)
      try unit.systemctl("start")
      let old = try network.newClients(60)
      let servers = network.servers(of: old)
      #expect(servers == (0..<60).map { "srv\($0 % 3 + 1)" })
      // One of them is faithful: it sends again after its probation.
      let faithful = old[0]
      Thread.sleep(forTimeInterval: 1.6)
      #expect(network.servers(of: [faithful]) == ["srv1"])

      let former = try unit.mainPID()
      try unit.write("", to: Self.hold)
      try unit.signal(SIGKILL)
      #expect(try waitUntil { try unit.property("SubState") == "start-pre" })
      #expect(try unit.mainPID() == 0)

      var new: [UDPSocket] = []
      for round in 0..<10 {
        // The last ones are answered in another half second than those before.
        if round == 9 { Thread.sleep(forTimeInterval: 0.6) }
        new += try network.newClients(30)
        let given = network.servers(of: new.suffix(30))
        #expect(given == (0..<30).map { "srv\($0 % 3 + 1)" })
        #expect(network.servers(of: [faithful]) == ["srv1"])
      }
      let newest = new.suffix(30)
      let ofNewest = network.servers(of: Array(newest))
      #expect(ofNewest == (0..<30).map { "srv\($0 % 3 + 1)" })
      // All of one server: who is new takes turns.
      let forgotten = stride(from: 3, to: 60, by: 3).map { old[$0] }
      let again = network.servers(of: forgotten)
      #expect(Set(again) == ["srv1", "srv2", "srv3"])

      try FileManager.default.removeItem(atPath: unit.container.path(Self.hold))
      try unit.waitForSuccessor(of: former)
      let journal = try unit.journal()
      #expect(journal.contains("The association table of the process before is taken over."))
      #expect(network.servers(of: Array(newest)) == ofNewest)
      #expect(network.servers(of: forgotten) == again)
      #expect(network.servers(of: [faithful]) == ["srv1"])
      try unit.systemctl("stop")
    }
  }
}
