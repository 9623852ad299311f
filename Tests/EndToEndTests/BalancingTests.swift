// Plain sockets through ulb: who is sent where, who stays, and what is none of ulb's business.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite struct BalancingTests {
  @Test(arguments: AddressFamily.allCases)
  func clientsAreSpreadRoundRobinAndStay(_ family: AddressFamily) throws {
    let service = try BalancedService(family)
    let clients = try (0..<7).map { _ in try service.newClient() }
    let expected = ["srv1", "srv2", "srv3", "srv1", "srv2", "srv3", "srv1"]
    #expect(try clients.map { try service.server(answering: $0) } == expected)
    for _ in 0..<3 {
      let order = clients.indices.shuffled()
      for index in order {
        #expect(try service.server(answering: clients[index]) == expected[index])
      }
    }
  }

  @Test(arguments: AddressFamily.allCases)
  func serverMayWriteFirst(_ family: AddressFamily) throws {
    let service = try BalancedService(family)
    let client = try service.newClient()
    try service.servers[2].send("news", to: client.endpoint)
    let news = try client.receive()
    #expect(news == ReceivedDatagram(payload: "news", source: service.virtualServer))

    // Round robin would have said srv1, and does for the next client.
    #expect(try service.server(answering: client) == "srv3")
    #expect(try service.serversOfNewClients(4) == ["srv1", "srv2", "srv3", "srv1"])
    #expect(try service.server(answering: client) == "srv3")
    #expect(service.servers[2].received.first?.source == client.endpoint)
  }

  @Test(arguments: AddressFamily.allCases)
  func serverOfAnotherClientIsNotHeard(_ family: AddressFamily) throws {
    let service = try BalancedService(family, options: ["-l", "INFO"])
    let client = try service.newClient()
    #expect(try service.server(answering: client) == "srv1")
    try service.servers[1].send("intruder", to: client.endpoint)
    try service.daemon.process.waitForLine(containing: "Not associated real server")
    try service.servers[0].send("friend", to: client.endpoint)
    #expect(try client.receive()?.payload == "friend")
    #expect(try client.receive(timeout: .milliseconds(200)) == nil)
  }

  @Test(arguments: AddressFamily.allCases)
  func otherTrafficReachesTheDirector(_ family: AddressFamily) throws {
    let service = try BalancedService(family)
    let topology = service.topology
    for address in [Topology.virtualServer(family), Topology.directorAddress(family)] {
      let local = try UDPEchoServer(
        named: "director", in: topology.director, address: address, port: 7)
      let answer = try service.newClient().exchange("hello", with: local.endpoint)
      #expect(answer == ReceivedDatagram(payload: "director:hello", source: local.endpoint))
      #expect(try answersPing(address, from: topology.client))
      #expect(try acceptsTCP(address, listeningIn: topology.director, from: topology.client))
    }
    // The balanced port of an address that is not the virtual server's.
    let own = try UDPEchoServer(
      named: "director", in: topology.director, address: Topology.directorAddress(family),
      port: BalancedService.port)
    #expect(try service.newClient().exchange("x", with: own.endpoint)?.payload == "director:x")
  }

  @Test(arguments: AddressFamily.allCases)
  func otherTrafficOfRealServersIsRouted(_ family: AddressFamily) throws {
    let service = try BalancedService(family)
    let other = try UDPEchoServer(
      named: "other", in: service.topology.realServers[0], address: service.address(ofServer: 0),
      port: 7)
    let client = try service.newClient()
    try other.send("hello", to: client.endpoint)
    #expect(try client.receive() == ReceivedDatagram(payload: "hello", source: other.endpoint))
    #expect(try answersPing(Topology.clientAddress(family), from: service.topology.realServers[0]))
    // It made no association either.
    #expect(try service.serversOfNewClients(2) == ["srv1", "srv2"])
  }

  @Test(arguments: AddressFamily.allCases)
  func payloadsArriveWhole(_ family: AddressFamily) throws {
    let service = try BalancedService(family)
    let client = try service.newClient()
    // Up to what fits an Ethernet frame together with the server's "srv1:".
    let most = 1500 - (family == .ipv4 ? 20 : 40) - 8 - 5
    for size in [0, 1, 2, 3, 511, 512, most - 1, most] {
      let payload = String((0..<size).map { _ in "abcdefghijklmnop".randomElement()! })
      #expect(try service.server(answering: client, to: payload) == "srv1", "\(size) bytes")
    }
  }

  @Test func datagramsWithoutChecksumArrive() throws {
    let service = try BalancedService(.ipv4, checksum: false)
    let client = try service.newClient(checksum: false)
    for _ in 0..<10 { #expect(try service.server(answering: client) == "srv1") }
  }

  @Test func serverListedTwiceHasTwoTurns() throws {
    let service = try BalancedService(listed: [0, 0, 1])
    #expect(
      try service.serversOfNewClients(6) == ["srv1", "srv1", "srv2", "srv1", "srv1", "srv2"])
  }
}
