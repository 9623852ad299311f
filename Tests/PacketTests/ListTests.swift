// Who is denied: what the lists of clients say, whom they are asked for, and that a change of them is one
// step for packets.
import BCC
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

extension ClientLists {
  /// - Parameters: what each list has; `nil` for no list.
  init(
    allowed: (some Sequence<IPNetwork>)? = [IPNetwork]?.none,
    denied: (some Sequence<IPNetwork>)? = [IPNetwork]?.none, isStrict: Bool = false
  ) {
    self.init()
    self.allowed = allowed.map { NetworkList(file: "allowed", networks: Set($0)) }
    self.denied = denied.map { NetworkList(file: "denied", networks: Set($0)) }
    self.isStrict = isStrict
  }
}

extension Addresses {
  /// The network of the first bits of a client's address. All clients have all but the last 16 in
  /// common.
  func network(of client: Int, _ length: Int) -> IPNetwork {
    IPNetwork(of: self.client(client), prefixLength: length)!
  }

  /// Of how many bits an address is.
  var width: Int { family.octetCount * 8 }
  /// The network of all clients.
  var ofClients: IPNetwork { network(of: 0, width - 16) }
}

extension Director {
  /// Puts other lists in force.
  func list(_ lists: ClientLists) throws {
    var next = dataPlane.configuration
    next.lists = lists
    next.lists.isStrict = next.lists.isStrict || dataPlane.configuration.lists.isStrict
    try #require(try !dataPlane.apply(next).isRecompiled)
  }

  /// Whether a client's request is dropped because a list denies the client; else it is sent.
  func denies(_ client: Int) throws -> Bool {
    let request = addresses.request(client: client)
    let outcome = try run(request)
    guard let event = events().last?.event else { throw Failure("no event") }
    switch event {
    case .ingressDenied: #expect(outcome == .drop(request))
    case .ingressNewNAT, .ingressReusedNAT: #expect(outcome.verdict == .send)
    default: Issue.record("client \(client): \(event)")
    }
    return event == .ingressDenied
  }

  private struct Failure: Error {
    let what: String
    init(_ what: String) { self.what = what }
  }
}

@Suite("Lists of clients", .serialized)
struct ListTests {
  // MARK: What they say

  /// The rows of who is denied, in a director whose lists deny client 1.
  static func cases(_ addresses: Addresses) -> [Case] {
    let request = addresses.request(client: 1)
    // What is not sent on for another reason is denied still; what is no datagram for us is not asked for.
    let changes: [(inout Datagram) -> Void] = [
      { _ in }, { $0.lifetime = 1 }, { $0.destinationMAC[0] |= 1 }, { $0.sourcePort = 0 },
    ]
    return changes.map {
      Case(
        name: "denied", event: .ingressDenied, verdict: .drop,
        datagram: Case.changed(request, $0))
    } + [
      Case(
        name: "denied, server-initiated", event: .egressDenied, verdict: .drop,
        datagram: addresses.reply(server: 2, client: 1)),
      Case(
        name: "denied, another port", event: .ingressNotHandledPort, verdict: .pass,
        datagram: addresses.request(client: 1, port: 53)),
      Case(
        name: "denied, to nobody", event: .unhandledTraffic, verdict: .pass,
        datagram: Case.changed(request) { $0.destination = addresses.stranger }),
      Case(
        name: "denied, cut", event: .invalidUDPSize, verdict: .drop,
        datagram: Lengths.contradictory[0].applied(to: request)),
      Case(
        name: "to who is denied, from nobody's server", event: .unhandledTraffic, verdict: .pass,
        datagram: Case.changed(addresses.reply(server: 1, client: 1)) {
          $0.source = addresses.stranger
        }),
      .sent(
        "not denied", .ingressNewNAT, addresses.request(client: 2), to: addresses.server(1)),
      .sent(
        "not denied, server-initiated", .egressNewNAT, addresses.reply(server: 2, client: 3),
        from: addresses.virtualServer),
    ]
  }

  @Test("every row", arguments: AddressFamily.allCases, LogLevel.allCases)
  func rows(family: AddressFamily, level: LogLevel) throws {
    let addresses = Addresses(family: family)
    let director = try Director(
      family, level: level, lists: .init(denied: [addresses.network(of: 1, addresses.width)]))
    for row in Self.cases(addresses) { try director.expect(row) }
    #expect(director.associated(1...3) == [2, 3])
  }

  @Test(
    "the longest prefix decides, deny among equals, else whether there is a list of who is allowed",
    arguments: AddressFamily.allCases)
  func precedence(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let (all, width) = (addresses.ofClients, addresses.width)
    let director = try Director(family, level: .trace, lists: .init(denied: [all]))
    // By the client: 0 and 1 share all bits but the last, 2 and 3 are in the same four.
    let four = addresses.network(of: 0, width - 2)
    let two = addresses.network(of: 0, width - 1)
    let one = addresses.network(of: 0, width)
    let any = IPNetwork(of: .unspecified(family), prefixLength: 0)!
    let other = IPNetwork(
      of: .unspecified(family == .ipv4 ? .ipv6 : .ipv4), prefixLength: 0)!
    let cases: [(ClientLists, Set<Int>)] = [
      (.init(denied: [any]), [0, 1, 2, 3, 4]),
      (.init(denied: [other]), []),
      (.init(denied: [IPNetwork]()), []),
      (.init(denied: [two]), [0, 1]),
      (.init(denied: [one, four]), [0, 1, 2, 3]),
      (.init(denied: [one]), [0]),
    ]
    let others: [(ClientLists, Set<Int>)] = [
      (.init(allowed: [any], denied: [IPNetwork]()), []),
      (.init(allowed: [other], denied: [IPNetwork]()), [0, 1, 2, 3, 4]),
      (.init(allowed: [two], denied: [IPNetwork]()), [2, 3, 4]),
      (.init(allowed: [two], denied: [four]), [2, 3, 4]),
      (.init(allowed: [four], denied: [two]), [0, 1, 4]),
      (.init(allowed: [four], denied: [four]), [0, 1, 2, 3, 4]),
      (.init(allowed: [one, four], denied: [two]), [1, 4]),
      (.init(allowed: [any], denied: [any]), [0, 1, 2, 3, 4]),
      (.init(allowed: [any, one], denied: [one, two, all]), [0, 1, 2, 3, 4]),
    ]
    for (director, cases) in [
      (director, cases), (try Director(family, level: .trace, lists: others[0].0), others),
    ] {
      for (lists, denied) in cases {
        director.buckets.clear()
        try director.list(lists)
        #expect(Set(try (0..<5).filter(director.denies)) == denied, "\(lists)")
      }
    }
  }

  /// The rule written as it reads, against the trie: nested networks, each on one list or both.
  @Test("decides as the rule reads", arguments: AddressFamily.allCases, [false, true])
  func rule(family: AddressFamily, hasAllowed: Bool) throws {
    let addresses = Addresses(family: family)
    var numbers = SeededNumbers(seed: hasAllowed ? 7 : 8)
    func networks() -> [IPNetwork] {
      (0..<Int.random(in: 0...60, using: &numbers)).map { _ in
        addresses.network(
          of: Int.random(in: 0..<512, using: &numbers),
          Int.random(in: addresses.width - 12...addresses.width, using: &numbers))
      }
    }
    let director = try Director(
      family, level: .trace,
      lists: .init(allowed: hasAllowed ? networks() : nil, denied: networks()))
    var count = [false: 0, true: 0]
    for _ in 0..<20 {
      let (allowed, denied) = (hasAllowed ? networks() : nil, networks())
      director.buckets.clear()
      try director.list(.init(allowed: allowed, denied: denied))
      for _ in 0..<100 {
        let client = Int.random(in: 0..<1024, using: &numbers)
        func longest(_ networks: [IPNetwork]) -> Int {
          networks.filter { $0.contains(addresses.client(client)) }.map(\.prefixLength).max() ?? -1
        }
        let expected =
          switch (longest(allowed ?? []), longest(denied)) {
          case (-1, -1): hasAllowed
          case (let allowed, let denied): denied >= allowed
          }
        // Who is known is asked for, too, as it is no resident.
        #expect(try director.denies(client) == expected, "client \(client)")
        count[expected]! += 1
      }
    }
    #expect(count.values.allSatisfy { $0 > 100 }, "\(count)")
  }

  // MARK: Whom they are asked for

  @Test(
    "all but residents", arguments: AddressFamily.allCases, [false, true])
  func classes(family: AddressFamily, isStrict: Bool) throws {
    let addresses = Addresses(family: family)
    let director = try Director(
      family, level: .trace, lists: .init(denied: [IPNetwork](), isStrict: isStrict))
    // 1 a newcomer, 2 a server wrote to, 3 was answered, 4 is a resident.
    try director.admit([1, 3])
    _ = try director.run(addresses.reply(server: 2, client: 2))
    try director.answer(3)
    try director.settle([4])
    #expect(
      (1...4).map { director.state(of: $0) } == [.newcomer, .unheard, .answered, .resident])
    let before = director.entry(of: 4)
    _ = director.events()
    try director.list(.init(denied: [addresses.ofClients]))
    for client in 1...5 {
      #expect(try director.denies(client) == (client != 4 || isStrict), "client \(client)")
    }
    // What is denied makes nobody anything better.
    try director.shiftAnswer(of: 3, by: 3)
    #expect(try director.denies(3))
    #expect(
      (1...4).map { director.state(of: $0) } == [.newcomer, .unheard, .answered, .resident])
    #expect(director.associated(1...5) == [1, 2, 3, 4])
    #expect(director.entry(of: 4) == before)
    // A real server may go on to write to who is known.
    for client in 1...4 { #expect(try director.answer(client) == .send) }

    // A resident whose server leaves is one still.
    let server = try director.number(of: 4)
    try director.dataPlane.apply(addresses.servers(1..<4).filter { $0 != addresses.server(server) })
    _ = director.events()
    #expect(try director.denies(4) == isStrict)
    #expect(try isStrict || director.number(of: 4) != server)
  }

  @Test(
    "who is known, where there are no classes", arguments: AddressFamily.allCases, [false, true])
  func withoutClasses(family: AddressFamily, isStrict: Bool) throws {
    let addresses = Addresses(family: family)
    for (probation, maxAssociations) in [(0, 4096), (1, 7)] as [(Int, UInt32)] {
      let director = try Director(
        family, level: .trace, maxAssociations: maxAssociations, probation: probation,
        lists: .init(denied: [IPNetwork](), isStrict: isStrict))
      try director.admit([1])
      _ = director.events()
      try director.list(.init(denied: [addresses.ofClients]))
      #expect(try director.denies(1) == isStrict)
      #expect(try director.denies(2))
      #expect(director.associated(1...2) == [1])
      // Where it has no server any more, an association is to be made.
      let server = try director.number(of: 1)
      try director.dataPlane.apply(
        addresses.servers(1..<4).filter { $0 != addresses.server(server) })
      _ = director.events()
      #expect(try director.denies(1))
    }
  }

  // MARK: Changes

  /// Each list of a pair denies a client, or allows it, by networks that the other does not have.
  @Test("no packet sees half of a change", arguments: AddressFamily.allCases)
  func oneStep(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let width = addresses.width
    let halves = [
      IPNetwork(of: addresses.client(0), prefixLength: width - 15)!,
      IPNetwork(of: addresses.client(0x8000), prefixLength: width - 15)!,
    ]
    let many = (0..<2_000).map { addresses.network(of: $0, width) }
    let lists: [ClientLists] = [
      .init(allowed: many, denied: [addresses.ofClients]),
      .init(
        allowed: many.map { IPNetwork(of: $0.address, prefixLength: width - 1)! }, denied: halves),
    ]
    let director = try Director(family, lists: lists[0])
    let program = director.dataPlane.program
    let denied = addresses.request(client: 50_000).bytes
    let allowed = addresses.request(client: 1_999).bytes
    let (runs, changes) = (30_000, 40)
    let sent: [Int] = try onCPUs(
      [usableCPUs[0], usableCPUs[usableCPUs.count - 1]],
      [
        {
          for change in 1...changes { try director.list(lists[change % 2]) }
          return 0
        },
        {
          var wrong = 0
          for _ in 0..<runs {
            if try program.testRun(frame: denied).verdict != Verdict.drop.rawValue { wrong += 1 }
            if try program.testRun(frame: allowed).verdict != Verdict.send.rawValue { wrong += 1 }
          }
          return wrong
        },
      ])
    #expect(sent == [0, 0])
  }

  @Test("another program has them", arguments: AddressFamily.allCases)
  func exchange(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let director = try Director(
      family, level: .trace, lists: .init(denied: [addresses.network(of: 9, addresses.width)]))
    try director.list(.init(denied: [addresses.network(of: 1, addresses.width)]))
    var next = director.dataPlane.configuration
    next.liveSettings.logLevel = .info
    try compiling { try #require(try director.dataPlane.apply(next).isRecompiled) }
    func expectDenied() throws {
      _ = director.events()
      #expect(try director.run(addresses.request(client: 1)).verdict == .drop)
      #expect(director.events().map(\.event) == [.ingressDenied])
      #expect(try director.run(addresses.request(client: 9)).verdict == .send)
    }
    try expectDenied()
    try compiling { try director.dataPlane.follow([addresses.identity(of: 77)]) }
    try expectDenied()
    // With a list of who is allowed, packets ask in another way.
    next.lists = .init(
      allowed: [addresses.network(of: 9, addresses.width)], denied: [IPNetwork]())
    try compiling { try #require(try director.dataPlane.apply(next).isRecompiled) }
    try expectDenied()
  }

  /// Where there are none, nothing of them is there.
  @Test("a program without lists has no table of them", arguments: AddressFamily.allCases)
  func absent(family: AddressFamily) throws {
    let without = try Director(family)
    let with = try Director(family, lists: .init(denied: [IPNetwork]()))
    #expect(without.dataPlane.service.loaded.lists == nil)
    let tables = try [without, with].map { try $0.dataPlane.program.info().tableIDs.count }
    #expect(tables[1] == tables[0] + 2)
  }

  // MARK: What the kernel refuses

  /// Tables as the template has them, but with room for ten networks.
  @Test("lists that do not fit leave those in force, and nothing behind")
  func full() throws {
    let module = try compiling {
      let headers = try KernelHeaderTree(.own)
      return try Module(
        source: """
          struct network { __u32 prefix_length, bank, address; };
          BPF_F_TABLE("array", __u32, __u64, list_bank, 1, BPF_F_MMAPABLE);
          BPF_F_TABLE("lpm_trie", struct network, __u32, networks_v4, 10, BPF_F_NO_PREALLOC);
          """, compilerFlags: headers.compilerFlags)
    }
    let tables = try ListTables(of: module, [.ipv4])
    var writer = try ListWriter(tables)
    let bank = try MappedTable<UInt64>(tables.bank)
    func networks(_ numbers: Range<Int>) -> ClientLists {
      .init(denied: numbers.map { IPNetwork("10.0.0.\($0)")! })
    }
    for round in 0..<20 {
      // What is in force has five, so that there is room for five beside.
      try writer.prepare(networks(round..<round + 5))
      writer.commit()
      let inForce = bank[0].pointee
      #expect(throws: BCCError.self) { try writer.prepare(networks(100..<106)) }
      #expect(bank[0].pointee == inForce)
      // What is prepared and withdrawn leaves nothing either.
      try writer.prepare(networks(50..<55))
      writer.withdraw()
      #expect(bank[0].pointee == inForce)
    }
  }
}
