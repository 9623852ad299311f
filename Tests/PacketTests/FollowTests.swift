// Clients that are followed: all that happens to their packets is reported at a level at which nothing
// else is, and nobody else's.
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Followed clients", .serialized)
struct FollowTests {
  private func follow(_ director: Director, _ clients: [Client]) throws {
    try compiling { try director.dataPlane.follow(clients) }
  }

  /// Whether a frame is from or to a client, as far as is known of it.
  private func isWith(_ client: Client, _ row: Case) -> Bool {
    let record = row.record
    guard row.known >= .addresses else { return false }
    let ends = [
      Client(address: record.source, port: record.sourcePort),
      Client(address: record.destination, port: record.destinationPort),
    ]
    return ends.contains { row.known == .ports ? $0 == client : $0.address == client.address }
  }

  @Test("every row of theirs and none of others", arguments: AddressFamily.allCases, [1, 8])
  func rows(family: AddressFamily, count: Int) throws {
    let director = try Director(family, level: .critical)
    let addresses = director.addresses
    // The first is heard of in most rows, the others in few.
    let clients = (0..<count).map { addresses.identity(of: $0 == 0 ? 900 : $0) }
    try follow(director, clients)
    #expect(director.dataPlane.followed == clients)
    var reported: Set<Event> = []
    var (own, others) = (0, 0)
    for row in Case.all(addresses) {
      let isReported = clients.contains { isWith($0, row) }
      #expect(try director.run(row.frame) == row.outcome, "\(row.name)")
      #expect(
        director.events() == (isReported ? [director.labelled(row.record)] : []), "\(row.name)")
      if isReported { reported.insert(row.event) }
      (own, others) = isReported ? (own + 1, others) : (own, others + 1)
    }
    #expect(own > 10 && others > 10)
    let expected: Set<Event> =
      count == 1
      ? [.notUDP, .lifetimeExpired, .invalidUDPSize]
      : [.ingressNewNAT, .ingressReusedNAT, .egressNewNAT, .egressReusedNAT, .egressNotAuthorized]
    #expect(expected.isSubset(of: reported), "\(reported)")
  }

  @Test(
    "the port tells clients of one address apart, where it is known",
    arguments: AddressFamily.allCases)
  func ports(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    let client = addresses.identity(of: 1)
    try follow(director, [client])
    _ = try director.run(addresses.request(client: 1, clientPort: client.port + 1))
    _ = try director.run(addresses.reply(server: 1, client: 1, clientPort: client.port + 1))
    // One bit of the address is another: the first, and the last.
    for octet in [0, family.octetCount - 1] {
      var octets = client.address.octets
      octets[octet] ^= 1
      _ = try director.run(
        Case.changed(addresses.request(client: 1)) { $0.source = IPAddress(octets: octets) })
    }
    #expect(director.events() == [])
    let other = Case.changed(addresses.request(client: 1, clientPort: client.port + 1)) {
      $0.ipProtocol = 6
    }
    _ = try director.run(other)
    _ = try director.run(addresses.request(client: 1))
    #expect(director.events().map(\.event) == [.notUDP, .ingressNewNAT])
  }

  @Test("a change keeps them followed, and the last that goes leaves the program of before")
  func changes() throws {
    let director = try Director(.ipv4, level: .critical)
    let (dataPlane, addresses) = (director.dataPlane, director.addresses)
    func events() throws -> [Event] {
      _ = try director.servers(of: 0..<3)
      return director.events().map(\.event)
    }
    #expect(try events() == [])
    let servers = try director.servers(of: 0..<3)
    try follow(director, [addresses.identity(of: 1)])
    #expect(try events() == [.ingressReusedNAT])
    #expect(try director.servers(of: 0..<3) == servers)
    _ = director.events()
    // One that needs another program, and one that does not.
    var next = dataPlane.configuration
    next.ports = [next.ports[0]]
    try compiling { _ = try dataPlane.apply(next) }
    #expect(try events() == [.ingressReusedNAT])
    try dataPlane.apply([1, 2].map(addresses.server))
    #expect(try events() == [.ingressReusedNAT])
    // The same again is the same program.
    let id = try dataPlane.program.info().id
    try follow(director, [addresses.identity(of: 1), addresses.identity(of: 1)])
    #expect(try dataPlane.program.info().id == id)
    try follow(director, [addresses.identity(of: 2), addresses.identity(of: 0)])
    #expect(try events() == [.ingressReusedNAT, .ingressReusedNAT])
    try follow(director, [])
    #expect(try events() == [])
    let ordinary = try compiling { try DataPlane(dataPlane.configuration) }
    let count = try ordinary.program.info().instructionCount
    #expect(try dataPlane.program.info().instructionCount == count)
    #expect(dataPlane.snapshot().count(of: .ingressReusedNAT).packets == 20)
  }

  @Test("clients of both families are followed by one program")
  func bothFamilies() throws {
    let director = try Director(.ipv4, level: .critical)
    let both = AddressFamily.allCases.map { Addresses(family: $0) }
    var next = director.dataPlane.configuration
    next.virtualServers.append(
      VirtualServer(
        name: "other", address: both[1].virtualServer, ports: Addresses.ports,
        realServers: both[1].servers(1..<4).map { RealServer($0) }))
    try compiling { _ = try director.dataPlane.apply(next) }
    let count = DataPlane.mostFollowed / 2
    try follow(director, both.flatMap { (0..<count).map($0.identity) })
    for addresses in both {
      // The last that is followed, and one that is not.
      for client in [count - 1, count] {
        #expect(try director.run(addresses.request(client: client)).verdict == .send)
      }
      let events = director.events()
      #expect(events.map(\.event) == [.ingressNewNAT])
      #expect(events.map(\.source) == [addresses.client(count - 1)])
    }
    let info = try director.dataPlane.program.info()
    #expect(info.verifiedInstructionCount < 200_000)
  }

  @Test("more than can be are refused, and those before stay")
  func tooMany() throws {
    let director = try Director(.ipv4, level: .critical)
    let clients = (0...DataPlane.mostFollowed).map(director.addresses.identity)
    try follow(director, [clients[0]])
    let error = #expect(throws: DataPlaneError.self) { try follow(director, clients) }
    #expect(
      error.map { "\($0)" }
        == "9 clients cannot be followed at once, but 8 at most; wait until others have gone")
    #expect(director.dataPlane.followed == [clients[0]])
    _ = try director.server(of: 0)
    #expect(director.events().count == 1)
  }

  @Test(
    "the verifier's limit is far away with as many as can be", arguments: AddressFamily.allCases)
  func instructions(family: AddressFamily) throws {
    let director = try Director(family, level: .critical)
    try follow(director, (0..<DataPlane.mostFollowed).map(director.addresses.identity))
    let info = try director.dataPlane.program.info()
    #expect(info.verifiedInstructionCount < 110_000)
  }
}
