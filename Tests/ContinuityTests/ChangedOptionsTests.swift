// Restarts under systemd with other options: what fits is taken over, the rest copied or given up.
import Foundation
import LoadBalancing
import TestSupport
import Testing

extension SystemdTests {
  @Suite struct ChangedOptions {
    /// A restart must leave one set of tables, their program and one link in the store, and nothing else.
    private func restart(
      _ unit: Unit, _ options: String, _ family: AddressFamily = .ipv4,
      collecting objects: inout BPFObjects
    ) throws {
      try unit.setOptions(options)
      try unit.systemctl("restart")
      try expectOneSet(unit, family)
      objects = objects.union(BPFObjects.held(by: try unit.container.process(unit.mainPID())))
    }

    private func expectOneSet(
      _ unit: Unit, _ family: AddressFamily = .ipv4,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      // Three tables of associations, and with IPv6 that of the clients; six of the program's own; the
      // program, the link.
      let wanted = family == .ipv4 ? "14" : "15"
      var stored = ""
      let isOne = try waitUntil {
        stored = try unit.property("NFileDescriptorStore")
        return stored == wanted
      }
      #expect(isOne, "\(stored) descriptors stored", sourceLocation: sourceLocation)
    }

    @Test func associationsAreTakenAlong() throws {
      let unit = try Unit(options: Unit.options(.ipv4, "-ma 1000"))
      let topology = unit.topology
      let network = try Network(topology)
      let interface = topology.directorInterface
      var objects = BPFObjects()
      try unit.systemctl("start")
      let clients = try network.newClients(6)
      let servers = network.servers(of: clients)
      #expect(servers == ["srv1", "srv2", "srv3", "srv1", "srv2", "srv3"])
      func expectSame(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(
          network.servers(of: clients.reversed()) == servers.reversed(),
          sourceLocation: sourceLocation)
      }

      // A larger table, and a smaller one.
      for (count, options) in ["-ma 2000", "-ma 500"].enumerated() {
        try restart(unit, Unit.options(.ipv4, options), collecting: &objects)
        try unit.waitForJournal("6 association(s) copied into the new tables.", times: count + 1)
        expectSame()
      }
      // Room for more real servers, and for fewer: the table stays.
      for options in ["-ma 500 -mrs 64", "-ma 500 -mrs 3"] {
        try restart(unit, Unit.options(.ipv4, options), collecting: &objects)
        expectSame()
      }
      #expect(try network.serversOfNewClients(3) == ["srv1", "srv2", "srv3"])

      // Another virtual server: the clients are the same.
      try need([
        "ip", "-n", topology.director.name, "address", "add", "10.60.0.11/32", "dev", "lb0",
      ])
      let moved = Unit.options(.ipv4, "-ma 500 -mrs 3 -vs 10.60.0.11")
      try restart(unit, moved, collecting: &objects)
      #expect(network.servers(of: clients, at: "10.60.0.11") == servers)
      #expect(network.servers(of: [clients[0]], timeout: .milliseconds(500)) == ["none"])
      try restart(unit, Unit.options(.ipv4, "-ma 500 -mrs 3"), collecting: &objects)
      expectSame()

      // Another mode: the tables stay, the program is attached afresh.
      for (mode, isGeneric) in [("generic", true), ("native", false)] {
        let before = try #require(try interface.xdpProgram())
        let options = Unit.options(.ipv4, "-ma 500 -mrs 3 --mode \(mode)")
        try restart(unit, options, collecting: &objects)
        let after = try #require(try interface.xdpProgram())
        #expect(after.isGeneric == isGeneric && after.id != before.id)
        expectSame()
      }

      // More than there is memory for: the program before goes on until the options are mended.
      let attached = try #require(try interface.xdpProgram())
      try unit.setOptions(Unit.options(.ipv4, "-ma 4294967295"))
      try unit.container.run("systemctl", "--no-block", "restart", Unit.name)
      try unit.waitForJournal("not enough memory for the table associations", times: 2)
      #expect(try interface.xdpProgram() == attached)
      expectSame()
      try unit.setOptions(Unit.options(.ipv4, "-ma 500 -mrs 3"))
      try unit.systemctl("restart")
      try expectOneSet(unit)
      expectSame()

      // The other family knows none of these clients.
      let network6 = try Network(topology, .ipv6)
      try unit.list(network6.addresses([0, 1, 2]))
      try restart(unit, Unit.options(.ipv6, "-ma 500"), .ipv6, collecting: &objects)
      #expect(try network6.serversOfNewClients(4) == ["srv1", "srv2", "srv3", "srv1"])
      #expect(network.servers(of: [clients[0]], timeout: .milliseconds(500)) == ["none"])
      try unit.list(network.addresses([0, 1, 2]))
      try restart(unit, Unit.options(.ipv4, "-ma 500"), collecting: &objects)
      #expect(try network.serversOfNewClients(4) == ["srv1", "srv2", "srv3", "srv1"])

      // More clients than the next table has room for: residents stay.
      let crowd = try network.newClients(300)
      #expect(!network.servers(of: crowd).contains("none"))
      let last = Array(crowd.suffix(10))
      Thread.sleep(forTimeInterval: 1.6)
      let serversOfLast = network.servers(of: last)
      try restart(unit, Unit.options(.ipv4, "-ma 100"), collecting: &objects)
      #expect(network.servers(of: last) == serversOfLast)
      #expect(try Set(network.serversOfNewClients(3)) == ["srv1", "srv2", "srv3"])

      #expect(!objects.maps.isEmpty && !objects.programs.isEmpty && !objects.links.isEmpty)
      try unit.systemctl("stop")
      #expect(try interface.xdpProgram() == nil)
      #expect(waitUntil { (try? BPFObjects.all().intersection(objects).isEmpty) == true })
      #expect(try unit.property("NFileDescriptorStore") == "0")
    }

    /// Whatever it was about while one set of tables was exchanged for another.
    @Test func killedAtAnyInstantOfAnExchange() throws {
      let unit = try Unit(options: Unit.options(.ipv4, "-ma 1000"))
      let network = try Network(unit.topology)
      try unit.systemctl("start")
      let clients = try network.newClients(6)
      let servers = network.servers(of: clients)
      #expect(servers == ["srv1", "srv2", "srv3", "srv1", "srv2", "srv3"])
      for round in 0..<16 {
        try unit.setOptions(Unit.options(.ipv4, "-ma \(round % 2 == 0 ? 2_000 : 1_000)"))
        let former = try unit.mainPID()
        try unit.container.run("systemctl", "--no-block", "restart", Unit.name)
        var next: pid_t = 0
        #expect(
          try waitUntil {
            next = try unit.mainPID()
            return next != former && next != 0
          })
        usleep(UInt32(round) * 25_000)
        kill(try unit.container.process(next), SIGKILL)
        try unit.waitForSuccessor(of: next)
        #expect(network.servers(of: clients) == servers, "round \(round)")
        try expectOneSet(unit)
      }
      try unit.systemctl("stop")
      #expect(try unit.topology.directorInterface.xdpProgram() == nil)
    }

    /// Whatever it was about while it compiled and swapped a program and took another list.
    @Test func killedAtAnyInstantOfASwap() throws {
      let unit = try Unit()
      let network = try Network(unit.topology)
      try unit.systemctl("start")
      let clients = try network.newClients(6)
      let servers = network.servers(of: clients)
      for round in 0..<16 {
        let former = try unit.mainPID()
        let process = try unit.container.process(former)
        // All that are in use, in another order and with another port beside the one in use.
        let order = [[0, 1, 2], [2, 1, 0]][round % 2]
        try unit.list(
          network.addresses(order), settings: "port = \(Network.port) \(10_000 + round)")
        kill(process, SIGHUP)
        usleep(50_000 + UInt32(round) * 40_000)
        kill(process, SIGKILL)
        try unit.waitForSuccessor(of: former)
        #expect(network.servers(of: clients) == servers, "round \(round)")
        #expect(try Set(network.serversOfNewClients(3)) == ["srv1", "srv2", "srv3"])
        try expectOneSet(unit)
      }
      try unit.systemctl("stop")
      #expect(try unit.topology.directorInterface.xdpProgram() == nil)
    }
  }
}
