// Each row of the packet table, for each family and each level: the verdict, every byte of the
// frame, the event, or that there is none, and what is counted.
import LoadBalancing
import Testing

/// A frame, and what the packet table says of it.
struct Case {
  /// What the program has understood of the frame, and so what its event tells.
  enum Known: Comparable {
    case nothing, hardwareAddresses, addresses, ports
  }

  let name: String
  let event: Event
  let verdict: Verdict
  let datagram: Datagram
  /// Octets of it that come in; all where nil.
  var size: Int?
  var known = Known.ports
  /// What comes out, where it is not what came in.
  var sent: Datagram?

  var frame: [UInt8] { Array(datagram.bytes.prefix(size ?? .max)) }
  var outcome: Director.Outcome { .init(verdict, sent?.bytes ?? frame) }

  var record: EventRecord {
    let none = IPAddress.unspecified(datagram.destination.family)
    let zero = [UInt8](repeating: 0, count: 6)
    let destinationMAC = known >= .hardwareAddresses ? datagram.destinationMAC : zero
    let sourceMAC = known >= .hardwareAddresses ? datagram.sourceMAC : zero
    return EventRecord(
      event: event, sourceMAC: sourceMAC, destinationMAC: destinationMAC,
      source: known >= .addresses ? datagram.source : none,
      destination: known >= .addresses ? datagram.destination : none,
      sourcePort: known == .ports ? datagram.sourcePort : 0,
      destinationPort: known == .ports ? datagram.destinationPort : 0,
      newSourceMAC: destinationMAC, newDestinationMAC: sourceMAC, newSource: sent?.source ?? none,
      newDestination: sent?.destination ?? none)
  }
}

extension Case {
  /// A datagram that is sent on.
  static func sent(
    _ name: String, _ event: Event, _ datagram: Datagram, from source: IPAddress? = nil,
    to destination: IPAddress? = nil
  ) -> Case {
    Case(
      name: name, event: event, verdict: .send, datagram: datagram,
      sent: datagram.sent(from: source, to: destination))
  }

  /// A change of a datagram on its way.
  static func changed(_ datagram: Datagram, _ change: (inout Datagram) -> Void) -> Datagram {
    var result = datagram
    change(&result)
    return result
  }

  /// All rows but those that need another configuration, in an order in which three real servers
  /// are given to new clients in turn.
  static func all(_ addresses: Addresses) -> [Case] {
    headers(addresses) + (addresses.family == .ipv4 ? ipv4Headers(addresses) : [])
      + traffic(addresses)
      + malformed(addresses)
  }

  /// Where nobody is listed there is nobody to give; what is not for the virtual server is not ours.
  static func withoutServers(_ addresses: Addresses) -> [Case] {
    [1, 77].flatMap { client in
      let request = addresses.request(client: client)
      // Nothing of it would be sent.
      let changes: [(inout Datagram) -> Void] = [
        { _ in }, { $0.lifetime = 1 }, { $0.destinationMAC[0] |= 1 }, { $0.version = 0 },
      ]
      return changes.map {
        Case(
          name: "no real server", event: .ingressCannotCreateAssociation, verdict: .drop,
          datagram: changed(request, $0))
      } + [
        Case(
          name: "no real server, invalid client", event: .invalidClient, verdict: .drop,
          datagram: changed(request) { $0.sourcePort = 0 }),
        Case(
          name: "from a former real server", event: .unhandledTraffic, verdict: .pass,
          datagram: addresses.reply(server: 1, client: client)),
      ]
    }
  }

  /// Nothing behind a whole UDP header is asked for.
  static func withoutVirtualServer(_ addresses: Addresses) -> [Case] {
    let request = addresses.request(client: 1)
    return [
      request, addresses.reply(server: 1, client: 1),
      changed(request) { $0.destination = .unspecified(addresses.family) },
      changed(addresses.request(client: 1, port: 53)) { $0.lifetime = 1 },
      Lengths.contradictory[0].applied(to: request),
    ].map {
      Case(name: "no virtual server", event: .noVirtualServer, verdict: .pass, datagram: $0)
    }
  }

  private static func headers(_ addresses: Addresses) -> [Case] {
    let request = addresses.request(client: 900)
    let ethernet = Datagram.ethernetSize
    let (ip, udp) = (ethernet + request.ipSize, ethernet + request.ipSize + 8)
    let notOurs: Event = addresses.family == .ipv4 ? .notIPv4 : .notIPv6
    let otherFamily: UInt16 = addresses.family == .ipv4 ? 0x86dd : 0x0800

    var cases: [Case] = []
    // ARP, 802.1Q, 802.1ad, a length of 802.3, and the bytes in the wrong order.
    let swapped: UInt16 = addresses.family == .ipv4 ? 0x0008 : 0xdd86
    cases += [otherFamily, 0x0806, 0x8100, 0x88a8, 0x0040, swapped].map { (type: UInt16) in
      Case(
        name: "EtherType \(type)", event: notOurs, verdict: .pass,
        datagram: changed(request) { $0.etherType = type }, known: .hardwareAddresses)
    }
    cases += (ethernet..<ip).map {
      Case(
        name: "IP header, \($0) octets", event: .invalidIPSize, verdict: .drop, datagram: request,
        size: $0, known: .hardwareAddresses)
    }
    // A header that is cut short is not looked into, whatever it says.
    cases.append(
      Case(
        name: "cut short and not UDP", event: .invalidIPSize, verdict: .drop,
        datagram: changed(request) { $0.ipProtocol = 6 }, size: ip - 1, known: .hardwareAddresses))
    // TCP, ICMP, ICMPv6, UDP-Lite; IPv6's extension headers are protocols like these.
    for number in [0, 1, 6, 43, 44, 58, 60, 136, 255] as [UInt8] {
      cases.append(
        Case(
          name: "protocol \(number)", event: .notUDP, verdict: .pass,
          datagram: changed(request) { $0.ipProtocol = number }, known: .addresses))
    }
    cases.append(
      Case(
        name: "not UDP, lifetime 0", event: .notUDP, verdict: .pass,
        datagram: changed(request) { ($0.ipProtocol, $0.lifetime) = (6, 0) }, size: ip,
        known: .addresses))
    for datagram in [request, addresses.reply(server: 1, client: 900)] {
      cases.append(
        Case(
          name: "lifetime 0", event: .lifetimeExpired, verdict: .drop,
          datagram: changed(datagram) { $0.lifetime = 0 }, known: .addresses))
    }
    cases.append(
      Case(
        name: "lifetime 0, UDP cut short", event: .lifetimeExpired, verdict: .drop,
        datagram: changed(request) { $0.lifetime = 0 }, size: ip, known: .addresses))
    cases += (ip..<udp).map {
      Case(
        name: "UDP header, \($0) octets", event: .invalidUDPSize, verdict: .drop,
        datagram: request, size: $0, known: .addresses)
    }
    return cases
  }

  private static func ipv4Headers(_ addresses: Addresses) -> [Case] {
    let request = addresses.request(client: 901)
    let udp = Datagram.ethernetSize + request.ipSize + 8
    var cases = (0..<5).map { (words: UInt8) in
      Case(
        name: "header of \(words) words", event: .tooSmallIPHeader, verdict: .drop,
        datagram: changed(request) { $0.headerWords = words }, known: .addresses)
    }
    cases.append(
      Case(
        name: "header of 4 words, not UDP", event: .tooSmallIPHeader, verdict: .drop,
        datagram: changed(request) { ($0.headerWords, $0.ipProtocol) = (4, 6) }, known: .addresses))
    for words in 1...10 {
      cases.append(
        Case(
          name: "\(words) words of options", event: .tooBigIPHeader, verdict: .pass,
          datagram: changed(request) { $0.options = [UInt8](repeating: 1, count: 4 * words) },
          known: .addresses))
    }
    cases.append(
      Case(
        name: "options, not UDP", event: .notUDP, verdict: .pass,
        datagram: changed(request) { ($0.options, $0.ipProtocol) = ([1, 1, 1, 1], 1) },
        known: .addresses))
    cases.append(
      Case(
        name: "options, a fragment", event: .tooBigIPHeader, verdict: .pass,
        datagram: changed(request) { ($0.options, $0.fragment) = ([1, 1, 1, 1], 0x2000) },
        known: .addresses))
    // More fragments; the lowest and the highest offset; both; with "don't fragment".
    for fragment in [0x2000, 0x0001, 0x1000, 0x1fff, 0x3fff, 0x6000, 0x4001] as [UInt16] {
      cases.append(
        Case(
          name: "fragment \(fragment)", event: .fragmentedIPPacket, verdict: .pass,
          datagram: changed(request) { $0.fragment = fragment }, known: .addresses))
    }
    cases.append(
      Case(
        name: "fragment, lifetime 0, cut short", event: .fragmentedIPPacket, verdict: .pass,
        datagram: changed(request) { ($0.fragment, $0.lifetime) = (0x2000, 0) }, size: udp - 1,
        known: .addresses))
    return cases
  }

  private static func traffic(_ addresses: Addresses) -> [Case] {
    let (virtual, one, two) = (addresses.virtualServer, addresses.server(1), addresses.server(2))
    let three = addresses.server(3)
    let unbalanced: UInt16 = 53
    let longPayload = [UInt8](repeating: 0xa5, count: 1400)
    var cases: [Case] = []

    // Ingress.
    cases.append(
      Case(
        name: "port not balanced", event: .ingressNotHandledPort, verdict: .pass,
        datagram: addresses.request(client: 1, port: unbalanced)))
    // From a balanced port to one that is not.
    cases.append(
      Case(
        name: "only the source port balanced", event: .ingressNotHandledPort, verdict: .pass,
        datagram: addresses.request(client: 1, port: unbalanced, clientPort: Addresses.ports[0])))
    cases.append(
      Case(
        name: "new client, lifetime 1", event: .lifetimeExpired, verdict: .drop,
        datagram: addresses.request(client: 1, lifetime: 1)))
    cases.append(
      Case(
        name: "port not balanced, lifetime 1", event: .ingressNotHandledPort, verdict: .pass,
        datagram: addresses.request(client: 1, port: unbalanced, lifetime: 1)))
    cases.append(.sent("first client", .ingressNewNAT, addresses.request(client: 1), to: one))
    cases.append(.sent("known client", .ingressReusedNAT, addresses.request(client: 1), to: one))
    cases.append(
      .sent(
        "other port", .ingressReusedNAT, addresses.request(client: 1, port: Addresses.ports[1]),
        to: one
      ))
    cases.append(
      Case(
        name: "known client, lifetime 1", event: .lifetimeExpired, verdict: .drop,
        datagram: addresses.request(client: 1, lifetime: 1)))
    cases.append(
      .sent(
        "lifetime 2", .ingressNewNAT, addresses.request(client: 2, lifetime: 2), to: two))
    cases.append(
      .sent(
        "lifetime 255", .ingressReusedNAT, addresses.request(client: 2, lifetime: 255), to: two))
    cases.append(
      .sent(
        "another port of the same client", .ingressNewNAT,
        addresses.request(client: 1, clientPort: 40001), to: three))
    cases.append(
      .sent(
        "odd payload", .ingressNewNAT,
        changed(addresses.request(client: 3)) { $0.payload = [1, 2, 3] }, to: one))
    cases.append(
      .sent(
        "no payload", .ingressReusedNAT, changed(addresses.request(client: 3)) { $0.payload = [] },
        to: one))
    cases.append(
      .sent(
        "long payload", .ingressReusedNAT,
        changed(addresses.request(client: 3)) { $0.payload = longPayload }, to: one))
    if addresses.family == .ipv4 {
      cases.append(
        .sent(
          "don't fragment, and the reserved bit", .ingressReusedNAT,
          changed(addresses.request(client: 3)) { $0.fragment = 0xc000 }, to: one))
    }

    // Egress.
    cases.append(
      Case(
        name: "source port not balanced", event: .egressNotHandledPort, verdict: .pass,
        datagram: addresses.reply(server: 1, client: 1, port: unbalanced)))
    cases.append(
      Case(
        name: "only the destination port balanced", event: .egressNotHandledPort, verdict: .pass,
        datagram: addresses.reply(server: 1, client: 1, port: unbalanced, clientPort: 5683)))
    cases.append(
      Case(
        name: "source port not balanced, lifetime 1", event: .egressNotHandledPort, verdict: .pass,
        datagram: addresses.reply(server: 1, client: 1, port: unbalanced, lifetime: 1)))
    cases.append(
      .sent(
        "reply", .egressReusedNAT, addresses.reply(server: 1, client: 1), from: virtual))
    cases.append(
      .sent(
        "reply, lifetime 2", .egressReusedNAT, addresses.reply(server: 1, client: 1, lifetime: 2),
        from: virtual))
    cases.append(
      .sent(
        "reply, lifetime 255", .egressReusedNAT,
        addresses.reply(server: 1, client: 1, lifetime: 255), from: virtual))
    cases.append(
      Case(
        name: "reply, lifetime 1", event: .lifetimeExpired, verdict: .drop,
        datagram: addresses.reply(server: 1, client: 1, lifetime: 1)))
    cases.append(
      Case(
        name: "another's client", event: .egressNotAuthorized, verdict: .drop,
        datagram: addresses.reply(server: 2, client: 1)))
    cases.append(
      Case(
        name: "server-initiated, lifetime 1", event: .lifetimeExpired, verdict: .drop,
        datagram: addresses.reply(server: 3, client: 4, lifetime: 1)))
    cases.append(
      .sent(
        "server-initiated", .egressNewNAT, addresses.reply(server: 3, client: 4), from: virtual))
    cases.append(
      .sent(
        "server-initiated, once more", .egressReusedNAT, addresses.reply(server: 3, client: 4),
        from: virtual))
    cases.append(
      .sent(
        "server-initiated, the answer", .ingressReusedNAT, addresses.request(client: 4), to: three))
    cases.append(
      Case(
        name: "server-initiated, another server", event: .egressNotAuthorized, verdict: .drop,
        datagram: addresses.reply(server: 1, client: 4)))
    // A server-initiated association takes no turn.
    cases.append(.sent("the next client", .ingressNewNAT, addresses.request(client: 5), to: two))

    // Anything else, also with a lifetime that would not let it be forwarded.
    for (name, port) in [("balanced", Addresses.ports[0]), ("not balanced", unbalanced)] {
      for lifetime in [1, 64] as [UInt8] {
        cases.append(
          Case(
            name: "to nobody of ours, \(name), lifetime \(lifetime)", event: .unhandledTraffic,
            verdict: .pass,
            datagram: changed(addresses.request(client: 1, port: port, lifetime: lifetime)) {
              $0.destination = addresses.stranger
            }))
        cases.append(
          Case(
            name: "from nobody of ours, \(name), lifetime \(lifetime)", event: .unhandledTraffic,
            verdict: .pass,
            datagram: changed(
              addresses.reply(server: 1, client: 1, port: port, lifetime: lifetime)
            ) { $0.source = addresses.stranger }))
      }
    }
    // Straight from a client to a real server.
    cases.append(
      Case(
        name: "to a real server", event: .unhandledTraffic, verdict: .pass,
        datagram: changed(addresses.request(client: 1)) { $0.destination = one }))

    // Computed checksums of 0, which must not become "none": of what goes out, and of what comes in.
    for server in [one, two, three] {
      let client = server == one ? 1 : server == two ? 2 : 4
      let number = server == one ? 1 : server == two ? 2 : 3
      let request = addresses.request(client: client)
      let reply = addresses.reply(server: number, client: client)
      let zeroAfterIngress = request.sent(to: server).withChecksumOfZero.payload
      let zeroAfterEgress = reply.sent(from: virtual).withChecksumOfZero.payload
      cases += [
        .sent(
          "checksum of 0 goes out", .ingressReusedNAT,
          changed(request) { $0.payload = zeroAfterIngress }, to: server),
        .sent(
          "checksum of 0 goes out", .egressReusedNAT,
          changed(reply) { $0.payload = zeroAfterEgress }, from: virtual),
        .sent(
          "checksum of 0 comes in", .ingressReusedNAT, request.withChecksumOfZero, to: server),
        .sent(
          "checksum of 0 comes in", .egressReusedNAT, reply.withChecksumOfZero, from: virtual),
      ]
    }
    return cases
  }
}

extension Director {
  /// An event as the program tells it: with the virtual server, as soon as a frame is known to be its.
  func labelled(_ record: EventRecord) -> EventRecord {
    let server = dataPlane.configuration.virtualServers[0]
    var result = record
    let isToIt =
      record.destination == server.address && server.ports.contains(record.destinationPort)
    let isOfItsServer =
      record.destination != server.address && server.ports.contains(record.sourcePort)
      && server.realServers.contains { $0.address == record.source }
    if !server.address.isUnspecified, isToIt || isOfItsServer {
      result.virtualServer = server.label
    }
    return result
  }

  /// Runs a case's frame, and compares all there is.
  func expect(_ row: Case) throws {
    var counts = dataPlane.snapshot().eventCounts()
    #expect(try run(row.frame) == row.outcome, "\(row.name)")
    counts[row.event]?.packets += 1
    counts[row.event]?.bytes += UInt64(row.frame.count)
    #expect(dataPlane.snapshot().eventCounts() == counts, "\(row.name)")
    #expect(row.event.verdict.rawValue == "\(row.verdict)")
    let isCompiledIn = row.event.level >= level
    #expect(events() == (isCompiledIn ? [labelled(row.record)] : []), "\(row.name)")
  }
}

@Suite("Packet table", .serialized)
struct RowTests {
  @Test("every row", arguments: AddressFamily.allCases, LogLevel.allCases)
  func rows(family: AddressFamily, level: LogLevel) throws {
    let director = try Director(family, level: level)
    for row in Case.all(director.addresses) { try director.expect(row) }

    try director.dataPlane.apply([])
    for row in Case.withoutServers(director.addresses) { try director.expect(row) }
    #expect(director.dataPlane.lostEvents() == 0)
  }

  /// Nothing behind a whole UDP header is asked for, and what stands before it still is.
  @Test("no virtual server", arguments: AddressFamily.allCases, LogLevel.allCases)
  func noVirtualServer(family: AddressFamily, level: LogLevel) throws {
    let director = try Director(family, level: level, virtualServer: .unspecified(family))
    let addresses = director.addresses
    for row in Case.withoutVirtualServer(addresses) { try director.expect(row) }
    for row in Case.all(addresses) where row.known < .ports { try director.expect(row) }
  }

  /// An event that nobody has thought of a case for is a row that nobody has tested.
  @Test("every event has a case")
  func everyEvent() {
    let families = AddressFamily.allCases.map { Addresses(family: $0) }
    let kinds: [(Addresses) -> [Case]] = [
      Case.all, Case.withoutServers, Case.withoutVirtualServer, EthernetSizeTests.cases,
      RefusedInsertTests.cases, ListTests.cases, GatewayTests.cases,
    ]
    let cases = families.flatMap { family in kinds.flatMap { $0(family) } }
    #expect(Set(cases.map(\.event)) == Set(Event.allCases))
  }

  /// The test's own reference, against checksums that RFC 1071 and packet captures give.
  @Test func referenceChecksums() {
    #expect(internetSum([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]) == 0xddf2)
    #expect(internetSum([1]) == 0x0100)
    let header: [UInt8] = [
      0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 0x01, 0xc0, 0xa8, 0,
      0xc7,
    ]
    #expect(internetSum(header) == 0xffff)
    for family in AddressFamily.allCases {
      let request = Addresses(family: family).request(client: 1)
      #expect(request.withChecksumOfZero.udpChecksum == 0xffff)
      #expect(request.udpChecksum != 0xffff)
    }
  }
}
