// From where packets of real servers are believed: the MAC addresses that the program is told.
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Verified gateways", .serialized)
struct GatewayTests {
  /// Where the frames of all tests come from, and addresses that differ from it in one bit, of the
  /// first octet and of the last.
  static let gateway: [UInt8] = [0x02, 0, 0, 0, 0, 0x01]
  static let others: [[UInt8]] = [[0x06, 0, 0, 0, 0, 0x01], [0x02, 0, 0, 0, 0, 0x81]]

  static func address(_ octets: [UInt8]) throws -> MACAddress {
    try #require(MACAddress(octets: octets))
  }

  private static func from(_ mac: [UInt8], _ datagram: Datagram) -> Datagram {
    Case.changed(datagram) { $0.sourceMAC = mac }
  }

  /// Those of a director that knows where servers 1 and 2 are, and not where 3 is.
  static func cases(_ addresses: Addresses) -> [Case] {
    let virtualServer = addresses.virtualServer
    func forged(_ name: String, _ datagram: Datagram) -> [Case] {
      others.map {
        Case(
          name: name, event: .egressUnverified, verdict: .drop, datagram: from($0, datagram))
      }
    }
    // What is not sent on for another reason comes from nobody either; what is no datagram for us is not asked for.
    let changes: [(inout Datagram) -> Void] = [
      { $0.lifetime = 1 }, { $0.destinationMAC[0] |= 1 }, { $0.destinationPort = 0 },
      { $0.udpLength = 7 },
    ]
    let reply = addresses.reply(server: 2, client: 7)
    return forged("to a new client", reply)
      + changes.flatMap { forged("that is not sent", Case.changed(reply, $0)) } + [
        .sent("to a new client", .egressNewNAT, reply, from: virtualServer),
        .sent("to a known client", .egressReusedNAT, reply, from: virtualServer),
      ] + forged("to a known client", reply)
      + forged("to another's client", addresses.reply(server: 1, client: 7)) + [
        Case(
          name: "to another's client", event: .egressNotAuthorized, verdict: .drop,
          datagram: addresses.reply(server: 1, client: 7)),
        Case(
          name: "another port", event: .egressNotHandledPort, verdict: .pass,
          datagram: from(others[0], addresses.reply(server: 1, client: 7, port: 53))),
        Case(
          name: "nobody's server", event: .unhandledTraffic, verdict: .pass,
          datagram: Case.changed(from(others[0], reply)) { $0.source = addresses.stranger }),
        .sent(
          "of a server that is nowhere known", .egressNewNAT,
          from(others[0], addresses.reply(server: 3, client: 8)), from: virtualServer),
        .sent(
          "of a client", .ingressNewNAT, from(others[0], addresses.request(client: 9)),
          to: addresses.server(1)),
      ]
  }

  @Test("every row", arguments: AddressFamily.allCases, LogLevel.allCases)
  func rows(family: AddressFamily, level: LogLevel) throws {
    let addresses = Addresses(family: family)
    let director = try Director(family, level: level, verifiesGateway: true)
    let gateway = try Self.address(Self.gateway)
    director.dataPlane.verify([addresses.server(1): gateway, addresses.server(2): gateway])
    for row in Self.cases(addresses) { try director.expect(row) }
    #expect(director.associated(7...9) == [7, 8, 9])
  }

  /// Nothing of it is there.
  @Test("a program that verifies nothing has no table of it", arguments: AddressFamily.allCases)
  func absent(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let without = try Director(family)
    let with = try Director(family, verifiesGateway: true)
    let tables = try [without, with].map { try $0.dataPlane.program.info().tableIDs.count }
    #expect(tables[1] == tables[0] + 1)
    without.dataPlane.verify([addresses.server(1): try Self.address(Self.others[0])])
    #expect(try without.run(addresses.reply(server: 1, client: 1)).verdict == .send)
  }

  /// What becomes of a datagram of a server to a client that it has not written to.
  private func told(_ director: Director, server: Int, client: Int, from mac: [UInt8]) throws
    -> Event?
  {
    _ = director.events()
    let reply = director.addresses.reply(server: server, client: client)
    _ = try director.run(Self.from(mac, reply))
    return director.events().last?.event
  }

  @Test("what is known changes, and is unknown again", arguments: AddressFamily.allCases)
  func changes(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let director = try Director(family, level: .trace, verifiesGateway: true)
    var client = 0
    func believed(_ mac: [UInt8]) throws -> Bool {
      client += 1
      let event = try told(director, server: 1, client: client, from: mac)
      #expect([.egressNewNAT, .egressUnverified].contains(event))
      return event == .egressNewNAT
    }
    for known in Self.others + [Self.gateway] {
      director.dataPlane.verify([addresses.server(1): try Self.address(known)])
      for mac in Self.others + [Self.gateway] { #expect(try believed(mac) == (mac == known)) }
    }
    director.dataPlane.verify([:])
    for mac in Self.others + [Self.gateway] { #expect(try believed(mac)) }
  }

  @Test("other lists and programs have what is known", arguments: AddressFamily.allCases)
  func exchange(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let director = try Director(family, level: .trace, verifiesGateway: true)
    let (gateway, other) = (try Self.address(Self.gateway), try Self.address(Self.others[0]))
    // Of servers that are not there yet, too.
    director.dataPlane.verify([addresses.server(1): gateway, addresses.server(4): other])
    try director.dataPlane.apply(addresses.servers(1..<5))
    #expect(
      try told(director, server: 4, client: 40, from: Self.gateway) == .egressUnverified)
    #expect(
      try told(director, server: 4, client: 41, from: Self.others[0]) == .egressNewNAT)

    var next = director.dataPlane.configuration
    next.liveSettings.debug = 1
    try compiling { try #require(try director.dataPlane.apply(next).isRecompiled) }
    #expect(
      try told(director, server: 1, client: 10, from: Self.others[0]) == .egressUnverified)
    #expect(try told(director, server: 1, client: 11, from: Self.gateway) == .egressNewNAT)
    // Off, and on again.
    next.liveSettings.verifiesGateway = false
    try compiling { try #require(try director.dataPlane.apply(next).isRecompiled) }
    #expect(try told(director, server: 1, client: 12, from: Self.others[0]) == .egressNewNAT)
    next.liveSettings.verifiesGateway = true
    try compiling { try #require(try director.dataPlane.apply(next).isRecompiled) }
    #expect(
      try told(director, server: 1, client: 13, from: Self.others[0]) == .egressUnverified)
  }

  /// A slot that another server is given does not keep what its former owner had.
  @Test("slots that are given to others", arguments: AddressFamily.allCases)
  func reuse(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let director = try Director(
      family, servers: [addresses.server(1)], level: .trace, maxServers: 1, verifiesGateway: true)
    director.dataPlane.verify([addresses.server(1): try Self.address(Self.gateway)])
    var reused = false
    for server in 2...4 {
      reused = try !director.dataPlane.apply([addresses.server(server)]).isEmpty || reused
      #expect(
        try told(director, server: server, client: server, from: Self.others[0]) == .egressNewNAT)
    }
    #expect(reused)
  }
}
