// Clients and real servers for small exchanges: who is served by whom.
import Foundation
import LoadBalancing

/// One virtual server: real servers called srv1, srv2, … and clients that ask it.
public final class Network {
  /// The balanced port of all networks that have no other: CoAP's.
  public static let port: UInt16 = 5683

  public let family: AddressFamily
  public let topology: Topology
  /// Where clients send to.
  public let virtualServer: Endpoint
  public let servers: [UDPEchoServer]

  /// - Parameters:
  ///   - address: the virtual server's. The director's kernel has the topology's own alone.
  ///   - numbers: the real servers that listen, by number from 0; all if nil.
  ///   - checksum: whether the real servers' IPv4 datagrams carry a UDP checksum.
  public init(
    _ topology: Topology, _ family: AddressFamily = .ipv4, address: String? = nil,
    port: UInt16 = Network.port, servers numbers: [Int]? = nil, checksum: Bool = true
  ) throws {
    self.family = family
    self.topology = topology
    virtualServer = Endpoint(address ?? Topology.virtualServer(family), port)
    servers = try (numbers ?? Array(topology.realServers.indices)).map { number in
      try UDPEchoServer(
        named: "srv\(number + 1)", in: topology.realServers[number],
        address: Topology.realServer(number, family), port: port, checksum: checksum)
    }
  }

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
    of clients: [UDPSocket], at address: String? = nil, port: UInt16? = nil,
    timeout: Duration = .seconds(10)
  ) -> [String] {
    let target = Endpoint(address ?? virtualServer.address, port ?? virtualServer.port)
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

extension AddressFamily {
  /// IPv6 for IPv4, and the other way round.
  public var other: AddressFamily { self == .ipv4 ? .ipv6 : .ipv4 }
}
