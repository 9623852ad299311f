// Frames as an attacker or a broken device makes them, at random, and the model beside the program:
// verdict, every byte and event.
import LoadBalancing
import TestSupport
import Testing

/// Makes frames that are near to what ulb forwards, and wrong in one or two things.
private struct HostileFrames {
  let addresses: Addresses
  var numbers: SeededNumbers

  /// Addresses that no client can have, or that look like them.
  private var oddAddresses: [IPAddress] {
    let texts =
      addresses.family == .ipv4
      ? [
        "0.0.0.0", "0.0.0.1", "126.255.255.255", "127.0.0.1", "127.255.255.255", "128.0.0.0",
        "223.255.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.0", "255.255.255.254",
        "255.255.255.255",
      ]
      : [
        "::", "::1", "::2", "::ffff:10.2.0.1", "::fffe:a02:1", "::1:ffff:a02:1", "fe7f::1",
        "fe80::1", "febf::1", "fec0::1", "feff::1", "ff00::", "ff02::1", "0:0:0:1::", "::1:0:0:1",
      ]
    return texts.map { IPAddress($0)! } + [addresses.virtualServer, addresses.stranger]
  }

  private mutating func oneIn(_ count: Int) -> Bool {
    Int.random(in: 0..<count, using: &numbers) == 0
  }

  mutating func next() -> [UInt8] {
    let client = Int.random(in: 1...40, using: &numbers)
    let server = Int.random(in: 1...5, using: &numbers)
    let lifetime: UInt8 = oneIn(8) ? UInt8.random(in: 0...2, using: &numbers) : 64
    let port: UInt16 =
      oneIn(12) ? [0, 53, 5682, 5685, 65535].randomElement(using: &numbers)! : 5683
    let clientPort: UInt16 =
      oneIn(10) ? [0, 1, 5683, 65535].randomElement(using: &numbers)! : 40000
    var datagram =
      oneIn(2)
      ? addresses.request(client: client, port: port, clientPort: clientPort, lifetime: lifetime)
      : addresses.reply(
        server: server, client: client, port: port, clientPort: clientPort, lifetime: lifetime)
    datagram.payload = (0..<Int.random(in: 0...24, using: &numbers)).map { _ in
      UInt8.random(in: 0...255, using: &numbers)
    }
    if oneIn(8) { datagram.checksum = .none }
    if oneIn(8) {
      let odd = oddAddresses.randomElement(using: &numbers)!
      if oneIn(2) { datagram.source = odd } else { datagram.destination = odd }
    }
    if oneIn(12) {
      datagram.destinationMAC[0] = [0x01, 0x33, 0xff].randomElement(using: &numbers)!
    }
    if addresses.family == .ipv4 {
      if oneIn(20) { datagram.fragment = UInt16.random(in: 0...0xffff, using: &numbers) }
      if oneIn(20) { datagram.headerWords = UInt8.random(in: 0...15, using: &numbers) }
    }
    var bytes = datagram.bytes
    damage(&bytes)
    return bytes
  }

  private mutating func damage(_ bytes: inout [UInt8]) {
    let ip = Datagram.ethernetSize
    let udp = ip + (addresses.family == .ipv4 ? 20 : 40)
    switch Int.random(in: 0..<16, using: &numbers) {
    case 0: bytes.removeLast(Int.random(in: 0...(bytes.count - ip), using: &numbers))
    case 1: bytes += [UInt8](repeating: 0, count: Int.random(in: 1...40, using: &numbers))
    case 2, 3: moveLength(&bytes, at: addresses.family == .ipv4 ? ip + 2 : ip + 4)
    case 4, 5: moveLength(&bytes, at: udp + 4)
    case 6: bytes[ip] = UInt8.random(in: 0...255, using: &numbers)
    case 7:
      // Wrong checksums, zeros among them.
      let offset = addresses.family == .ipv4 && oneIn(2) ? ip + 10 : udp + 6
      let value: UInt16 = oneIn(3) ? 0 : UInt16.random(in: 0...0xffff, using: &numbers)
      bytes.replaceSubrange(offset..<offset + 2, with: value.octets)
    case 8:
      for _ in 0..<Int.random(in: 1...3, using: &numbers) {
        let index = Int.random(in: bytes.indices, using: &numbers)
        bytes[index] = UInt8.random(in: 0...255, using: &numbers)
      }
    default: break
    }
  }

  /// A length a little beside what it should be, or far off.
  private mutating func moveLength(_ bytes: inout [UInt8], at offset: Int) {
    let length = Int(bytes[offset]) << 8 | Int(bytes[offset + 1])
    let wrong =
      oneIn(3)
      ? Int.random(in: 0...0xffff, using: &numbers)
      : length + Int.random(in: -30...30, using: &numbers)
    bytes.replaceSubrange(offset..<offset + 2, with: UInt16(clamping: wrong).octets)
  }
}

@Suite("Hostile frames", .serialized)
struct HostileFrameTests {
  /// The list changes now and then: servers leave and return, one stands there twice, all are gone.
  @Test(arguments: AddressFamily.allCases, [1, 2, 3] as [UInt64])
  func programDecidesAsTheModelDoes(family: AddressFamily, seed: UInt64) throws {
    let director = try Director(family, level: .trace)
    let addresses = director.addresses
    var model = Model(addresses, servers: addresses.servers(1..<4))
    var frames = HostileFrames(addresses: addresses, numbers: SeededNumbers(seed: seed))
    let lists = [
      addresses.servers(1..<4), addresses.servers(2..<6), [],
      addresses.servers(1..<3) + [addresses.server(1)],
      [addresses.server(5)],
    ]
    var seen: Set<Event> = []
    for number in 1...30_000 {
      if number % 3_000 == 0 {
        model.servers = lists[number / 3_000 % lists.count]
        try director.dataPlane.apply(model.servers)
      }
      let frame = frames.next()
      let expected = model.decide(frame)
      let outcome = try director.run(frame)
      let events = director.events()
      guard outcome == expected.outcome, events == [director.labelled(expected.record)] else {
        Issue.record(
          """
          frame \(number): \(frame.map { String($0, radix: 16) }.joined(separator: " "))
          expected \(expected)
          found \(outcome) \(events)
          """)
        return
      }
      seen.insert(expected.record.event)
    }
    // A generator that misses rows proves little.
    let impossible: Set<Event> = [
      .invalidEthernetSize, .noVirtualServer, .egressCannotCreateAssociation, .ingressDenied,
      .egressDenied, .egressUnverified,
    ]
    let ofOtherFamily: Set<Event> =
      family == .ipv4
      ? [.notIPv6] : [.notIPv4, .tooSmallIPHeader, .tooBigIPHeader, .fragmentedIPPacket]
    #expect(Set(Event.allCases).subtracting(impossible).subtracting(ofOtherFamily) == seen)
  }
}
