// Who may speak for a real server, while gateways change and somebody on the link forges.
import Control
import Foundation
import JSONCoding
import LoadBalancing
import TestSupport
import Testing

@Suite struct GatewayTests {
  /// Real servers behind a running ulb that verifies gateways, and a forger on the director's link.
  private struct Scene {
    let service: BalancedService
    let forger: PacketSocket
    var daemon: Daemon { service.daemon }
    var family: AddressFamily { service.family }
    static let forgersAddress = "02:00:00:00:00:66"

    init(_ family: AddressFamily, options: [String] = ["--verify_gateway"]) throws {
      service = try BalancedService(family, usingFile: true, options: options)
      forger = try PacketSocket(service.topology.gatewayInterface)
    }

    func gatewaysAddress() throws -> String {
      try service.topology.gatewayInterface.hardwareAddress()
    }

    func waitUntilLearnt(_ address: String, after skipping: Int = 0) throws {
      try daemon.process.waitForLine(
        containing:
          "Next hop \(Topology.directorGateway(family)) of 3 real server(s) is at \(address)",
        after: skipping)
    }

    /// Sends a client what claims to be a real server's, from some MAC address.
    func forge(_ payload: String, to client: UDPSocket, from mac: String) throws {
      let director = try service.topology.directorInterface.hardwareAddress()
      let source = Endpoint(service.address(ofServer: 0), BalancedService.port)
      try forger.send(
        Forged(source: source, destination: client.endpoint, payload: payload)
          .frame(from: mac, to: director))
    }

    func unverified() throws -> UInt64 {
      let words = ["counters", "--json", "--socket", daemon.control]
      let json = try CompletedProcess(
        ChildProcess([Package.operatorCommand] + words)
      ).standardOutput
      let counters = try JSON.decode(Counters.self, from: Array(json.utf8))
      return try #require(counters.events.first { $0.event == "EGRESS_UNVERIFIED" }).packets
    }

    func status() throws -> Status {
      let words = ["status", "--json", "--socket", daemon.control]
      let json = try CompletedProcess(
        ChildProcess([Package.operatorCommand] + words)
      ).standardOutput
      return try JSON.decode(Status.self, from: Array(json.utf8))
    }

    /// Expects that a forged packet is dropped, and counted.
    func expectDropped(from mac: String) throws {
      let client = try service.newClient()
      let before = try unverified()
      try forge("!forged", to: client, from: mac)
      #expect(try waitUntil { try unverified() == before + 1 }, "\(daemon.process.transcript)")
      // What comes after it comes alone.
      try forge("!after", to: client, from: try gatewaysAddress())
      #expect(
        try client.receive()
          == ReceivedDatagram(payload: "!after", source: service.virtualServer))
    }

    /// Expects that a packet is believed.
    func expectSent(from mac: String) throws {
      let client = try service.newClient()
      try forge("!believed", to: client, from: mac)
      #expect(
        try client.receive()
          == ReceivedDatagram(payload: "!believed", source: service.virtualServer))
    }

    func expectServed() throws {
      #expect(
        try service.server(answering: service.newClient()) != nil, "\(daemon.process.transcript)")
    }

    /// Puts a config file in force that has a line more in its section [ulb].
    func set(_ setting: String) throws {
      let file = try #require(service.configFile)
      let before = daemon.process.lines.count
      try file.replace(
        withText: ConfigFile.text(service.network.addresses([0, 1, 2])) + "[ulb]\n\(setting)\n")
      try daemon.process.waitForLine(containing: "Program compiled anew", after: before)
    }
  }

  @Test(arguments: AddressFamily.allCases)
  func whoIsNotTheGatewaySpeaksForNobody(_ family: AddressFamily) throws {
    let scene = try Scene(family)
    let gateway = try scene.gatewaysAddress()
    try scene.waitUntilLearnt(gateway)
    try scene.expectServed()
    try scene.expectDropped(from: Scene.forgersAddress)
    try scene.expectServed()
    #expect(
      try scene.status().configuration.gateways
        == GatewayVerification(
          verifiedRealServers: 3, believedRealServers: 0,
          nextHops: [
            NextHopStatus(
              address: Topology.directorGateway(family), hardwareAddress: gateway, realServers: 3)
          ]))
    #expect(try scene.daemon.stop() == 0)
  }

  /// It says nothing of it: what it sends is dropped until ulb has asked.
  @Test(arguments: AddressFamily.allCases)
  func aGatewayThatHasAnotherAddressIsFollowed(_ family: AddressFamily) throws {
    let scene = try Scene(family)
    let former = try scene.gatewaysAddress()
    try scene.waitUntilLearnt(former)
    let next = "02:00:00:00:00:51"
    let before = scene.daemon.process.lines.count
    try runSuccessfully(
      ["ip", "-n", scene.service.topology.gateway.name, "link", "set", "gwl", "address", next])
    let isServed = try waitUntil {
      try scene.service.server(
        answering: scene.service.newClient(), timeout: .milliseconds(200)) != nil
    }
    #expect(isServed, "\(scene.daemon.process.transcript)")
    try scene.daemon.process.waitForLine(
      containing: "is at \(next), was at \(former)", after: before)
    try scene.expectDropped(from: former)
    try scene.expectServed()
    #expect(try scene.daemon.stop() == 0)
  }

  /// What `ip neigh replace` sets, or a gratuitous ARP of another router.
  @Test func whatTheKernelLearnsIsInForceAtOnce() throws {
    let scene = try Scene(.ipv4)
    let gateway = try scene.gatewaysAddress()
    try scene.waitUntilLearnt(gateway)
    func neighbour(_ address: String) throws {
      let before = scene.daemon.process.lines.count
      try runSuccessfully([
        "ip", "-n", scene.service.topology.director.name, "neigh", "replace",
        Topology.directorGateway(.ipv4), "lladdr", address, "dev", "lb0", "nud", "permanent",
      ])
      try scene.daemon.process.waitForLine(containing: "is at \(address), was at", after: before)
    }
    try neighbour(Scene.forgersAddress)
    let client = try scene.service.newClient()
    let count = try scene.unverified()
    try scene.forge("!genuine", to: client, from: gateway)
    #expect(try waitUntil { try scene.unverified() == count + 1 })
    try neighbour(gateway)
    try scene.expectServed()
    #expect(try scene.daemon.stop() == 0)
  }

  @Test func theConfigFileTurnsItOffAndOn() throws {
    let scene = try Scene(.ipv4)
    let gateway = try scene.gatewaysAddress()
    try scene.waitUntilLearnt(gateway)
    try scene.set("verify_gateway = no")
    try scene.expectSent(from: gateway)
    // The gateway knows nobody there: what is sent there comes to nobody, and is no drop of ours.
    let before = try scene.unverified()
    try scene.forge("!forged", to: scene.service.newClient(), from: Scene.forgersAddress)
    try scene.expectServed()
    #expect(try scene.unverified() == before)
    #expect(try scene.status().configuration.gateways == nil)

    let lines = scene.daemon.process.lines.count
    try scene.set("verify_gateway = yes")
    try scene.waitUntilLearnt(gateway, after: lines)
    try scene.expectDropped(from: Scene.forgersAddress)
    #expect(try scene.daemon.stop() == 0)
  }

  /// A real server that comes to the list, and one whose route becomes another.
  @Test func otherServersAndRoutesAreFollowed() throws {
    let scene = try Scene(.ipv4)
    let gateway = try scene.gatewaysAddress()
    try scene.waitUntilLearnt(gateway)
    let file = try #require(scene.service.configFile)
    // In the order of their addresses.
    func waitForHops(
      _ expected: [NextHopStatus], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      var found: [NextHopStatus] = []
      let came = try waitUntil {
        found = try scene.status().configuration.gateways?.nextHops ?? []
        return found == expected
      }
      #expect(came, "\(found)", sourceLocation: sourceLocation)
    }
    let usual = Topology.directorGateway(.ipv4)
    try file.replace(with: scene.service.network.addresses([0, 1]))
    try waitForHops([NextHopStatus(address: usual, hardwareAddress: gateway, realServers: 2)])
    try file.replace(with: scene.service.network.addresses([0, 1, 2]))
    try waitForHops([NextHopStatus(address: usual, hardwareAddress: gateway, realServers: 3)])

    let director = scene.service.topology.director.name
    let other = "10.60.0.77"
    try runSuccessfully([
      "ip", "-n", director, "route", "add", scene.service.address(ofServer: 0), "via", other,
    ])
    try waitForHops([
      NextHopStatus(address: usual, hardwareAddress: gateway, realServers: 2),
      NextHopStatus(address: other, hardwareAddress: nil, realServers: 1),
    ])
    // It does not answer, and until it does its server is believed.
    try scene.daemon.process.waitForLine(
      containing: "next hop \(other) of 1 real server(s) does not answer")
    try scene.expectServed()
    try scene.expectSent(from: gateway)
    #expect(try scene.status().configuration.gateways?.believedRealServers == 1)
    try runSuccessfully([
      "ip", "-n", director, "neigh", "replace", other, "lladdr", Scene.forgersAddress, "dev", "lb0",
      "nud", "permanent",
    ])
    try scene.daemon.process.waitForLine(
      containing: "Next hop \(other) of 1 real server(s) is at \(Scene.forgersAddress)")
    let count = try scene.unverified()
    try scene.forge("!genuine", to: scene.service.newClient(), from: gateway)
    #expect(try waitUntil { try scene.unverified() == count + 1 })
    #expect(try scene.daemon.stop() == 0)
  }

  @Test func whereThereAreNoLinkLayerAddressesItIsSaid() throws {
    let topology = try Topology(realServers: 1)
    let daemon = try Daemon.start(
      [
        "lo", "-vs", "10.60.0.10", "-rs", "10.70.1.2", "-p", "5683", "--mode", "generic",
        "--verify_gateway",
      ], in: topology.director)
    try daemon.process.waitForLine(
      containing: "WARNING: lo has no link-layer addresses of neighbours")
    #expect(try daemon.stop() == 0)
    #expect(daemon.process.lines.count { $0.text.contains("link-layer") } == 1)
  }
}

/// A UDP datagram that claims to come from somebody.
private struct Forged {
  let source, destination: Endpoint
  let payload: String

  func frame(from sender: String, to receiver: String) -> [UInt8] {
    let isIPv4 = destination.family == .ipv4
    return mac(receiver) + mac(sender) + (isIPv4 ? [0x08, 0x00] : [0x86, 0xdd])
      + (isIPv4 ? ipv4Header : ipv6Header) + udp
  }

  private var addresses: [UInt8] {
    [source, destination].flatMap { IPAddress($0.address)!.octets }
  }

  private var udp: [UInt8] {
    let length = UInt16(8 + payload.utf8.count)
    var datagram = octets(source.port) + octets(destination.port) + octets(length) + [0, 0]
    datagram += Array(payload.utf8)
    // The pseudo-header of either family sums up alike.
    let sum = Self.sum(addresses + octets(17) + octets(length) + datagram)
    datagram.replaceSubrange(6..<8, with: octets(~sum == 0 ? 0xffff : ~sum))
    return datagram
  }

  private var ipv4Header: [UInt8] {
    var header = [0x45, 0] + octets(UInt16(28 + payload.utf8.count)) + [0, 1, 0, 0, 64, 17, 0, 0]
    header += addresses
    header.replaceSubrange(10..<12, with: octets(~Self.sum(header)))
    return header
  }

  private var ipv6Header: [UInt8] {
    [0x60, 0, 0, 0] + octets(UInt16(8 + payload.utf8.count)) + [17, 64] + addresses
  }

  /// RFC 1071.
  private static func sum(_ octets: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for (index, octet) in octets.enumerated() {
      sum += index % 2 == 0 ? UInt32(octet) << 8 : UInt32(octet)
      sum = (sum & 0xffff) + (sum >> 16)
    }
    return UInt16(sum)
  }

  private func octets(_ number: UInt16) -> [UInt8] {
    [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)]
  }

  private func mac(_ text: String) -> [UInt8] {
    text.split(separator: ":").map { UInt8($0, radix: 16)! }
  }
}
