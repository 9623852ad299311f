// Clients and real servers for small exchanges: who is served by whom.
import Foundation
import TestSupport
import Testing

/// Real servers called srv1, srv2, … and clients that ask the virtual server.
final class Network {
  let family: AddressFamily
  let topology: Topology
  let servers: [UDPEchoServer]
  private static let port = Unit.port

  init(_ topology: Topology, _ family: AddressFamily = .ipv4) throws {
    self.family = family
    self.topology = topology
    servers = try topology.realServers.indices.map { number in
      try UDPEchoServer(
        named: "srv\(number + 1)", in: topology.realServers[number],
        address: Topology.realServer(number, family), port: Network.port)
    }
  }

  var virtualServer: Endpoint { Endpoint(Topology.virtualServer(family), Network.port) }

  func addresses(_ numbers: [Int]) -> [String] {
    numbers.map { Topology.realServer($0, family) }
  }

  /// Clients that no association is known of.
  func newClients(_ count: Int) throws -> [UDPSocket] {
    try (0..<count).map { _ in
      try UDPSocket(
        in: topology.client, address: Topology.clientAddress(family),
        port: topology.unusedClientPort())
    }
  }

  /// Who answers each client; "none" where nobody does.
  func servers(
    of clients: [UDPSocket], at address: String? = nil, port: UInt16 = Network.port,
    timeout: Duration = .seconds(10)
  ) -> [String] {
    let target = Endpoint(address ?? virtualServer.address, port)
    return clients.map { client in
      let payload = UUID().uuidString
      try? client.send(payload, to: target)
      while let answer = try? client.receive(timeout: timeout) {
        let parts = answer.payload.split(separator: ":", maxSplits: 1)
        if answer.source == target, parts.count == 2, parts[1] == payload {
          return String(parts[0])
        }
      }
      return "none"
    }
  }

  /// Who answers new clients.
  func serversOfNewClients(_ count: Int) throws -> [String] {
    servers(of: try newClients(count))
  }

  /// Waits until new clients are spread over just these servers.
  func waitForListing(_ names: Set<String>) throws {
    var last: [String] = []
    let came = try waitUntil {
      last = servers(of: try newClients(2 * names.count), timeout: .seconds(2))
      return Set(last) == names
    }
    guard came else { throw TimedOut("\(names) in service; last were \(last)") }
  }
}
