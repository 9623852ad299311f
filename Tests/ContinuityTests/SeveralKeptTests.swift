// What is kept of several virtual servers of both families, by systemd and in the state file.
import Foundation
import LoadBalancing
import TestSupport
import Testing

/// Three virtual servers, their clients, and how far each one's round is.
private struct Crowd {
  let networks: [Network]
  /// The config file's text.
  var text: ConfigText
  private var clients: [[UDPSocket]] = [[], [], []]
  private var servers: [[String]] = [[], [], []]
  /// What the next new client of each is given, as an index into `turns`.
  private var positions = [0, 0, 0]
  private let turns = [
    ["srv1", "srv2", "srv3"], ["srv1", "srv2", "srv3"], ["srv2", "srv2", "srv3"],
  ]
  private let addresses: [String]

  /// - Parameter addresses: the third one's, the one that it has first in front; the director has all.
  init(_ topology: Topology, _ addresses: [String]) throws {
    self.addresses = addresses
    for address in addresses { try topology.addDirectorAddress(address) }
    networks = [
      try Network(topology), try Network(topology, .ipv6),
      try Network(topology, address: addresses[0], port: 5684, servers: [1, 2]),
    ]
    text = ConfigText(realServers: networks[0].serverAddresses)
    text.add(networks[1].section("six"))
    let third = networks[2].serverAddresses
    text.add(networks[2].section("third", realServers: ["\(third[0]) = weight 2", third[1]]))
  }

  /// Where the third one is now.
  var third: String { text["third"].address! }

  private func answers(
    _ number: Int, _ clients: [UDPSocket], timeout: Duration = .seconds(10)
  ) -> [String] {
    networks[number].servers(of: clients, at: number == 2 ? third : nil, timeout: timeout)
  }

  /// Waits until the third one is where it is to be; its clients need not be new to see it.
  func waitForMove(sourceLocation: SourceLocation = #_sourceLocation) {
    let came = waitUntil { answers(2, [clients[2][0]], timeout: .seconds(1)) != ["none"] }
    #expect(came, sourceLocation: sourceLocation)
  }

  /// The third one's next address.
  mutating func move() {
    let next = (addresses.firstIndex(of: third)! + 1) % addresses.count
    text["third"].address = addresses[next]
  }

  /// Some new clients of each virtual server, another number of each, come by turn; some are written to.
  mutating func grow(sourceLocation: SourceLocation = #_sourceLocation) throws {
    for number in networks.indices {
      let new = try networks[number].newClients(number + 2)
      let expected = new.indices.map { turns[number][(positions[number] + $0) % 3] }
      #expect(answers(number, new) == expected, "\(number)", sourceLocation: sourceLocation)
      positions[number] += new.count
      clients[number] += new
      servers[number] += expected

      let called = try networks[number].newClient()
      let server = networks[number].servers.last!
      try server.send("news", to: called.endpoint)
      let source = Endpoint(
        number == 2 ? third : networks[number].virtualServer.address,
        networks[number].virtualServer.port)
      #expect(
        try called.receive() == ReceivedDatagram(payload: "news", source: source), "\(number)",
        sourceLocation: sourceLocation)
      clients[number].append(called)
      servers[number].append(server.name)
    }
  }

  /// All are where they were; and so is a client of all, which each has an association with.
  func expectSame(sourceLocation: SourceLocation = #_sourceLocation) {
    for number in networks.indices {
      #expect(
        answers(number, clients[number].reversed()) == servers[number].reversed(), "\(number)",
        sourceLocation: sourceLocation)
    }
  }

  var count: Int { clients.reduce(0) { $0 + $1.count } }
}

/// The addresses that the third virtual server has in turn.
private let addresses = (1...2).map { Topology.virtualServer($0, .ipv4) }

extension SystemdTests {
  @Suite struct SeveralVirtualServers {
    private static let file = "/etc/ulb/lb0.servers"

    private func restart(_ unit: Unit, with text: ConfigText) throws {
      try unit.write("\(text)", to: Self.file)
      try unit.systemctl("restart")
    }

    @Test func restartsAndKillsLoseNobody() throws {
      let unit = try Unit()
      var crowd = try Crowd(unit.topology, addresses)
      try restart(unit, with: crowd.text)
      try crowd.grow()
      for _ in 0..<3 {
        try unit.systemctl("restart")
        crowd.expectSame()
        try crowd.grow()
        let former = try unit.mainPID()
        try unit.signal(SIGKILL)
        // The packet path goes on alone, for new clients too.
        crowd.expectSame()
        try crowd.grow()
        try unit.waitForSuccessor(of: former)
        crowd.expectSame()
        try crowd.grow()
      }
      let kept = try unit.property("NFileDescriptorStore")
      for _ in 0..<2 {
        // Another address under the same name, while it runs and over a restart.
        crowd.move()
        try unit.write("\(crowd.text)", to: Self.file)
        try unit.systemctl("reload")
        crowd.waitForMove()
        crowd.expectSame()
        try crowd.grow()
        crowd.move()
        try restart(unit, with: crowd.text)
        crowd.expectSame()
        try crowd.grow()
        // Nothing is left of the programs before.
        #expect(try waitUntil { try unit.property("NFileDescriptorStore") == kept })
      }
      // Another size of both families' tables.
      try unit.setOptions(Unit.options(.ipv4, "-ma 5000 -mrs 40"))
      try unit.systemctl("restart")
      crowd.expectSame()
      try crowd.grow()
      let errors = try unit.journal().split(separator: "\n").filter { $0.hasPrefix("ERROR") }
      #expect(errors == [])
      let objects = BPFObjects.held(by: try unit.container.process(unit.mainPID()))
      try unit.systemctl("stop")
      #expect(try unit.topology.directorInterface.xdpProgram() == nil)
      #expect(try unit.property("NFileDescriptorStore") == "0")
      #expect(waitUntil { (try? BPFObjects.all().intersection(objects).isEmpty) == true })
    }

    /// Whatever it was about while virtual servers came, changed and went.
    @Test func killedAtAnyInstantOfAChange() throws {
      let unit = try Unit()
      let crowd = try Crowd(unit.topology, addresses)
      var text = crowd.text
      text.remove("third")
      let known = try crowd.networks[0].newClients(6)
      let knownSix = try crowd.networks[1].newClients(6)
      try restart(unit, with: text)
      let servers = crowd.networks[0].servers(of: known)
      let serversSix = crowd.networks[1].servers(of: knownSix)
      #expect(servers == ["srv1", "srv2", "srv3", "srv1", "srv2", "srv3"])
      #expect(serversSix == servers)
      let kept = try unit.property("NFileDescriptorStore")
      for round in 0..<16 {
        let former = try unit.mainPID()
        let process = try unit.container.process(former)
        try unit.write("\(round % 2 == 0 ? crowd.text : text)", to: Self.file)
        kill(process, SIGHUP)
        usleep(50_000 + UInt32(round) * 40_000)
        kill(process, SIGKILL)
        try unit.waitForSuccessor(of: former)
        #expect(crowd.networks[0].servers(of: known) == servers, "round \(round)")
        #expect(crowd.networks[1].servers(of: knownSix) == serversSix, "round \(round)")
        if round % 2 == 0 {
          #expect(try Set(crowd.networks[2].serversOfNewClients(3)) == ["srv2", "srv3"])
        } else {
          #expect(try waitUntil { try unit.property("NFileDescriptorStore") == kept })
        }
      }
      try unit.systemctl("stop")
      #expect(try unit.topology.directorInterface.xdpProgram() == nil)
    }

    /// What `systemctl status` and the journal say of them.
    @Test func statusAndJSONLinesTellOfThem() throws {
      let unit = try Unit(options: Unit.options(.ipv4, "--log_format json -l DEBUG"))
      var crowd = try Crowd(unit.topology, addresses)
      try restart(unit, with: crowd.text)
      try crowd.grow()
      let status = "3 virtual servers, 8 real server(s)"
      #expect(try unit.property("StatusText") == "\(status), lb0 in native mode")
      crowd.text["six"].realServers[0] += " = drain"
      try unit.write("\(crowd.text)", to: Self.file)
      try unit.systemctl("reload")
      var text = ""
      let isApplied = try waitUntil {
        text = try unit.property("StatusText")
        return text.contains("config file")
      }
      #expect(
        isApplied
          && text.hasPrefix(
            "\(status) (1 draining), lb0 in native mode; config file applied at "),
        "\(text)")
      // Both families' packets are told of, and a line that is about one virtual server names it.
      try unit.waitForJournal("INGRESS_NEW_NAT", times: 2 + 3 + 4)
      var (destinations, names): (Set<String>, Set<String>) = ([], [])
      for line in try unit.journal().split(separator: "\n") where line.hasPrefix("{") {
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
        let members = try #require(object as? [String: Any], "\(line)")
        if let name = members["virtual_server"] as? String { names.insert(name) }
        guard members["event"] as? String == "INGRESS_NEW_NAT" else { continue }
        destinations.insert(try #require(members["destination"] as? String))
      }
      #expect(
        destinations == [Topology.virtualServer(.ipv4), Topology.virtualServer(.ipv6), crowd.third])
      #expect(names.contains("six"), "\(names)")
      #expect(names.isSubset(of: [Topology.virtualServer(.ipv4), "six", "third"]), "\(names)")
      try unit.systemctl("stop")
    }
  }
}

@Suite struct SeveralInTheStateFileTests {
  /// As over a reboot: nothing is kept but the file.
  @Test(arguments: [SIGTERM, SIGKILL])
  func theStateFileHasAllOfThem(_ signal: Int32) throws {
    let topology = try Topology(realServers: 3)
    var crowd = try Crowd(topology, addresses)
    let options = ["--state", "STATE", "--state_interval", "1"]
    let director = try ServedDirector(crowd.networks[0], crowd.text, options: options)
    for round in 0..<4 {
      try crowd.grow()
      if signal == SIGKILL {
        // What was learned last is in the file within a second or two.
        #expect(waitUntil { (try? StateFiles.read(director.state).count) == crowd.count })
      }
      _ = try director.daemon.stop(with: signal)
      #expect(try topology.directorInterface.xdpProgram() == nil)
      #expect(try StateFiles.read(director.state).count == crowd.count)
      if round == 2 { crowd.move() }
      director.text = crowd.text
      try director.start(options: options)
      #expect(director.daemon.count("Restored \(crowd.count) association(s)") == 1)
      crowd.expectSame()
    }
    try crowd.grow()
    // One that goes loses its clients, and those alone, in the file too.
    let without = crowd.count
    _ = try director.daemon.stop()
    director.text.remove("third")
    try director.start(options: options)
    let line = director.daemon.process.lines.map(\.text).first { $0.hasPrefix("Restored ") }
    #expect(line?.hasPrefix("Restored \(without - 5 * 5) association(s)") == true, "\(line ?? "")")
    #expect(try director.daemon.stop() == 0)
    #expect(director.errors == [])
  }
}
