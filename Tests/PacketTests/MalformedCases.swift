// The cases of the packet table that are about malformed packets: lengths, clients that cannot be
// answered, frames to groups, checksums that are none or wrong. None of them leaves a trace.
import LoadBalancing

/// What the length fields of a datagram say.
struct Lengths {
  /// Of the IP payload, whatever the family's header counts.
  var payload: Int
  /// Of the UDP datagram.
  var udp: Int
  /// How many octets stand behind what is sent.
  var padding = 0

  func applied(to datagram: Datagram) -> Datagram {
    var result = datagram
    let header = datagram.destination.family == .ipv4 ? datagram.ipSize : 0
    result.ipLength = UInt16(clamping: header + payload)
    result.udpLength = UInt16(udp)
    result.padding = [UInt8](repeating: 0xee, count: padding)
    return result
  }

  /// Octets of UDP in a datagram of the tests.
  static let all = 8 + 10

  static let valid = [
    Lengths(payload: all, udp: all, padding: 1), Lengths(payload: all, udp: all, padding: 18),
    Lengths(payload: all, udp: all - 1), Lengths(payload: all, udp: 8),
    Lengths(payload: all - 1, udp: all - 1), Lengths(payload: 8, udp: 8),
    Lengths(payload: all + 3, udp: all, padding: 3), Lengths(payload: all + 3, udp: 8, padding: 4),
  ]

  static let contradictory = [
    // The IP packet is longer than the frame, …
    Lengths(payload: all + 1, udp: all), Lengths(payload: all + 4, udp: all, padding: 3),
    Lengths(payload: 0x100 + all, udp: all), Lengths(payload: 0xffff, udp: all),
    // … or too short for a UDP header, …
    Lengths(payload: 7, udp: 7), Lengths(payload: 7, udp: 8), Lengths(payload: 0, udp: 0),
    Lengths(payload: 0, udp: 8), Lengths(payload: -20, udp: 8), Lengths(payload: -1, udp: 0xffff),
    // … or the UDP datagram, also where the frame has the octets.
    Lengths(payload: all, udp: 7), Lengths(payload: all, udp: 0), Lengths(payload: 8, udp: 7),
    Lengths(payload: all, udp: all + 1), Lengths(payload: all, udp: all + 1, padding: 1),
    Lengths(payload: 8, udp: 9), Lengths(payload: all, udp: 0xffff),
    Lengths(payload: all, udp: 0x800 + all, padding: 1000),
  ]
}

/// Addresses of clients.
enum ClientAddress {
  static func unanswerable(_ addresses: Addresses) -> [IPAddress] {
    let texts =
      addresses.family == .ipv4
      ? [
        "0.0.0.0", "127.0.0.0", "127.0.0.1", "127.255.255.255", "224.0.0.0", "224.0.0.251",
        "239.255.255.255", "255.255.255.255",
      ]
      : [
        "::", "::1", "ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe80::",
        "fe80::1", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:0:0", "::ffff:a32:2",
        "::ffff:ffff:ffff",
      ]
    return texts.compactMap { IPAddress($0) }
  }

  /// The nearest to those that are not, and to the virtual server.
  static func answerable(_ addresses: Addresses) -> [IPAddress] {
    let texts =
      addresses.family == .ipv4
      ? [
        "0.0.0.1", "126.255.255.255", "128.0.0.0", "223.255.255.255", "240.0.0.0",
        "255.255.255.254",
      ]
      : [
        "::2", "::1:0:0", "::1:0:0:1", "1::", "1::1", "0:1::1", "0:0:1::1", "0:0:0:1::1",
        "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "fec0::", "::fffe:ffff:ffff", "0:0:0:0:1:ffff:a32:2", "0:0:0:1:0:ffff:a32:2",
        "0:0:1::ffff:a32:2", "0:1::ffff:a32:2", "1::ffff:a32:2",
      ]
    return texts.compactMap { IPAddress($0) }
      + neighbours(of: addresses.virtualServer)
  }

  /// Those that differ from it in one bit.
  static func neighbours(of address: IPAddress) -> [IPAddress] {
    (0..<8 * address.octets.count).map { bit in
      var octets = address.octets
      octets[bit / 8] ^= 1 << (bit % 8)
      return IPAddress(octets: octets)
    }
  }
}

extension Case {
  /// After ``traffic(_:)``, whose clients these know.
  static func malformed(_ addresses: Addresses) -> [Case] {
    lengths(addresses) + clients(addresses) + groups(addresses) + checksums(addresses) + [
      // Nobody has taken a turn since client 5 was given the second.
      .sent(
        "the next client", .ingressNewNAT, addresses.request(client: 6), to: addresses.server(3))
    ]
  }

  private static func lengths(_ addresses: Addresses) -> [Case] {
    var dropped: [(name: String, datagram: Datagram)] = [
      ("new client", addresses.request(client: 50)),
      ("new client, lifetime 1", addresses.request(client: 50, lifetime: 1)),
      ("known client", addresses.request(client: 1)),
      ("known client, lifetime 1", addresses.request(client: 1, lifetime: 1)),
      ("invalid client", addresses.request(client: 50, clientPort: 0)),
      ("reply", addresses.reply(server: 1, client: 1)),
      ("reply, lifetime 1", addresses.reply(server: 1, client: 1, lifetime: 1)),
      ("server-initiated", addresses.reply(server: 1, client: 50)),
      (
        "server-initiated to an invalid client",
        addresses.reply(server: 1, client: 50, clientPort: 0)
      ),
      ("another's client", addresses.reply(server: 2, client: 1)),
    ]
    dropped += dropped.map { ("\($0.name), to a group", changed($0.datagram, toGroup)) }
    let passed: [(event: Event, datagram: Datagram)] = [
      (.ingressNotHandledPort, addresses.request(client: 50, port: 53)),
      (.egressNotHandledPort, addresses.reply(server: 1, client: 1, port: 53)),
      (
        .unhandledTraffic,
        changed(addresses.request(client: 1)) { $0.destination = addresses.stranger }
      ),
      (
        .unhandledTraffic,
        changed(addresses.reply(server: 1, client: 1)) { $0.source = addresses.stranger }
      ),
    ]
    var cases: [Case] = []
    for lengths in Lengths.contradictory {
      cases += dropped.map {
        Case(
          name: "\($0.name), \(lengths)", event: .invalidUDPSize, verdict: .drop,
          datagram: lengths.applied(to: $0.datagram))
      }
      cases += passed.map {
        Case(
          name: "\(lengths)", event: $0.event, verdict: .pass,
          datagram: lengths.applied(to: $0.datagram))
      }
    }
    // The frame is cut short, not the length raised.
    for (name, datagram) in dropped {
      cases.append(
        Case(
          name: "\(name), an octet missing", event: .invalidUDPSize, verdict: .drop,
          datagram: datagram, size: datagram.bytes.count - 1))
    }
    for lengths in Lengths.valid {
      cases += [
        .sent(
          "known client, \(lengths)", .ingressReusedNAT,
          lengths.applied(to: addresses.request(client: 1)), to: addresses.server(1)),
        .sent(
          "reply, \(lengths)", .egressReusedNAT,
          lengths.applied(to: addresses.reply(server: 1, client: 1)), from: addresses.virtualServer),
      ]
    }
    return cases
  }

  private static func clients(_ addresses: Addresses) -> [Case] {
    let request = addresses.request(client: 50)
    let reply = addresses.reply(server: 1, client: 50)
    var invalid = (ClientAddress.unanswerable(addresses) + [addresses.virtualServer]).map {
      address in
      changed(request) { $0.source = address }
    }
    invalid += [addresses.virtualServer, addresses.client(1)].map { address in
      changed(request) { ($0.source, $0.sourcePort) = (address, 0) }
    }
    // The worst of them: what a real server answers would come back for ever.
    invalid.append(
      changed(request) {
        ($0.source, $0.sourcePort) = (addresses.virtualServer, $0.destinationPort)
      })
    var cases = invalid.flatMap { datagram in
      [datagram, changed(datagram) { $0.lifetime = 1 }, changed(datagram, toGroup)].map {
        Case(
          name: "from \(datagram.source):\(datagram.sourcePort)", event: .invalidClient,
          verdict: .drop, datagram: $0)
      }
    }
    var unanswered = ClientAddress.unanswerable(addresses).map { address in
      changed(reply) { $0.destination = address }
    }
    unanswered.append(changed(reply) { $0.destinationPort = 0 })
    cases += unanswered.flatMap { datagram in
      [datagram, changed(datagram) { $0.lifetime = 1 }, changed(datagram, toGroup)].map {
        Case(
          name: "to \(datagram.destination):\(datagram.destinationPort)", event: .unhandledTraffic,
          verdict: .pass, datagram: $0)
      }
    }
    return cases
  }

  /// Frames to a group, and packets of a version that their EtherType denies.
  private static func groups(_ addresses: Addresses) -> [Case] {
    let wouldBeSent = [
      addresses.request(client: 1), addresses.request(client: 50),
      addresses.reply(server: 1, client: 1),
      addresses.reply(server: 1, client: 50),
    ]
    var cases: [Case] = []
    let groups: [[UInt8]] = [
      [0x01, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
      [0x01, 0, 0, 0, 0, 0],
    ]
    for datagram in wouldBeSent {
      for lifetime in [1, 64] as [UInt8] {
        cases += groups.map { group in
          Case(
            name: "to \(group), lifetime \(lifetime)", event: .unhandledTraffic, verdict: .pass,
            datagram: changed(datagram) { ($0.destinationMAC, $0.lifetime) = (group, lifetime) })
        }
        for version in 0...15 as ClosedRange<UInt8>
        where version != (addresses.family == .ipv4 ? 4 : 6) {
          cases.append(
            Case(
              name: "version \(version), lifetime \(lifetime)", event: .unhandledTraffic,
              verdict: .pass,
              datagram: changed(datagram) { ($0.version, $0.lifetime) = (version, lifetime) }))
        }
      }
    }
    // What a row drops is dropped, and what is nobody's is nobody's.
    let other = addresses.reply(server: 2, client: 1)
    for change in [toGroup, { $0.version = 5 }] {
      cases += [
        Case(
          name: "to a group, another's client", event: .egressNotAuthorized, verdict: .drop,
          datagram: changed(other, change)),
        Case(
          name: "to a group, lifetime 0", event: .lifetimeExpired, verdict: .drop,
          datagram: changed(addresses.request(client: 1, lifetime: 0), change), known: .addresses),
        Case(
          name: "to a group, port not balanced", event: .ingressNotHandledPort, verdict: .pass,
          datagram: changed(addresses.request(client: 1, port: 53), change)),
      ]
    }
    // Bit 0 alone makes a group, of the first octet alone; and a source is no destination.
    for (to, from) in [(0xfe, 0x02), (0x02, 0x03)] as [(UInt8, UInt8)] {
      cases.append(
        .sent(
          "to no group", .ingressReusedNAT,
          changed(addresses.request(client: 1)) {
            $0.destinationMAC = [to, 0xff, 0xff, 0xff, 0xff, 0xff]
            $0.sourceMAC[0] = from
          }, to: addresses.server(1)))
    }
    return cases
  }

  private static func checksums(_ addresses: Addresses) -> [Case] {
    let request = addresses.request(client: 1)
    let reply = addresses.reply(server: 1, client: 1)
    var changes: [(inout Datagram) -> Void] = [{ $0.checksum = .none }]
    for difference in [1, 0x100, 0x7fff, 0xfffe] as [UInt16] {
      changes.append { $0.checksum = .wrong(by: difference) }
      changes.append { $0.headerChecksumError = difference }
    }
    return changes.flatMap { change in
      [
        Case.sent(
          "checksum none or wrong", .ingressReusedNAT, changed(request, change),
          to: addresses.server(1)),
        .sent(
          "checksum none or wrong", .egressReusedNAT, changed(reply, change),
          from: addresses.virtualServer),
      ]
    }
  }

  private static func toGroup(_ datagram: inout Datagram) {
    datagram.destinationMAC = [0x01, 0, 0x5e, 0, 0, 0xfb]
  }
}
