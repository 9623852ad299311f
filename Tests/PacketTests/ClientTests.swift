// Who can become a client, and that one who is known is not asked again.
import LoadBalancing
import Testing

@Suite("Clients", .serialized)
struct ClientTests {
  @Test("everyone who can be answered becomes one", arguments: AddressFamily.allCases)
  func answerable(family: AddressFamily) throws {
    let director = try Director(family, level: .trace)
    let addresses = director.addresses
    var requests = ClientAddress.answerable(addresses).map { address in
      Case.changed(addresses.request(client: 0)) { $0.source = address }
    }
    requests += [1, 65535].map { addresses.request(client: 0, clientPort: $0) }
    requests.append(Case.changed(addresses.request(client: 0)) { $0.source = addresses.server(3) })
    for (index, request) in requests.enumerated() {
      let server = addresses.server(1 + index % 3)
      try director.expect(
        .sent("from \(request.source)", .ingressNewNAT, request, to: server))
      try director.expect(
        .sent("from \(request.source)", .ingressReusedNAT, request, to: server))
    }
  }

  @Test("a real server may write to everyone who can answer", arguments: AddressFamily.allCases)
  func serverInitiated(family: AddressFamily) throws {
    let director = try Director(family, level: .trace)
    let addresses = director.addresses
    for address in ClientAddress.answerable(addresses) {
      let reply = Case.changed(addresses.reply(server: 2, client: 0)) { $0.destination = address }
      try director.expect(
        .sent("to \(address)", .egressNewNAT, reply, from: addresses.virtualServer))
    }
  }

  /// The word that an IPv4 client of no address and no port would have is that of a free place.
  @Test(
    "a free place is nobody's", arguments: AddressFamily.allCases, [7, 4096] as [UInt32])
  func freePlaces(family: AddressFamily, capacity: UInt32) throws {
    let director = try Director(family, level: .trace, maxAssociations: capacity)
    let addresses = director.addresses
    let nobody = try #require(IPAddress(family == .ipv4 ? "0.0.0.0" : "::"))
    let request = Case.changed(addresses.request(client: 0)) {
      ($0.source, $0.sourcePort) = (nobody, 0)
    }
    try director.expect(
      Case(name: "from nobody", event: .invalidClient, verdict: .drop, datagram: request))
    for server in 1..<4 {
      let reply = Case.changed(addresses.reply(server: server, client: 0)) {
        ($0.destination, $0.destinationPort) = (nobody, 0)
      }
      try director.expect(
        Case(name: "to nobody", event: .unhandledTraffic, verdict: .pass, datagram: reply))
    }
  }

  /// As tables have them that were filled before anyone was asked.
  @Test(
    "who is known is asked for nothing, until the server goes", arguments: AddressFamily.allCases,
    [ClientClass.newcomer, .resident])
  func known(family: AddressFamily, clientClass: ClientClass) throws {
    let director = try Director(family, level: .trace)
    let addresses = director.addresses
    for address in ClientAddress.unanswerable(addresses) {
      let request = Case.changed(addresses.request(client: 0)) { $0.source = address }
      let reply = Case.changed(addresses.reply(server: 1, client: 0)) { $0.destination = address }
      try director.dataPlane.apply(addresses.servers(1..<4))
      let client = Client(address: request.source, port: request.sourcePort)
      let restored = director.dataPlane.restore(
        [
          Association(
            client: client, realServer: 0, rank: Ranking.byClass.rank(clientClass, age: 0))
        ],
        rankedBy: .byClass, of: [director.dataPlane.saved([addresses.server(1)])])
      try #require(restored.count == 1)
      try director.expect(.sent("\(address)", .ingressReusedNAT, request, to: addresses.server(1)))
      try director.expect(
        .sent("\(address)", .egressReusedNAT, reply, from: addresses.virtualServer))
      // A newcomer is answered now, and each packet of its own may make it a resident.
      try director.expect(.sent("\(address)", .ingressReusedNAT, request, to: addresses.server(1)))
      try director.dataPlane.apply(addresses.servers(2..<4))
      try director.expect(
        Case(name: "\(address)", event: .invalidClient, verdict: .drop, datagram: request))
      let other = Case.changed(reply) { $0.source = addresses.server(2) }
      try director.expect(
        Case(name: "\(address)", event: .unhandledTraffic, verdict: .pass, datagram: other))
    }
  }

  /// Addresses that differ in one bit are others, wherever it is.
  @Test("every bit of an address counts", arguments: AddressFamily.allCases)
  func everyBit(family: AddressFamily) throws {
    let director = try Director(family, level: .trace)
    let addresses = director.addresses
    #expect(try director.server(of: 0) == addresses.server(1))
    _ = director.events()
    for address in ClientAddress.neighbours(of: addresses.virtualServer) {
      let request = Case.changed(addresses.request(client: 0)) { $0.destination = address }
      try director.expect(
        Case(name: "to \(address)", event: .unhandledTraffic, verdict: .pass, datagram: request))
    }
    for address in ClientAddress.neighbours(of: addresses.server(1)) {
      let reply = Case.changed(addresses.reply(server: 1, client: 0)) { $0.source = address }
      // Two of the neighbours may be real servers themselves.
      let isServer = addresses.servers(1..<4).contains(address)
      try director.expect(
        Case(
          name: "from \(address)", event: isServer ? .egressNotAuthorized : .unhandledTraffic,
          verdict: isServer ? .drop : .pass, datagram: reply))
    }
    for address in ClientAddress.neighbours(of: addresses.client(0)) {
      let reply = Case.changed(addresses.reply(server: 2, client: 0)) { $0.destination = address }
      try director.expect(
        .sent("to \(address)", .egressNewNAT, reply, from: addresses.virtualServer))
    }
    #expect(try director.server(of: 0) == addresses.server(1))
  }
}
