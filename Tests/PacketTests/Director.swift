// The real program in the real kernel, and the network that the frames of the tests come from.
import BCC
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

/// What an XDP program answers (`enum xdp_action`).
enum Verdict: UInt32 {
  case aborted, drop, pass, send
}

/// The addresses of a test, of one family.
struct Addresses {
  let family: AddressFamily
  static let ports: [UInt16] = [5683, 5684]

  var virtualServer: IPAddress { address(block: 0, 1) }
  /// No client, no server.
  var stranger: IPAddress { address(block: 3, 99) }
  func server(_ number: Int) -> IPAddress { address(block: 1, number) }
  func client(_ number: Int) -> IPAddress { address(block: 2, number) }
  func servers(_ numbers: Range<Int>) -> [IPAddress] { numbers.map(server) }

  private func address(block: UInt8, _ number: Int) -> IPAddress {
    let low = UInt32(number).octets
    switch family {
    case .ipv4: return IPAddress(octets: [10, block] + low.suffix(2))
    case .ipv6:
      return IPAddress(
        octets: [0x20, 0x01, 0x0d, 0xb8, 0, block, 0xff, 0xfe, 0, 0, 0x80, 1] + low)
    }
  }

  /// The number of a client's address, and its port. Beyond 60,000 clients, ports tell them apart.
  func hostAndPort(of client: Int) -> (host: Int, port: UInt16) {
    (client % 60000, 40000 + UInt16(client / 60000))
  }

  /// Who a client is.
  func identity(of client: Int) -> Client {
    let (host, port) = hostAndPort(of: client)
    return Client(address: self.client(host), port: port)
  }

  /// A client's datagram to the virtual server, from its own port or another.
  func request(
    client: Int, port: UInt16 = ports[0], clientPort: UInt16? = nil, lifetime: UInt8 = 64
  ) -> Datagram {
    let client = identity(of: client)
    return Datagram(
      source: client.address, sourcePort: clientPort ?? client.port,
      destination: virtualServer, destinationPort: port, lifetime: lifetime)
  }

  /// A real server's datagram to a client.
  func reply(
    server: Int, client: Int, port: UInt16 = ports[0], clientPort: UInt16? = nil,
    lifetime: UInt8 = 64
  ) -> Datagram {
    let client = identity(of: client)
    return Datagram(
      source: self.server(server), sourcePort: port, destination: client.address,
      destinationPort: clientPort ?? client.port, lifetime: lifetime)
  }
}

/// A loaded program with its tables, attached to nothing.
final class Director {
  let addresses: Addresses
  let dataPlane: DataPlane
  let level: LogLevel
  /// What the program knows of clients.
  let buckets: Buckets

  /// - Parameter virtualServer: the network's own where none is given.
  init(
    _ family: AddressFamily, servers: [IPAddress]? = nil, level: LogLevel = .error,
    virtualServer: IPAddress? = nil, ports: [UInt16] = Addresses.ports, maxServers: UInt32 = 32,
    maxAssociations: UInt32 = 4096, probation: Int = 1, lists: ClientLists = ClientLists(),
    verifiesGateway: Bool = false
  ) throws {
    addresses = Addresses(family: family)
    self.level = level
    let configuration = Configuration(
      interface: "none", virtualServer: virtualServer ?? addresses.virtualServer,
      realServers: servers ?? addresses.servers(1..<4), ports: ports
    ) {
      $0.logLevel = level
      $0.maxPorts = UInt32(max(16, ports.count))
      $0.maxRealServers = maxServers
      $0.maxAssociations = maxAssociations
      $0.probation = probation
      $0.lists = lists
      $0.verifiesGateway = verifiesGateway
    }
    try configuration.validate()
    dataPlane = try compiling { try DataPlane(configuration) }
    buckets = try Buckets(dataPlane.tables, family)
  }

  /// The director that a data plane makes of it.
  init(_ addresses: Addresses, _ dataPlane: DataPlane) throws {
    self.addresses = addresses
    self.dataPlane = dataPlane
    level = dataPlane.configuration.logLevel
    buckets = try Buckets(dataPlane.tables, addresses.family)
  }

  /// A program that differs from the director's in one thing, over the same tables.
  func program(replacing text: String, with other: String) throws -> Program {
    let plan = dataPlane.service.plan
    let source = try Renderer.source(
      for: dataPlane.configuration, plan.served, dataPlane.service.sizes,
      cpus: CounterBlocks.cpus(), sharing: Set(dataPlane.tables.all.map(\.name)))
    try #require(source.ranges(of: text).count == 1, "the template does not have one \(text)")
    return try compiling {
      let headers = try KernelHeaderTree(.own)
      let module = try Module(
        source: source.replacing(text, with: other),
        compilerFlags: dataPlane.service.loaded.passes.compilerFlags() + headers.compilerFlags)
      for (name, table) in dataPlane.tables.all {
        try module.replaceTable(name.description, with: table)
      }
      return try module.loadXDPProgram("ulb")
    }
  }

  /// What became of a frame.
  struct Outcome: Equatable {
    let verdict: Verdict?
    let frame: [UInt8]

    init(_ verdict: Verdict?, _ frame: [UInt8]) {
      (self.verdict, self.frame) = (verdict, frame)
    }

    init(_ result: Program.TestResult) {
      self.init(Verdict(rawValue: result.verdict), result.frame)
    }

    static func send(_ datagram: Datagram) -> Outcome { Outcome(.send, datagram.bytes) }
    static func pass(_ datagram: Datagram) -> Outcome { Outcome(.pass, datagram.bytes) }
    static func drop(_ datagram: Datagram) -> Outcome { Outcome(.drop, datagram.bytes) }

    /// Where a datagram went that was sent.
    func destination(_ family: AddressFamily) -> IPAddress? {
      guard verdict == .send else { return nil }
      return IPAddress(octets: Array(family == .ipv4 ? frame[30..<34] : frame[38..<54]))
    }
  }

  func run(_ frame: [UInt8]) throws -> Outcome {
    Outcome(try dataPlane.program.testRun(frame: frame))
  }

  func run(_ datagram: Datagram) throws -> Outcome { try run(datagram.bytes) }

  /// The real server that a client's datagram is sent to; nil if it is not sent.
  func server(of client: Int) throws -> IPAddress? {
    try run(addresses.request(client: client)).destination(addresses.family)
  }

  /// The real servers that some clients' datagrams are sent to, in that order.
  func servers(of clients: Range<Int>) throws -> [IPAddress?] {
    try clients.map { try server(of: $0) }
  }

  /// Runs a request of each of many clients.
  func admit(_ clients: some Sequence<Int>) throws {
    var frames = ClientFrames.requests(addresses)
    for client in clients {
      _ = try dataPlane.program.testRun(frame: frames.next(client: client))
    }
  }

  /// The events since the last call.
  func events() -> [EventRecord] {
    var events: [EventRecord] = []
    dataPlane.consumeEvents { events.append($0) }
    return events
  }

  /// Which of these clients have an association, told without using any.
  func associated(_ clients: some Sequence<Int>) -> Set<Int> {
    let present = Set(buckets.entries.map(\.client))
    return Set(clients.filter { present.contains(addresses.identity(of: $0)) })
  }

  /// Where a client's association stands, and what as.
  func entry(of client: Int) -> Buckets.Entry? {
    buckets.entry(of: addresses.identity(of: client))
  }

  /// Lets an address lead to a slot, as the table of addresses has it.
  func setSlot(of address: IPAddress, _ slot: UInt32) throws {
    let table = dataPlane.tables.service[.slotOfAddress, addresses.family]
    switch addresses.family {
    case .ipv4: try TypedTable(table).update(address.words(UInt32.self), slot)
    case .ipv6:
      try TypedTable(table).update(address.words((UInt32, UInt32, UInt32, UInt32).self), slot)
    }
  }
}

extension IPAddress {
  /// The octets as they stand on the wire.
  fileprivate func words<Words: BitwiseCopyable>(_ type: Words.Type) -> Words {
    octets.withUnsafeBytes { $0.loadUnaligned(as: Words.self) }
  }
}

extension DataPlane {
  /// Makes a list the one in service.
  ///
  /// - Returns: the slots that were given to others.
  @discardableResult
  func apply(_ list: [IPAddress]) throws -> [UInt16] {
    var next = configuration
    next.realServers = list
    return try apply(next).reused[next.family] ?? []
  }

  /// The command line's virtual server with other real servers, as it is saved.
  func saved(_ realServers: [IPAddress]) -> SavedVirtualServer {
    SavedVirtualServer(
      address: configuration.virtualServer, roundPosition: 0, realServers: realServers)
  }

  /// The association table of the command line's virtual server.
  var associations: AssociationTable { service.associations[configuration.family]! }

  /// The slots of its family.
  var slots: [SlotPlan.Slot?] { service.plan.slots(of: configuration.family) }
}

extension AssociationReader {
  /// Whom an association leads to.
  func realServer(of association: Association) -> IPAddress {
    virtualServers[Int(association.virtualServer)].realServers[Int(association.realServer)]
  }
}
