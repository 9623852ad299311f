// Several virtual servers in one program: whose a frame is, and who is given what.
import BCC
import LoadBalancing
import Synchronization
import TestSupport
import Testing

@testable import DataPlane

/// A data plane of several virtual servers, attached to nothing.
private struct Services {
  let dataPlane: DataPlane

  /// - Parameter virtualServers: those of the config file are named; the first is the command line's.
  init(
    _ virtualServers: [VirtualServer], level: LogLevel = .error,
    adjust: (inout Configuration) -> Void = { _ in }
  ) throws {
    var configuration = Configuration(
      interface: "none", virtualServer: virtualServers[0].address, realServers: [], ports: [])
    configuration.virtualServers = virtualServers
    configuration.logLevel = level
    configuration.maxAssociations = 4096
    adjust(&configuration)
    try configuration.validate()
    dataPlane = try compiling { try DataPlane(configuration) }
  }

  func run(_ datagram: Datagram) throws -> Director.Outcome {
    Director.Outcome(try dataPlane.program.testRun(frame: datagram.bytes))
  }

  /// The real server that a datagram is sent to; `nil` if it is not sent.
  func server(of datagram: Datagram) throws -> IPAddress? {
    try run(datagram).destination(datagram.destination.family)
  }

  func events() -> [EventRecord] {
    var events: [EventRecord] = []
    dataPlane.consumeEvents { events.append($0) }
    return events
  }

  /// Changes what is in force.
  func apply(_ change: (inout Configuration) -> Void) throws {
    var next = dataPlane.configuration
    change(&next)
    try next.validate()
    _ = try compiling { try dataPlane.apply(next) }
  }
}

/// Addresses by numbers, of either family: `block` tells what they are for.
private func address(_ family: AddressFamily, _ block: Int, _ number: Int) -> IPAddress {
  let low = UInt32(number).octets
  switch family {
  case .ipv4: return IPAddress(octets: [10, UInt8(block)] + low.suffix(2))
  case .ipv6:
    return IPAddress(
      octets: [0x20, 0x01, 0x0d, 0xb8] + UInt32(block).octets + [0xff, 0xfe, 0, 0] + low)
  }
}

/// A virtual server with three real servers of its own.
private func virtualServer(
  _ family: AddressFamily, _ number: Int, name: String?, ports: [UInt16], at place: Int? = nil
) -> VirtualServer {
  VirtualServer(
    name: name, address: address(family, 40, place ?? number), ports: ports,
    realServers: (0..<3).map { RealServer(address(family, 70, 3 * number + $0)) })
}

private func request(
  _ server: VirtualServer, client: Int, port: UInt16? = nil, clientPort: UInt16 = 40000
) -> Datagram {
  Datagram(
    source: address(server.family, 50, client), sourcePort: clientPort,
    destination: server.address, destinationPort: port ?? server.ports[0])
}

private func reply(
  _ server: VirtualServer, _ realServer: Int, client: Int, port: UInt16? = nil
) -> Datagram {
  Datagram(
    source: server.realServers[realServer].address, sourcePort: port ?? server.ports[0],
    destination: address(server.family, 50, client), destinationPort: 40000)
}

@Suite("Virtual servers", .serialized)
struct VirtualServerTests {
  /// How the program finds out whose a frame is: by comparisons, by tables, or by both.
  enum Shape: String, CaseIterable {
    /// One of each family.
    case two
    /// A few of each, with the same ports.
    case fewAlike
    /// A few of each, with ports of their own.
    case few
    /// Two on one address.
    case sharedAddress
    /// One of each, with many ports.
    case manyPorts
    /// 32 of each, with the same ports.
    case manyAlike
    /// 32 of each, on addresses that two of them share, with ports of their own.
    case many

    var virtualServers: [VirtualServer] {
      AddressFamily.allCases.flatMap { family in
        (0..<count).map { number in
          let isCommandLines = family == .ipv4 && number == 0
          return virtualServer(
            family, number, name: isCommandLines ? nil : "\(family) \(number)",
            ports: ports(number), at: place(number))
        }
      }
    }

    private var count: Int {
      switch self {
      case .two, .manyPorts: 1
      case .fewAlike, .few: 3
      case .sharedAddress: 2
      case .manyAlike, .many: 32
      }
    }

    private func ports(_ number: Int) -> [UInt16] {
      switch self {
      case .two, .fewAlike, .manyAlike: [5683, 5684]
      case .few: [5683, 6000 + UInt16(number)]
      case .sharedAddress: [5683 + UInt16(number)]
      case .manyPorts: Array(7001...7064)
      case .many: [number % 2 == 0 ? 5683 : 5684, 6000 + UInt16(number)]
      }
    }

    private func place(_ number: Int) -> Int {
      switch self {
      case .sharedAddress: 0
      case .many: number / 2
      default: number
      }
    }
  }

  /// The compiler may leave in a register what nobody reads, and the verifier refuses it.
  @Test(
    "the kernel takes the program at any level", arguments: Shape.allCases,
    [(.critical, 0), (.error, 0), (.trace, 1)] as [(LogLevel, Int)])
  func verified(shape: Shape, settings: (level: LogLevel, debug: Int)) throws {
    for maxAssociations: UInt32 in [7, 4096] {
      let services = try Services(shape.virtualServers, level: settings.level) {
        $0.maxPorts = 64
        $0.debug = settings.debug
        $0.maxAssociations = maxAssociations
      }
      #expect(try services.dataPlane.program.info().verifiedInstructionCount < 1_000_000 / 2)
      // Trace points alone may take more.
      #expect(settings.debug > 0 || services.dataPlane.service.loaded.passes == .libbcc)
    }
  }

  /// The longest programs: of those that follow clients, the ones with the most beside that.
  @Test(
    "the kernel takes the program that follows clients, beside lists and next hops",
    arguments: Shape.allCases, [(.critical, 0), (.trace, 1)] as [(LogLevel, Int)])
  func followed(shape: Shape, settings: (level: LogLevel, debug: Int)) throws {
    let all = shape.virtualServers
    let services = try Services(all, level: settings.level) {
      $0.maxPorts = 64
      $0.debug = settings.debug
      $0.lists.denied = NetworkList(file: "denied", networks: [])
      $0.verifiesGateway = true
    }
    let clients = (0..<DataPlane.mostFollowed).map {
      Client(address: address(all[$0 % all.count].family, 50, $0), port: 40000)
    }
    try compiling { try services.dataPlane.follow(clients) }
    #expect(services.dataPlane.followed == clients)
    #expect(try services.dataPlane.program.info().verifiedInstructionCount < 1_000_000 / 2)
    _ = services.events()
    for client in [0, DataPlane.mostFollowed - 1] {
      _ = try services.run(request(all[client % all.count], client: client))
    }
    #expect(services.events().filter { $0.event == .ingressNewNAT }.count == 2)
  }

  @Test("each has its clients, its ports and its round", arguments: Shape.allCases)
  func each(shape: Shape) throws {
    let all = shape.virtualServers
    let services = try Services(all) { $0.maxPorts = 64 }
    for server in all {
      for client in 0..<4 {
        let sent = request(server, client: client, port: server.ports[client % server.ports.count])
        let chosen = server.realServers[client % 3].address
        #expect(try services.run(sent) == .send(sent.sent(to: chosen)))
        // To whichever of its ports, and back.
        let again = request(server, client: client, port: server.ports.last)
        #expect(try services.run(again) == .send(again.sent(to: chosen)))
        let answer = reply(server, client % 3, client: client, port: server.ports.last)
        #expect(try services.run(answer) == .send(answer.sent(from: server.address)))
        // Not by another of its servers.
        let other = reply(server, (client + 1) % 3, client: client)
        #expect(try services.run(other) == .drop(other))
      }
    }
    // Clients of all are known to all: none took another's place.
    for server in all {
      for client in 0..<4 {
        let chosen = server.realServers[client % 3].address
        #expect(try services.server(of: request(server, client: client)) == chosen)
      }
    }
  }

  @Test("what is nobody's passes", arguments: Shape.allCases)
  func nobodys(shape: Shape) throws {
    let all = shape.virtualServers
    let services = try Services(all, level: .trace) { $0.maxPorts = 64 }
    func expect(_ datagram: Datagram, _ event: Event) throws {
      #expect(try services.run(datagram) == .pass(datagram))
      #expect(services.events().map(\.event) == [event])
    }
    let balanced = Set(all.flatMap(\.ports))
    for server in all {
      let onAddress = all.filter { $0.address == server.address }.flatMap(\.ports)
      // A port that others have, and one that nobody has.
      if let port = balanced.subtracting(onAddress).min() {
        try expect(request(server, client: 1, port: port), .ingressNotHandledPort)
      }
      try expect(request(server, client: 1, port: 9), .ingressNotHandledPort)
      try expect(reply(server, 0, client: 1, port: 9), .egressNotHandledPort)
      let others = balanced.subtracting(server.ports)
      if let port = others.min() {
        try expect(reply(server, 0, client: 1, port: port), .egressNotHandledPort)
      }
      var stranger = request(server, client: 1)
      stranger.destination = address(server.family, 40, 999)
      try expect(stranger, .unhandledTraffic)
      stranger = reply(server, 0, client: 1)
      stranger.source = address(server.family, 70, 9999)
      try expect(stranger, .unhandledTraffic)
    }
  }

  @Test("no virtual server is another's client", arguments: Shape.allCases)
  func noLoops(shape: Shape) throws {
    let all = shape.virtualServers
    let services = try Services(all) { $0.maxPorts = 64 }
    for server in all.prefix(8) {
      for other in all where other.family == server.family {
        var frame = request(server, client: 1)
        frame.source = other.address
        #expect(try services.run(frame) == .drop(frame))
        frame = reply(server, 0, client: 1)
        frame.destination = other.address
        // From a real server's port it is an egress, and as nobody's client it passes; to a balanced
        // port it would be an ingress.
        if other.ports.contains(frame.destinationPort) { continue }
        let outcome = try services.run(frame)
        #expect(outcome.verdict == .pass)
      }
    }
  }

  @Test("a frame of neither family passes")
  func neitherFamily() throws {
    let all = Shape.two.virtualServers
    let services = try Services(all, level: .trace)
    var frame = request(all[0], client: 1)
    frame.etherType = 0x0806
    #expect(try services.run(frame).verdict == .pass)
    #expect(services.events().map(\.event) == [.notIPv4])
  }

  @Test("events tell the virtual server and the family")
  func labels() throws {
    let all = Shape.few.virtualServers
    let services = try Services(all, level: .debug)
    for server in all {
      _ = try services.run(request(server, client: 7))
      _ = try services.run(reply(server, 0, client: 7))
      for event in services.events() {
        #expect(event.virtualServer == server.label)
        #expect(event.source.family == server.family)
      }
    }
  }

  // MARK: One real server behind several

  @Test("a real server's port tells for which it writes", arguments: AddressFamily.allCases)
  func sharedRealServer(family: AddressFamily) throws {
    // 40 virtual servers on as many addresses, with a port each, and one real server.
    let shared = RealServer(address(family, 70, 1))
    let all = (0..<40).map { number in
      VirtualServer(
        name: number == 0 ? nil : "\(number)", address: address(family, 40, number),
        ports: [6000 + UInt16(number)], realServers: [shared])
    }
    let services = try Services(all)
    for server in all {
      // It writes first; then the client answers.
      let first = reply(server, 0, client: 1)
      #expect(try services.run(first) == .send(first.sent(from: server.address)))
      let answer = request(server, client: 1)
      #expect(try services.run(answer) == .send(answer.sent(to: shared.address)))
    }
    // One of them loses it: the others keep it.
    try services.apply {
      $0.virtualServers[20].realServers = [RealServer(address(family, 70, 2))]
    }
    for (number, server) in all.enumerated() {
      let frame = reply(server, 0, client: 1)
      #expect(
        try services.run(frame)
          == (number == 20 ? .pass(frame) : .send(frame.sent(from: server.address))))
    }
  }

  // MARK: States and weights

  @Test(
    "one that drains keeps its clients and is given no new one", arguments: AddressFamily.allCases)
  func draining(family: AddressFamily) throws {
    let server = virtualServer(family, 0, name: nil, ports: [5683])
    let services = try Services([server])
    let before = try (0..<6).map { try services.server(of: request(server, client: $0)) }
    for state in [
      RealServer(server.realServers[1].address, state: .draining),
      RealServer(server.realServers[1].address, weight: 0),
    ] {
      try services.apply { $0.virtualServers[0].realServers[1] = state }
      #expect(try (0..<6).map { try services.server(of: request(server, client: $0)) } == before)
      let next = try (100..<120).map { try services.server(of: request(server, client: $0)) }
      #expect(!next.contains(server.realServers[1].address))
      #expect(Set(next).count == 2)
      // It may still write first: that is its own choice.
      let first = reply(server, 1, client: 300)
      #expect(try services.run(first) == .send(first.sent(from: server.address)))
    }
    // Down: its clients go to others as they come.
    try services.apply { $0.virtualServers[0].realServers[1].state = .down }
    let after = try (0..<6).map { try services.server(of: request(server, client: $0)) }
    for (former, present) in zip(before, after) {
      if former == server.realServers[1].address {
        #expect(present != former && present != nil)
      } else {
        #expect(present == former)
      }
    }
    let silent = reply(server, 1, client: 301)
    #expect(try services.run(silent) == .pass(silent))
  }

  @Test("nobody to give to", arguments: AddressFamily.allCases, Scheduler.allCases)
  func allDraining(family: AddressFamily, scheduler: Scheduler) throws {
    var server = virtualServer(family, 0, name: nil, ports: [5683])
    server.scheduler = scheduler
    for index in server.realServers.indices { server.realServers[index].state = .draining }
    let services = try Services([server], level: .error)
    let frame = request(server, client: 1)
    #expect(try services.run(frame) == .drop(frame))
    #expect(services.events().map(\.event) == [.ingressCannotCreateAssociation])
  }

  @Test(
    "new clients are shared out by weight", arguments: AddressFamily.allCases, Scheduler.allCases)
  func weights(family: AddressFamily, scheduler: Scheduler) throws {
    var server = virtualServer(family, 0, name: nil, ports: [5683])
    server.scheduler = scheduler
    let weights = [1, 2, 5]
    for index in weights.indices { server.realServers[index].weight = weights[index] }
    let services = try Services([server]) { $0.maxAssociations = 16384 }
    var counts: [IPAddress?: Int] = [:]
    for client in 0..<10_000 {
      let frame = request(server, client: client, clientPort: UInt16(20000 + client % 20000))
      counts[try services.server(of: frame), default: 0] += 1
    }
    for (index, weight) in weights.enumerated() {
      let share = Double(counts[server.realServers[index].address] ?? 0) / 10_000
      let wanted = Double(weight) / 8
      // By hash, 10,000 clients are a sample: of all clients, not of its own, a server's share is told.
      let error = scheduler == .maglev ? abs(share - wanted) / 3 : abs(share / wanted - 1)
      #expect(error <= 0.01, "\(weight): \(share)")
    }
  }

  // MARK: Maglev

  @Test("the packet path chooses by Maglev as the plan does", arguments: AddressFamily.allCases)
  func maglev(family: AddressFamily) throws {
    var server = virtualServer(family, 0, name: nil, ports: [5683])
    server.scheduler = .maglev
    server.realServers = (0..<10).map { RealServer(address(family, 70, 17 * $0)) }
    var other = server
    other.realServers.reverse()
    let services = [try Services([server]), try Services([other])]
    let table = Maglev.table(of: server.realServers)
    for client in 0..<2_000 {
      let frame = request(
        server, client: client, clientPort: UInt16(1024 + client * 7919 % 60000))
      let entry = Maglev.entry(of: Client(address: frame.source, port: frame.sourcePort))
      let wanted = server.realServers[table[entry]].address
      for director in services { #expect(try director.server(of: frame) == wanted) }
    }
  }

  // MARK: Changes

  @Test("a client stays with its server while all else changes", arguments: AddressFamily.allCases)
  func liveChanges(family: AddressFamily) throws {
    let first = virtualServer(family, 0, name: nil, ports: [5683])
    let named = virtualServer(family, 1, name: "named", ports: [5683, 5684])
    let services = try Services([first, named])
    func clients(_ server: VirtualServer) throws -> [IPAddress?] {
      try (0..<30).map { try services.server(of: request(server, client: $0)) }
    }
    let (ofFirst, ofNamed) = (try clients(first), try clients(named))
    #expect(!ofFirst.contains(nil) && !ofNamed.contains(nil))

    // Others come, of both families; ports, scheduler, order and address change.
    let others = AddressFamily.allCases.flatMap { family in
      (10..<20).map { virtualServer(family, $0, name: "\(family) \($0)", ports: [5683]) }
    }
    var moved = named
    moved.address = address(family, 41, 77)
    moved.ports = [5684, 9000]
    moved.scheduler = .maglev
    let steps: [[VirtualServer]] = [
      [first, named] + others, [first] + others + [named], [first, moved], [first, named],
    ]
    for step in steps {
      try services.apply { $0.virtualServers = step }
      #expect(try clients(first) == ofFirst)
      let present = step.first { $0.name == "named" }!
      #expect(try clients(present) == ofNamed)
    }
    // One that goes loses its associations, also if one of its name comes again.
    try services.apply { $0.virtualServers = [first] }
    let gone = request(named, client: 0)
    #expect(try services.run(gone) == .pass(gone))
    var back = named
    back.realServers.reverse()
    try services.apply { $0.virtualServers = [first, back] }
    #expect(try services.server(of: request(back, client: 1)) == back.realServers[0].address)
    #expect(try clients(first) == ofFirst)
  }

  @Test("a real server that is moved to another virtual server leaves its clients")
  func movedRealServer() throws {
    let first = virtualServer(.ipv4, 0, name: nil, ports: [5683])
    var second = virtualServer(.ipv4, 1, name: "second", ports: [5683])
    let services = try Services([first, second])
    let moving = first.realServers[0]
    #expect(try services.server(of: request(first, client: 0)) == moving.address)
    second.realServers.append(moving)
    var rest = first
    rest.realServers.removeFirst()
    try services.apply { $0.virtualServers = [rest, second] }
    #expect(try services.server(of: request(rest, client: 0)) != moving.address)
    // What it writes is the second's now.
    let frame = Datagram(
      source: moving.address, sourcePort: 5683, destination: address(.ipv4, 50, 900),
      destinationPort: 40000)
    #expect(try services.run(frame) == .send(frame.sent(from: second.address)))
  }

  @Test("no packet is misdirected while virtual servers come and go")
  func underPackets() throws {
    let cpus = usableCPUs
    try #require(cpus.count >= 2, "this test needs two CPUs")
    let first = virtualServer(.ipv4, 0, name: nil, ports: [5683])
    let services = try Services([first])
    let known = try (0..<100).map {
      (request(first, client: $0).bytes, try services.server(of: request(first, client: $0)))
    }
    let present = Mutex(services.dataPlane.program)
    let isOver = Atomic<Bool>(false)
    let traffic = { () throws -> Int in
      var wrong = 0
      while !isOver.load(ordering: .acquiring) {
        let program = present.withLock { $0 }
        for (frame, server) in known {
          let outcome = Director.Outcome(try program.testRun(frame: frame))
          if outcome.destination(.ipv4) != server { wrong += 1 }
        }
      }
      return wrong
    }
    let changes = { () throws -> Int in
      defer { isOver.store(true, ordering: .releasing) }
      for round in 0..<12 {
        let family = round % 2 == 0 ? AddressFamily.ipv6 : .ipv4
        let others = (1...3).map { number in
          virtualServer(
            family, number + round % 3, name: "\(number)", ports: [5683 + UInt16(round)])
        }
        try services.apply { $0.virtualServers = [first] + others }
        let program = services.dataPlane.program
        present.withLock { $0 = program }
      }
      return 0
    }
    let results = try onCPUs(Array(cpus.prefix(2)), [traffic, changes])
    #expect(results[0] == 0)
  }
}
