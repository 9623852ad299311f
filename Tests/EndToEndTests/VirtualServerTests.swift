// Several virtual servers of one daemon on one interface: whose client is whose.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite struct VirtualServerTests {
  private func expectNews(
    from server: UDPEchoServer, to client: UDPSocket, as virtualServer: Endpoint,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let news = "news-\(UUID().uuidString)"
    try server.send(news, to: client.endpoint)
    #expect(
      try client.receive() == ReceivedDatagram(payload: news, source: virtualServer),
      sourceLocation: sourceLocation)
  }

  @Test(arguments: AddressFamily.allCases)
  func bothFamiliesAtOnce(_ family: AddressFamily) throws {
    let topology = try Topology(realServers: 3)
    let first = try Network(topology, family)
    let second = try Network(topology, family.other)
    let director = try ServedDirector(
      first,
      ConfigText(realServers: first.serverAddresses, virtualServers: [second.section("second")]))

    // Each has turns of its own.
    let clients = [try first.newClients(4), try second.newClients(2)]
    #expect(first.servers(of: clients[0]) == ["srv1", "srv2", "srv3", "srv1"])
    #expect(second.servers(of: clients[1]) == ["srv1", "srv2"])
    #expect(try first.serversOfNewClients(1) == ["srv2"])
    #expect(try second.serversOfNewClients(2) == ["srv3", "srv1"])
    #expect(first.servers(of: clients[0].reversed()) == ["srv1", "srv3", "srv2", "srv1"])
    #expect(second.servers(of: clients[1].reversed()) == ["srv2", "srv1"])

    for network in [first, second] {
      let client = try network.newClient()
      try expectNews(from: network.servers[0], to: client, as: network.virtualServer)
      #expect(network.servers(of: [client]) == ["srv1"])
      // One that is another server's hears that one alone.
      try network.servers[1].send("intruder", to: client.endpoint)
      try expectNews(from: network.servers[0], to: client, as: network.virtualServer)
      #expect(try client.receive(timeout: .milliseconds(200)) == nil)

      // What is not for a virtual server is the kernel's of the director.
      #expect(try answersPing(network.virtualServer.address, from: topology.client))
      let other = try UDPEchoServer(
        named: "director", in: topology.director, address: network.virtualServer.address, port: 7)
      #expect(try network.newClient().exchange("x", with: other.endpoint)?.payload == "director:x")
    }
    #expect(try director.daemon.stop() == 0)
    #expect(director.errors == [])
  }

  @Test(arguments: AddressFamily.allCases)
  func twoOnOneAddressWithOtherPorts(_ family: AddressFamily) throws {
    let topology = try Topology(realServers: 4)
    let first = try Network(topology, family, servers: [0, 1])
    let second = try Network(topology, family, port: 5684, servers: [2, 3])
    let director = try ServedDirector(
      first,
      ConfigText(realServers: first.serverAddresses, virtualServers: [second.section("second")]))

    // One socket, an association with each.
    let clients = try first.newClients(5)
    #expect(first.servers(of: clients) == ["srv1", "srv2", "srv1", "srv2", "srv1"])
    #expect(second.servers(of: clients.reversed()) == ["srv3", "srv4", "srv3", "srv4", "srv3"])
    for _ in 0..<2 {
      #expect(first.servers(of: clients) == ["srv1", "srv2", "srv1", "srv2", "srv1"])
      #expect(second.servers(of: clients) == ["srv3", "srv4", "srv3", "srv4", "srv3"])
    }
    // A server of one has no business on the other's port.
    let stranger = try UDPEchoServer(
      named: "stranger", in: topology.realServers[0], address: first.serverAddresses[0], port: 5684)
    try stranger.send("hello", to: clients[0].endpoint)
    #expect(
      try clients[0].receive() == ReceivedDatagram(payload: "hello", source: stranger.endpoint))
    #expect(second.servers(of: [clients[0]]) == ["srv3"])
    #expect(try director.daemon.stop() == 0)
    #expect(director.errors == [])
  }

  /// - Parameter shared: whether both virtual servers have one address too.
  @Test(arguments: AddressFamily.allCases, [true, false])
  func aServerBehindTwoWritesFirstToAClientOfEach(_ family: AddressFamily, _ shared: Bool) throws {
    let topology = try Topology(realServers: 3)
    let address = Topology.virtualServer(shared ? 0 : 1, family)
    if !shared { try topology.addDirectorAddress(address) }
    let first = try Network(topology, family, servers: [0, 1])
    let second = try Network(topology, family, address: address, port: 5684, servers: [1, 2])
    let director = try ServedDirector(
      first,
      ConfigText(realServers: first.serverAddresses, virtualServers: [second.section("second")]))
    let (atFirst, atSecond) = (first.servers[1], second.servers[0])
    #expect(atFirst.endpoint.address == atSecond.endpoint.address)

    let clients = try first.newClients(3)
    try expectNews(from: atFirst, to: clients[0], as: first.virtualServer)
    try expectNews(from: atSecond, to: clients[1], as: second.virtualServer)
    try expectNews(from: atFirst, to: clients[2], as: first.virtualServer)
    try expectNews(from: atSecond, to: clients[2], as: second.virtualServer)
    // Of the four that were written to, one by turn; the turns of both begin now.
    #expect(first.servers(of: clients) == ["srv2", "srv1", "srv2"])
    #expect(second.servers(of: clients) == ["srv2", "srv2", "srv2"])
    #expect(try first.serversOfNewClients(2) == ["srv2", "srv1"])
    #expect(try second.serversOfNewClients(2) == ["srv3", "srv2"])
    #expect(first.servers(of: clients) == ["srv2", "srv1", "srv2"])

    // Another's client at one, its own at the other.
    try atFirst.send("intruder", to: clients[1].endpoint)
    try expectNews(from: atSecond, to: clients[1], as: second.virtualServer)
    #expect(try clients[1].receive(timeout: .milliseconds(200)) == nil)
    #expect(try director.daemon.stop() == 0)
    #expect(director.errors == [])
  }

  @Test(arguments: AddressFamily.allCases)
  func anAddressForAName(_ family: AddressFamily) throws {
    let topology = try Topology(realServers: 2)
    let address = Topology.virtualServer(1, family)
    try topology.addDirectorAddress(address)
    let first = try Network(topology, family, servers: [0])
    let second = try Network(topology, family, address: address, port: 5684, servers: [1])
    var section = second.section(address)
    section.address = nil
    section.ports = [5683, 5684]
    let director = try ServedDirector(
      first, ConfigText(realServers: first.serverAddresses, virtualServers: [section]))
    #expect(try second.serversOfNewClients(2) == ["srv2", "srv2"])
    #expect(try director.daemon.stop() == 0)
  }

  /// As many as there may be, 32 of each family, two on each address.
  @Test func sixtyFour() throws {
    let topology = try Topology(realServers: 3)
    var networks: [Network] = []
    for number in 0..<64 {
      let family = AddressFamily.allCases[number % 2]
      let address = Topology.virtualServer(number / 4, family)
      if number / 4 > 0 && number % 4 < 2 { try topology.addDirectorAddress(address) }
      networks.append(
        try Network(
          topology, family, address: address, port: UInt16(6_000 + number),
          servers: [number % 3, (number + 1) % 3]))
    }
    var text = ConfigText(realServers: networks[0].serverAddresses)
    for (number, network) in networks.enumerated().dropFirst() {
      text.add(network.section("service \(number)"))
    }
    let director = try ServedDirector(networks[0], text)
    let names = networks.map { $0.servers.map(\.name) }
    for (number, network) in networks.enumerated() {
      #expect(try network.serversOfNewClients(3) == [0, 1, 0].map { names[number][$0] })
    }
    // A client of all those of a family.
    let known = try networks.prefix(2).map { try $0.newClient() }
    for (number, network) in networks.enumerated() {
      #expect(network.servers(of: [known[number % 2]]) == [names[number][1]], "\(number)")
    }

    let changed = 41
    let others = networks.indices.filter { $0 != changed }
    let traffic = Traffic(
      try others.map { (try networks[$0].newClient(), networks[$0].virtualServer) })
    #expect(traffic.waitForProgress())
    let name = "service \(changed)"
    let newPort = UInt16(7_000)
    let moved = try networks[changed].servers.map {
      try UDPEchoServer(
        named: $0.name + "-moved", in: topology.realServers[Int($0.name.dropFirst(3))! - 1],
        address: $0.endpoint.address, port: newPort)
    }
    let network = networks[changed]
    try director.reload { $0[name].realServers[1] += " = drain" }
    #expect(try network.serversOfNewClients(2) == [names[changed][0], names[changed][0]])
    #expect(traffic.waitForProgress())
    try director.reload {
      $0[name].scheduler = "maglev"
      $0[name].realServers[1] = network.serverAddresses[1]
    }
    #expect(try Set(network.serversOfNewClients(40)) == Set(names[changed]))
    try director.reload { $0[name].ports = [network.virtualServer.port, newPort] }
    // The one that is known stays, on its new port too.
    let client = known[changed % 2]
    #expect(network.servers(of: [client]) == [names[changed][1]])
    #expect(network.servers(of: [client], port: newPort) == [names[changed][1] + "-moved"])
    #expect(traffic.waitForProgress())
    let section = director.text[name]
    try director.reload { $0.remove(name) }
    #expect(network.servers(of: [client], timeout: .milliseconds(500)) == ["none"])
    try director.reload { $0.add(section) }
    #expect(try Set(network.serversOfNewClients(40)) == Set(names[changed]))
    #expect(traffic.waitForProgress())

    let record = traffic.stop()
    #expect(record.unanswered == 0)
    for (index, number) in others.enumerated() {
      // Three and the one that is known had their turns before.
      #expect(record.servers[index] == [names[number][0]], "\(number)")
    }
    #expect(try director.daemon.stop() == 0)
    #expect(director.errors == [])
    withExtendedLifetime(moved) {}
  }
}
