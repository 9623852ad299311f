// Thousands of clients of one virtual server send without a pause while the others come, change and go.
import Foundation
import LoadBalancing
import TestSupport
import Testing

/// One at a time: each takes what the machine has.
@Suite(.serialized) struct VirtualServerLoadTests {
  /// The load is on the command line's virtual server or on a further one.
  @Test(arguments: AddressFamily.allCases, [true, false])
  func othersComeChangeAndGo(_ family: AddressFamily, _ isFirst: Bool) throws {
    let topology = try Topology(realServers: 3)
    // Load is the real servers of this one.
    let loaded = try Network(topology, family, servers: [])
    let others = (1...2).map { Topology.virtualServer($0, family) }
    let othersOfOther = (1...2).map { Topology.virtualServer($0, family.other) }
    for address in others + othersOfOther { try topology.addDirectorAddress(address) }
    let servers = loaded.addresses([0, 1, 2])

    // Shares its family, its real servers and its address with the loaded one.
    let near = try Network(topology, family, port: 5684)
    // Another family than the loaded one.
    let far = try Network(topology, family.other)
    let director: ServedDirector
    if isFirst {
      director = try ServedDirector(loaded, ConfigText(realServers: servers))
    } else {
      // The command line's is of the other family.
      let first = try Network(topology, family.other, address: othersOfOther[0], port: 7_000)
      director = try ServedDirector(
        first,
        ConfigText(
          realServers: first.serverAddresses,
          virtualServers: [loaded.section("loaded", realServers: servers)]))
    }
    func setLoaded(_ scheduler: String?, _ lines: [String]) throws {
      try director.reload {
        if isFirst {
          $0.realServers = lines
          $0.settings = scheduler.map { ["scheduler = " + $0] } ?? []
        } else {
          $0["loaded"].realServers = lines
          $0["loaded"].scheduler = scheduler
        }
      }
    }

    let load = try Load(topology, to: loaded.virtualServer)
    #expect(waitUntil { load.knownClients == Load.clients })
    let before = try Losses(topology)
    var phase = 0
    /// What a virtual server that was changed gives new clients, and then a round of all under load.
    func expectService(
      _ network: Network, _ expected: Set<String>, at address: String? = nil, port: UInt16? = nil,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let new = try network.newClients(24)
      let answers = Set(network.servers(of: new, at: address, port: port))
      #expect(answers == expected, sourceLocation: sourceLocation)
      #expect(load.waitForRound(), sourceLocation: sourceLocation)
      phase += 1
      load.enter(phase: phase)
    }
    let all: Set = ["srv1", "srv2", "srv3"]

    // Come: of the same family, and of one that the program has not had where the load is on the first.
    try director.reload { $0.add(near.section("near")) }
    try expectService(near, all)
    try director.reload { $0.add(far.section("far", scheduler: "maglev")) }
    try expectService(far, all)
    // Change: scheduler, weights, draining, ports.
    try director.reload { $0["near"].scheduler = "maglev" }
    try expectService(near, all)
    try director.reload { $0["far"].scheduler = "round-robin" }
    try expectService(far, all)
    try director.reload { $0["near"].realServers[0] += " = drain" }
    try expectService(near, ["srv2", "srv3"])
    try director.reload {
      $0["far"].realServers = zip($0["far"].realServers, ["weight 0", "drain", "weight 7"]).map {
        "\($0) = \($1)"
      }
    }
    try expectService(far, ["srv3"])
    try director.reload { $0["far"].ports = [5683, 7_001, 7_002, 7_003, 7_004] }
    try expectService(far, ["srv3"])
    // Addresses: their clients stay with them by their names.
    let clients = try near.newClients(6)
    let known = near.servers(of: clients)
    for (number, address) in others.enumerated() {
      try director.reload { $0["near"].address = address }
      #expect(near.servers(of: clients, at: address) == known, "\(number)")
      try expectService(near, ["srv2", "srv3"], at: address)
    }
    // The family: "near" becomes one of the other family, and comes back as one that nobody knows.
    let nearOfOther = try Network(topology, family.other, address: othersOfOther[1], port: 5684)
    try director.reload { $0["near"] = nearOfOther.section("near") }
    try expectService(nearOfOther, all)
    try director.reload { $0["near"] = near.section("near") }
    try expectService(near, all)
    // The loaded one itself, in all that moves nobody.
    try setLoaded("maglev", servers)
    try expectService(near, all)
    try setLoaded(nil, servers.reversed())
    try expectService(far, ["srv3"])
    try setLoaded(nil, ["\(servers[2]) = drain", "\(servers[0]) = weight 7", servers[1]])
    try expectService(near, all)
    // Go, and with the last of its family the family.
    try director.reload { $0.remove("near") }
    try expectService(far, ["srv3"])
    try director.reload { $0.remove("far") }
    #expect(load.waitForRound())
    try director.reload {
      $0.add(far.section("far"))
      $0.add(near.section("near"))
    }
    try expectService(far, all)
    try expectService(near, all)

    try expectNobodyNoticed(load, topology, since: before)
    #expect(try director.daemon.stop() == 0)
    #expect(director.errors == [])
  }

  private enum Fault: CaseIterable {
    case scheduler, weight, family, sharedPort, sharedServer, strayList

    /// A file that takes a real server from the loaded virtual server, and is wrong in one line.
    ///
    /// - Parameters:
    ///   - good: what is in force.
    ///   - near: a further virtual server on the loaded one's address.
    ///   - server: a real server of the loaded one.
    func file(
      _ good: ConfigText, _ near: Network, _ server: String
    ) -> (text: String, faulty: String) {
      var text = good
      text.realServers.removeLast()
      var rest = ""
      let faulty: String
      switch self {
      case .scheduler:
        text["far"].scheduler = "fastest"
        faulty = "scheduler = fastest"
      case .weight:
        text["far"].realServers[1] += " = weight 257"
        faulty = text["far"].realServers[1]
      case .family:
        text["far"].realServers.append(server)
        faulty = server
      case .sharedPort:
        var section = near.section("near", realServers: [server])
        section.ports = [5684, 5683]
        text.add(section)
        faulty = "port = 5684 5683"
      case .sharedServer:
        var section = near.section("near", realServers: [server])
        section.address = Topology.virtualServer(1, near.family)
        section.ports = [5683]
        text.add(section)
        faulty = server
      case .strayList:
        rest = "[Real Servers nobody]\n\(server)\n"
        faulty = "[Real Servers nobody]"
      }
      return ("\(text)" + rest, faulty)
    }
  }

  /// A file that is refused, and a program that cannot be compiled, while packets come.
  @Test(arguments: AddressFamily.allCases)
  func whatCannotBeAppliedLeavesAllInService(_ family: AddressFamily) throws {
    let topology = try Topology(realServers: 3)
    let loaded = try Network(topology, family, servers: [])
    let far = try Network(topology, family.other)
    // Where the compiler's headers are put.
    let directory = try TemporaryDirectory()
    let folder = directory.path(of: "folder")
    try need(["mkdir", folder])
    let director = try ServedDirector(
      loaded,
      ConfigText(realServers: loaded.addresses([0, 1, 2]), virtualServers: [far.section("far")]),
      environment: ["RUNTIME_DIRECTORY": folder])
    let clients = try far.newClients(4)
    let servers = far.servers(of: clients)
    #expect(servers == ["srv1", "srv2", "srv3", "srv1"])
    let program = try #require(try topology.directorInterface.xdpProgram())
    let load = try Load(topology, to: loaded.virtualServer)
    #expect(waitUntil { load.knownClients == Load.clients })
    let before = try Losses(topology)

    let good = director.text
    let near = try Network(topology, family, port: 5684, servers: [])
    let stranger = loaded.addresses([0])[0]
    for fault in Fault.allCases {
      let (text, faulty) = fault.file(good, near, stranger)
      let lines = text.split(separator: "\n")
      let line = try #require(lines.lastIndex { $0 == faulty }, "\(text)") + 1
      let errors = director.errors.count
      try director.replaceFile(with: text)
      try director.daemon.process.waitForLine("an error for \(fault)") { _ in
        director.errors.count > errors
      }
      let error = try #require(director.errors.last)
      #expect(
        error.hasPrefix("ERROR: Unable to load config file \(director.path), line \(line): "),
        "\(fault): \(error)")
      #expect(far.servers(of: clients) == servers, "\(fault)")
    }
    #expect(load.waitForRound())

    try need(["mv", folder, folder + "-away"])
    var other = good
    other.add(near.section("near", realServers: [stranger]))
    try director.replaceFile(with: "\(other)")
    try director.daemon.process.waitForLine(
      containing: "Unable to apply config file \(director.path)")
    #expect(director.errors.last?.contains(folder) == true)
    Thread.sleep(forTimeInterval: 1.5)
    // Each was looked at again and said once.
    #expect(
      director.errors.count == Fault.allCases.count + 1, "\(director.daemon.process.transcript)")
    #expect(try topology.directorInterface.xdpProgram() == program)
    #expect(far.servers(of: clients) == servers)
    #expect(load.waitForRound())

    try need(["mv", folder + "-away", folder])
    director.text = other
    try director.reload()
    #expect(try topology.directorInterface.xdpProgram() != program)
    #expect(far.servers(of: clients) == servers)
    #expect(load.waitForRound())
    try expectNobodyNoticed(load, topology, since: before)
    #expect(try director.daemon.stop() == 0)
  }
}
