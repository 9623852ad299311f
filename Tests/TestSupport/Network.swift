// Clients and real servers for small exchanges: who is served by whom.
import Foundation
import LoadBalancing

/// Real servers called srv1, srv2, … and clients that ask the virtual server.
public final class Network {
  /// The balanced port of all networks: CoAP's.
  public static let port: UInt16 = 5683

  public let family: AddressFamily
  public let topology: Topology
  public let servers: [UDPEchoServer]

  /// - Parameter checksum: whether the real servers' IPv4 datagrams carry a UDP checksum.
  public init(_ topology: Topology, _ family: AddressFamily = .ipv4, checksum: Bool = true) throws {
    self.family = family
    self.topology = topology
    servers = try topology.realServers.indices.map { number in
      try UDPEchoServer(
        named: "srv\(number + 1)", in: topology.realServers[number],
        address: Topology.realServer(number, family), port: Network.port, checksum: checksum)
    }
  }

  public var virtualServer: Endpoint { Endpoint(Topology.virtualServer(family), Network.port) }

  public func addresses(_ numbers: [Int]) -> [String] {
    numbers.map { Topology.realServer($0, family) }
  }

  /// A client that no association is known of.
  public func newClient(checksum: Bool = true) throws -> UDPSocket {
    try UDPSocket(
      in: topology.client, address: Topology.clientAddress(family),
      port: topology.unusedClientPort(), checksum: checksum)
  }

  /// Clients that no association is known of.
  public func newClients(_ count: Int) throws -> [UDPSocket] {
    try (0..<count).map { _ in try newClient() }
  }

  /// Who answers each client; "none" where nobody does.
  public func servers(
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
  public func serversOfNewClients(_ count: Int) throws -> [String] {
    servers(of: try newClients(count))
  }

  /// Waits until new clients are spread over just these servers.
  public func waitForListing(_ names: Set<String>) throws {
    var last: [String] = []
    let came = try waitUntil {
      last = servers(of: try newClients(2 * names.count), timeout: .seconds(2))
      return Set(last) == names
    }
    guard came else { throw TimedOut("\(names) in service; last were \(last)") }
  }
}
