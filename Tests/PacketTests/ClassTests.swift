// Newcomers, answered clients and residents: who becomes what, and who is forgotten for whom.
import BCC
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

extension Director {
  /// What a client's stamp says of it.
  func state(of client: Int) -> Buckets.Entry.State? { association(of: client)?.state }

  /// Where a client's association stands, looked for in its two buckets alone.
  func association(of client: Int) -> Buckets.Entry? {
    let (first, second, _) = bucketsAndTag(of: client)
    return (buckets.entries(of: first) + buckets.entries(of: second)).first {
      $0.client == addresses.identity(of: client)
    }
  }

  /// A real server's answer to a client.
  @discardableResult
  func answer(_ client: Int, payload: [UInt8] = Array("an answer".utf8)) throws -> Verdict? {
    var reply = addresses.reply(server: try number(of: client), client: client)
    reply.payload = payload
    return try run(reply).verdict
  }

  /// The number of the real server that a client is with.
  func number(of client: Int) throws -> Int {
    let slot = try #require(association(of: client)?.slot)
    let address = try #require(dataPlane.slots[Int(slot)]?.member.address)
    return try #require((0..<200).first { addresses.server($0) == address })
  }

  /// Has a client have been answered so many half seconds earlier: what else a test would wait for.
  func shiftAnswer(of client: Int, by halfSeconds: Int) throws {
    let entry = try #require(association(of: client))
    try #require(entry.state == .answered)
    buckets[stampAt: entry.place] =
      entry.stamp & 0xc0 | (entry.stamp &- UInt8(truncatingIfNeeded: halfSeconds)) & 0x3f
  }

  /// Makes clients residents, as packets do.
  func settle(_ clients: some Sequence<Int>) throws {
    for client in clients {
      try admit([client])
      try answer(client)
      try shiftAnswer(of: client, by: 3)
      try admit([client])
      try #require(state(of: client) == .resident)
    }
  }

  /// The real server that a client is given by its hash.
  func hashed(_ client: Int) -> IPAddress {
    let servers = dataPlane.configuration.virtualServers[0].realServers
    return servers[Maglev.table(of: servers)[Maglev.entry(of: addresses.identity(of: client))]]
      .address
  }

  /// As many residents as are counted.
  func expectCounted() {
    #expect(buckets.residents == buckets.entries.count { $0.state == .resident })
  }
}

@Suite("Classes of clients", .serialized)
struct ClassTests {
  // MARK: Who becomes what

  @Test(
    "a client that was answered and sends again is a resident", arguments: AddressFamily.allCases)
  func promotion(family: AddressFamily) throws {
    let director = try Director(family)
    for _ in 0..<3 {
      try director.admit([1])
      #expect(director.state(of: 1) == .newcomer)
    }
    #expect(try director.answer(1) == .send)
    #expect(director.state(of: 1) == .answered)
    // In the second after the answer it may send what it likes.
    for halfSeconds in 0..<3 {
      for _ in 0..<3 {
        try director.admit([1])
        try director.answer(1)
      }
      #expect(director.state(of: 1) == .answered, "\(halfSeconds)")
      try director.shiftAnswer(of: 1, by: 1)
    }
    try director.answer(1)
    #expect(director.state(of: 1) == .answered)
    #expect(director.buckets.residents == 0)
    try director.admit([1])
    #expect(director.state(of: 1) == .resident)
    director.expectCounted()
    let before = director.buckets.octets
    for _ in 0..<5 {
      try director.admit([1])
      try director.answer(1)
    }
    #expect(director.buckets.octets == before)
  }

  /// They are told from all others before it is asked who wrote.
  @Test("a resident's own server writes to it, until it leaves", arguments: AddressFamily.allCases)
  func serverOfResident(family: AddressFamily) throws {
    let director = try Director(family, level: .trace)
    let addresses = director.addresses
    try director.settle([1])
    let own = try director.number(of: 1)
    let other = own % 3 + 1
    _ = director.events()
    let (reply, strange) = (
      addresses.reply(server: own, client: 1), addresses.reply(server: other, client: 1)
    )
    try director.expect(
      .sent("its own", .egressReusedNAT, reply, from: addresses.virtualServer))
    try director.expect(
      Case(name: "another", event: .egressNotAuthorized, verdict: .drop, datagram: strange))
    #expect(director.state(of: 1) == .resident)
    try director.dataPlane.apply([addresses.server(other)])
    try director.expect(
      Case(name: "one that left", event: .unhandledTraffic, verdict: .pass, datagram: reply))
    try director.expect(
      .sent("its next", .ingressNewNAT, addresses.request(client: 1), to: addresses.server(other)))
    try director.expect(
      .sent("it answers", .egressReusedNAT, strange, from: addresses.virtualServer))
  }

  @Test("who a real server wrote to first has to send before it is answered")
  func unheard() throws {
    let director = try Director(.ipv4)
    for _ in 0..<3 {
      #expect(try director.run(director.addresses.reply(server: 2, client: 1)).verdict == .send)
      #expect(director.state(of: 1) == .unheard)
    }
    #expect(try director.server(of: 1) == director.addresses.server(2))
    #expect(director.state(of: 1) == .newcomer)
    try director.answer(1)
    #expect(director.state(of: 1) == .answered)
  }

  @Test("probation is as long as was asked for", arguments: [1, 4, 15])
  func probation(seconds: Int) throws {
    let director = try Director(.ipv4, probation: seconds)
    try director.admit([1])
    try director.answer(1)
    // The half second of the answer may just be over.
    try director.shiftAnswer(of: 1, by: 2 * seconds - 1)
    try director.admit([1])
    #expect(director.state(of: 1) == .answered)
    try director.shiftAnswer(of: 1, by: 2)
    try director.admit([1])
    #expect(director.state(of: 1) == .resident)
  }

  /// Half seconds come round after 32 s: a day later any of them may be the present one.
  @Test("who sends first a day after its answer is a resident with one of its packets")
  func wrap() throws {
    let director = try Director(.ipv4)
    for halfSeconds in 0..<64 {
      try director.admit([halfSeconds])
      try director.answer(halfSeconds)
      try director.shiftAnswer(of: halfSeconds, by: 172_800 + halfSeconds)
      try director.admit([halfSeconds])
      // In the second after such a round it has to wait for that.
      let waits = (0...2).contains(halfSeconds) || halfSeconds == 63
      if director.state(of: halfSeconds) == .answered {
        #expect(waits, "\(halfSeconds)")
        try director.shiftAnswer(of: halfSeconds, by: 4)
        try director.admit([halfSeconds])
      }
      #expect(director.state(of: halfSeconds) == .resident)
    }
  }

  @Test(
    "a request for proof vouches for nobody, all else does", arguments: AddressFamily.allCases)
  func requestForProof(family: AddressFamily) throws {
    let director = try Director(family)
    for (index, (name, payload, isRequest)) in Self.proofs.enumerated() {
      let clients = (2 * index, 2 * index + 1)
      try director.admit([clients.0, clients.1])
      #expect(try director.answer(clients.0, payload: payload) == .send)
      #expect(director.state(of: clients.0) == (isRequest ? .newcomer : .answered), "\(name)")
      // Behind the datagram's end nothing counts.
      let server = try director.number(of: clients.1)
      var reply = director.addresses.reply(server: server, client: clients.1)
      reply.payload = payload
      reply.padding = [UInt8](repeating: 0, count: 30)
      #expect(try director.run(reply).verdict == .send)
      #expect(director.state(of: clients.1) == (isRequest ? .newcomer : .answered), "\(name)")
      // What it asked for comes later.
      try director.answer(clients.0)
      #expect(director.state(of: clients.0) == .answered, "\(name)")
    }
  }

  // MARK: Who is forgotten

  /// Clients that share both buckets with each other, as a table of two has no others.
  private static func small(
    _ family: AddressFamily, probation: Int = 1
  ) throws -> Director {
    try Director(family, maxAssociations: 8, probation: probation)
  }

  @Test("newcomers go first, then who was answered longest ago", arguments: AddressFamily.allCases)
  func order(family: AddressFamily) throws {
    let director = try Self.small(family)
    try director.settle(0..<4)
    for client in 4..<8 {
      try director.admit([client])
      try director.answer(client)
      try director.shiftAnswer(of: client, by: 20 - client)
    }
    try director.admit(8..<14)
    #expect(director.associated(0..<14) == Set(0..<14))
    // A thousand newcomers push out newcomers alone.
    try director.admit(100..<1100)
    #expect(director.associated(0..<8) == Set(0..<8))
    let newcomers = director.associated(100..<1100)
    #expect(newcomers.count == 6)
    // As soon as all of them are answered, those go who were so before.
    for client in newcomers { try director.answer(client) }
    let forgotten = (4..<8).map { client in
      try! director.admit([2000 + client])
      return director.associated(4..<8).count
    }
    #expect(forgotten == [3, 3, 3, 3])
    #expect(director.associated(0..<4) == Set(0..<4))
    #expect(director.associated([4]) == [])
    director.expectCounted()
    let counts = director.dataPlane.snapshot().associationCounts(of: family)
    #expect(counts.forgottenAnswered == 1 && counts.forgottenResidents == 0)
  }

  @Test("where all are residents a new client is served without a place, by one server")
  func withoutPlace() throws {
    for family in AddressFamily.allCases {
      let director = try Self.small(family)
      // More residents than may be: as a former table may have left them.
      for entry in 0..<14 { try director.admit([entry]) }
      for entry in director.buckets.entries { director.buckets[stampAt: entry.place] = 0x80 }
      for client in 100..<130 {
        let servers = Set(try (0..<6).map { _ in try director.server(of: client) })
        #expect(servers.count == 1 && !servers.contains(nil))
        #expect(servers.first == director.hashed(client))
        #expect(director.entry(of: client) == nil)
      }
      let counts = director.dataPlane.snapshot().associationCounts(of: family)
      #expect(counts.withoutPlace == 180 && counts.forgottenNewcomers == 0)
      // A real server may write first.
      #expect(
        try director.run(director.addresses.reply(server: 2, client: 200)).verdict == .send)
      #expect(director.entry(of: 200) == nil)
    }
  }

  @Test(
    "there are as many residents as the table is for: the least recently used is demoted",
    arguments: AddressFamily.allCases)
  func mostResidents(family: AddressFamily) throws {
    let director = try Self.small(family)
    try director.settle(0..<8)
    director.expectCounted()
    #expect(director.buckets.residents == 8)
    // All but one are in use.
    director.buckets.promotionEpoch += 3
    try director.admit((0..<8).filter { $0 != 5 })
    try director.settle([8])
    #expect(director.buckets.residents == 8)
    #expect(director.state(of: 5) == .newcomer)
    #expect(director.associated(0..<9) == Set(0..<9))
    director.expectCounted()
    try director.settle(20..<120)
    #expect(director.buckets.residents == 8)
    director.expectCounted()
  }

  @Test("a flood costs no resident its association", arguments: AddressFamily.allCases, [1, 3])
  func flood(family: AddressFamily, packets: Int) throws {
    let capacity = 2048
    let director = try Director(family, maxAssociations: UInt32(capacity))
    let residents = 0..<capacity * 95 / 100
    try director.settle(residents)
    let servers = try director.servers(of: residents)
    for client in 10_000..<10_000 + 10 * capacity {
      for _ in 0..<packets { try director.admit([client]) }
    }
    #expect(director.associated(residents) == Set(residents))
    #expect(try director.servers(of: residents) == servers)
    // Nor does one that is answered, but for what vouches.
    for client in 60_000..<60_000 + 2 * capacity {
      try director.admit([client])
      if director.association(of: client) != nil {
        try director.answer(client, payload: Self.helloVerifyRequest)
      }
    }
    #expect(director.associated(residents) == Set(residents))
    director.expectCounted()
  }

  @Test("a promotion epoch is a sixteenth of max_associations, and holds who is older")
  func promotionEpochs() throws {
    let director = try Director(.ipv4, maxAssociations: 64)
    try director.settle([0])
    // As many promotions as make sixty-four epochs and more.
    for client in 1..<64 * 4 + 40 { try director.settle([client]) }
    #expect(director.buckets.promotionEpoch == UInt64((64 * 4 + 40) / 4))
    #expect(director.buckets.residents == 64)
    for entry in director.buckets.entries where entry.state == .resident {
      #expect(director.buckets.age(entry) <= 40)
    }
    director.expectCounted()
  }

  // MARK: Pressure

  @Test("under pressure a client that comes again is given the same real server")
  func pressure() throws {
    for family in AddressFamily.allCases {
      let director = try Director(family, maxAssociations: 512)
      #expect(director.buckets.pressedAt == 0)
      try director.admit(1000..<1600)
      // There was room, or nobody had to go early.
      let before = director.dataPlane.snapshot().isUnderPressure(family)
      try director.admit(2000..<6000)
      #expect(!before || director.buckets.pressedAt > 0)
      #expect(director.dataPlane.snapshot().isUnderPressure(family))
      for client in 7000..<7100 {
        // As if one had just had to go: on a busy machine none may have, for two seconds.
        director.buckets.pressedAt = Buckets.nanoseconds
        #expect(try director.server(of: client) == director.hashed(client))
      }
      // Two seconds after the last that had to go there is none. That one had to go is told by
      // whichever packet ends a batch of its CPU's, which may be one of these.
      let turns = try (8000..<8030).map { client in
        director.buckets.pressedAt = Buckets.nanoseconds - 2_500_000_000
        #expect(!director.dataPlane.snapshot().isUnderPressure(family))
        return try director.server(of: client)
      }
      #expect((0..<10).allSatisfy { Set(turns[3 * $0..<3 * $0 + 3]).count == 3 })
    }
  }

  @Test("without classes there is neither pressure nor a resident")
  func withoutClasses() throws {
    let director = try Director(.ipv4, maxAssociations: 512, probation: 0)
    try director.admit(0..<100)
    for client in 0..<100 { try director.answer(client) }
    try director.admit(1000..<5000)
    #expect(director.associated(0..<100) == [])
    #expect(director.buckets.residents == 0 && director.buckets.pressedAt == 0)
  }
}

extension ClassTests {
  private static func handshake(_ type: UInt8, offset: UInt8 = 0, _ body: [UInt8]) -> [UInt8] {
    let length = UInt8(body.count)
    return [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, length + 12]
      + [type, 0, 0, length, 0, 0, 0, 0, offset, 0, 0, length] + body
  }

  fileprivate static let helloVerifyRequest = handshake(3, [254, 255, 8, 1, 2, 3, 4, 5, 6, 7, 8])

  /// RFC 8446, 4.1.3.
  private static let retry: [UInt8] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
  ]

  private static func serverHello(_ random: [UInt8]) -> [UInt8] {
    handshake(2, [254, 253] + random + [0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 254, 252])
  }

  /// A CoAP message (RFC 7252, 3).
  private static func coap(
    _ code: UInt8, token: [UInt8] = [1, 2, 3, 4], _ options: [[UInt8]], payload: [UInt8] = []
  ) -> [UInt8] {
    [0x60 | UInt8(token.count), code, 0x12, 0x34] + token + options.joined()
      + (payload.isEmpty ? [] : [0xff] + payload)
  }

  private static let unauthorized: UInt8 = 0x81
  /// Echo as the first option: 252 is 13 and 239.
  private static let echo: [UInt8] = [0xd8, 239, 1, 2, 3, 4, 5, 6, 7, 8]
  /// Content-Format 0, and Echo behind it: 12 and 240 more.
  private static let contentFormat: [UInt8] = [0xc0]
  private static let echoBehind: [UInt8] = [0xd8, 227, 1, 2, 3, 4, 5, 6, 7, 8]

  /// What a real server says, and whether it asks for proof.
  static let proofs: [(name: String, payload: [UInt8], isRequest: Bool)] = [
    ("HelloVerifyRequest", helloVerifyRequest, true),
    ("HelloVerifyRequest cut short", Array(helloVerifyRequest.prefix(24)), false),
    ("HelloRetryRequest", serverHello(retry), true),
    ("HelloRetryRequest cut in its random", Array(serverHello(retry).prefix(58)), false),
    ("ServerHello", serverHello(Array(retry.dropLast()) + [0x9d]), false),
    ("ServerHello with another first octet", serverHello([0xce] + retry.dropFirst()), false),
    ("a later fragment of a ServerHello", handshake(2, offset: 60, [1, 2, 3]), true),
    ("Certificate", handshake(11, [UInt8](repeating: 7, count: 60)), false),
    ("a record of another type", [23] + helloVerifyRequest.dropFirst(), false),
    ("CoAP 4.01 with Echo", coap(unauthorized, [echo]), true),
    ("CoAP 4.01 without a token", coap(unauthorized, token: [], [echo]), true),
    ("CoAP 4.01, Echo behind another", coap(unauthorized, [contentFormat, echoBehind]), true),
    ("CoAP 4.01 with Echo and a payload", coap(unauthorized, [echo], payload: [1, 2, 3]), true),
    (
      "CoAP 4.01, a long option in front of Echo",
      coap(
        unauthorized,
        [[0x4d, 100] + [UInt8](repeating: 9, count: 113), [0xd1, 235, 7]]), true
    ),
    (
      "CoAP 4.01 with a short Echo at its end",
      coap(unauthorized, [[0xd1, 239, 7]]), true
    ),
    ("CoAP 4.01 without Echo", coap(unauthorized, [contentFormat]), false),
    ("CoAP 4.01 without options", coap(unauthorized, []), false),
    ("CoAP 4.01 with a payload alone", coap(unauthorized, [], payload: [1, 2, 3]), false),
    ("CoAP 4.01, an option behind Echo's number", coap(unauthorized, [[0xd1, 240, 7]]), false),
    ("CoAP 2.05 with Echo", coap(0x45, [echo]), false),
    ("CoAP 4.01 whose option is cut short", coap(unauthorized, [[0x48, 1, 2]]), true),
    (
      "CoAP 4.01 with an extended token",
      [0x6d, 0x81, 0x12, 0x34, 7] + [UInt8](repeating: 5, count: 20) + echo, true
    ),
    (
      "CoAP 4.01 with more options than are looked through",
      coap(unauthorized, [[UInt8]](repeating: [0x10], count: 9)), true
    ),
    ("another version of CoAP", [0xa0, 0x81, 0x12, 0x34] + echo, false),
    ("nothing", [], false),
    ("an octet", [22], false),
  ]
}
