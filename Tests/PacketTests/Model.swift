// The packet table once more, written from the specification and from nothing of ulb's: what becomes
// of any frame. Slow, and without the kernel.
import LoadBalancing

/// A director on paper: one virtual server, its list and its associations.
struct Model {
  let addresses: Addresses
  /// The list in service; an address that stands there twice has two turns.
  var servers: [IPAddress]
  /// How many clients it remembers; all where nil.
  let maxAssociations: Int?
  private var nextTurn = 0
  private var associations: [Client: IPAddress] = [:]
  /// Who was used last is the first; kept where not all are remembered.
  private(set) var orderOfUse: [Client] = []

  /// What became of one frame.
  struct Decision: Equatable {
    let outcome: Director.Outcome
    let record: EventRecord
  }

  init(_ addresses: Addresses, servers: [IPAddress], maxAssociations: Int? = nil) {
    (self.addresses, self.servers) = (addresses, servers)
    self.maxAssociations = maxAssociations
  }

  /// The clients of a server are forgotten, as its slot is given to another.
  mutating func forget(_ server: IPAddress) {
    associations = associations.filter { $0.value != server }
    orderOfUse.removeAll { associations[$0] == nil }
  }

  /// The server that a client is with, whether it is listed or not. To ask is to use.
  private mutating func lookUp(_ client: Client) -> IPAddress? {
    guard let server = associations[client] else { return nil }
    putFirst(client)
    return server
  }

  private mutating func associate(_ client: Client, _ server: IPAddress) {
    associations[client] = server
    putFirst(client)
    if let maxAssociations, associations.count > maxAssociations {
      associations[orderOfUse.removeLast()] = nil
    }
  }

  private mutating func putFirst(_ client: Client) {
    guard maxAssociations != nil else { return }
    orderOfUse.removeAll { $0 == client }
    orderOfUse.insert(client, at: 0)
  }

  mutating func decide(_ bytes: [UInt8]) -> Decision {
    let frame = Frame(bytes, addresses.family)
    let (event, rewriting) = decide(frame)
    switch rewriting {
    case nil:
      return Decision(
        outcome: .init(Model.drops.contains(event) ? .drop : .pass, bytes),
        record: frame.record(event))
    case .destination(let server):
      return Decision(
        outcome: .init(.send, frame.rewritten(destination: server)),
        record: frame.record(event, newSource: frame.source, newDestination: server))
    case .source(let virtualServer):
      return Decision(
        outcome: .init(.send, frame.rewritten(source: virtualServer)),
        record: frame.record(event, newSource: virtualServer, newDestination: frame.destination))
    }
  }

  private enum Rewriting {
    case destination(IPAddress)
    case source(IPAddress)
  }

  /// The events whose rows say drop; all others that send nothing pass.
  private static let drops: Set<Event> = [
    .invalidEthernetSize, .invalidIPSize, .tooSmallIPHeader, .lifetimeExpired, .invalidUDPSize,
    .invalidClient, .ingressCannotCreateAssociation, .egressCannotCreateAssociation,
    .egressNotAuthorized,
  ]

  private mutating func decide(_ frame: Frame) -> (Event, Rewriting?) {
    if frame.bytes.count < 14 { return (.invalidEthernetSize, nil) }
    if !frame.isOfFamily { return (frame.family == .ipv4 ? .notIPv4 : .notIPv6, nil) }
    if frame.bytes.count < frame.ipEnd { return (.invalidIPSize, nil) }
    if frame.family == .ipv4, frame.headerWords < 5 { return (.tooSmallIPHeader, nil) }
    if frame.ipProtocol != 17 { return (.notUDP, nil) }
    if frame.family == .ipv4, frame.headerWords > 5 { return (.tooBigIPHeader, nil) }
    if frame.family == .ipv4, frame.isFragment { return (.fragmentedIPPacket, nil) }
    if frame.lifetime == 0 { return (.lifetimeExpired, nil) }
    if frame.bytes.count < frame.ipEnd + 8 { return (.invalidUDPSize, nil) }
    return frame.destination == addresses.virtualServer ? ingress(frame) : egress(frame)
  }

  private mutating func ingress(_ frame: Frame) -> (Event, Rewriting?) {
    if !Addresses.ports.contains(frame.destinationPort) { return (.ingressNotHandledPort, nil) }
    if frame.hasContradictingLengths { return (.invalidUDPSize, nil) }
    let client = Client(address: frame.source, port: frame.sourcePort)
    let known = lookUp(client).flatMap { servers.contains($0) ? $0 : nil }
    if known == nil {
      if !isAnswerable(client) { return (.invalidClient, nil) }
      if servers.isEmpty { return (.ingressCannotCreateAssociation, nil) }
    }
    if let event = whyNotSent(frame) { return (event, nil) }
    if let known { return (.ingressReusedNAT, .destination(known)) }
    let turn = nextTurn < servers.count ? nextTurn : 0
    nextTurn = turn + 1
    associate(client, servers[turn])
    return (.ingressNewNAT, .destination(servers[turn]))
  }

  private mutating func egress(_ frame: Frame) -> (Event, Rewriting?) {
    guard servers.contains(frame.source) else { return (.unhandledTraffic, nil) }
    if !Addresses.ports.contains(frame.sourcePort) { return (.egressNotHandledPort, nil) }
    if frame.hasContradictingLengths { return (.invalidUDPSize, nil) }
    let client = Client(address: frame.destination, port: frame.destinationPort)
    let known = lookUp(client).flatMap { servers.contains($0) ? $0 : nil }
    if let known, known != frame.source { return (.egressNotAuthorized, nil) }
    if known == nil, !isAnswerable(client) { return (.unhandledTraffic, nil) }
    if let event = whyNotSent(frame) { return (event, nil) }
    if known == nil { associate(client, frame.source) }
    return (
      known == nil ? .egressNewNAT : .egressReusedNAT, .source(addresses.virtualServer)
    )
  }

  /// What keeps a packet from being sent that would be.
  private func whyNotSent(_ frame: Frame) -> Event? {
    if frame.isToGroup || frame.hasContradictingVersion { return .unhandledTraffic }
    return frame.lifetime == 1 ? .lifetimeExpired : nil
  }

  private func isAnswerable(_ client: Client) -> Bool {
    guard client.port != 0, client.address != addresses.virtualServer else { return false }
    let octets = client.address.octets
    switch client.address.family {
    case .ipv4:
      return octets != [0, 0, 0, 0] && octets[0] != 127 && !(224...239).contains(octets[0])
        && octets != [255, 255, 255, 255]
    case .ipv6:
      let zeros = [UInt8](repeating: 0, count: 15)
      let isUnspecifiedOrLoopback = octets.prefix(15).elementsEqual(zeros) && octets[15] < 2
      let isMapped =
        octets.prefix(10).elementsEqual(zeros.prefix(10)) && octets[10] == 0xff
        && octets[11] == 0xff
      return !isUnspecifiedOrLoopback && !isMapped && octets[0] != 0xff
        && !(octets[0] == 0xfe && octets[1] & 0xc0 == 0x80)
    }
  }
}

/// A frame as one reads it with the standards beside it: every field by its offset. Of a field
/// beyond the end nothing may be asked.
private struct Frame {
  let bytes: [UInt8]
  let family: AddressFamily

  init(_ bytes: [UInt8], _ family: AddressFamily) {
    (self.bytes, self.family) = (bytes, family)
  }

  private func word(_ offset: Int) -> UInt16 {
    UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
  }

  private func address(_ offset: Int) -> IPAddress {
    IPAddress(octets: Array(bytes[offset..<offset + family.octetCount]))
  }

  private var sourceOffset: Int { family == .ipv4 ? 26 : 22 }
  private var destinationOffset: Int { family == .ipv4 ? 30 : 38 }
  private var lifetimeOffset: Int { family == .ipv4 ? 22 : 21 }
  /// Where the IP header ends that has no options.
  var ipEnd: Int { family == .ipv4 ? 34 : 54 }

  var isToGroup: Bool { bytes[0] & 1 == 1 }
  var isOfFamily: Bool { word(12) == (family == .ipv4 ? 0x0800 : 0x86dd) }
  var hasContradictingVersion: Bool { bytes[14] >> 4 != (family == .ipv4 ? 4 : 6) }
  /// IPv4 (RFC 791, 3.1).
  var headerWords: UInt8 { bytes[14] & 0x0f }
  var isFragment: Bool { word(20) & 0x3fff != 0 }
  var ipProtocol: UInt8 { bytes[family == .ipv4 ? 23 : 20] }
  var lifetime: UInt8 { bytes[lifetimeOffset] }
  var source: IPAddress { address(sourceOffset) }
  var destination: IPAddress { address(destinationOffset) }
  var sourcePort: UInt16 { word(ipEnd) }
  var destinationPort: UInt16 { word(ipEnd + 2) }

  var hasContradictingLengths: Bool {
    // Octets behind the IP header, as that says.
    let payload = family == .ipv4 ? Int(word(16)) - 20 : Int(word(18))
    let udp = Int(word(ipEnd + 4))
    return payload < 8 || ipEnd + payload > bytes.count || udp < 8 || udp > payload
  }

  /// The checksum after words that it covers were replaced by others (RFC 1624, equation 3).
  private static func updated(_ checksum: UInt16, _ old: [UInt8], _ new: [UInt8]) -> UInt16 {
    var sum = UInt32(~checksum)
    for index in stride(from: 0, to: old.count, by: 2) {
      sum += UInt32(~(UInt16(old[index]) << 8 | UInt16(old[index + 1])))
      sum += UInt32(new[index]) << 8 + UInt32(new[index + 1])
    }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    return ~UInt16(sum)
  }

  /// The frame as it goes out with an address replaced.
  func rewritten(source: IPAddress? = nil, destination: IPAddress? = nil) -> [UInt8] {
    var result = bytes
    let (offset, new) =
      source.map { (sourceOffset, $0.octets) } ?? (destinationOffset, destination!.octets)
    let old = Array(bytes[offset..<offset + new.count])
    result.replaceSubrange(offset..<offset + new.count, with: new)
    result[lifetimeOffset] -= 1
    result.replaceSubrange(0..<12, with: bytes[6..<12] + bytes[0..<6])
    if family == .ipv4 {
      let checksum = Frame.updated(
        word(24), old + bytes[22..<24], new + result[22..<24])
      result.replaceSubrange(24..<26, with: checksum.octets)
    }
    if word(ipEnd + 6) != 0 {
      let checksum = Frame.updated(word(ipEnd + 6), old, new)
      result.replaceSubrange(
        ipEnd + 6..<ipEnd + 8, with: (checksum == 0 ? 0xffff : checksum).octets)
    }
    return result
  }

  /// The event as far as the frame had been understood.
  func record(_ event: Event, newSource: IPAddress? = nil, newDestination: IPAddress? = nil)
    -> EventRecord
  {
    let none = IPAddress.unspecified(family)
    let hasAddresses = bytes.count >= ipEnd && isOfFamily
    let endsBeforeUDP: Set<Event> = [
      .tooSmallIPHeader, .notUDP, .tooBigIPHeader, .fragmentedIPPacket,
    ]
    let hasPorts =
      hasAddresses && bytes.count >= ipEnd + 8 && !endsBeforeUDP.contains(event) && lifetime != 0
    let (destinationMAC, sourceMAC) = (Array(bytes[0..<6]), Array(bytes[6..<12]))
    return EventRecord(
      event: event, sourceMAC: sourceMAC, destinationMAC: destinationMAC,
      source: hasAddresses ? source : none, destination: hasAddresses ? destination : none,
      sourcePort: hasPorts ? sourcePort : 0, destinationPort: hasPorts ? destinationPort : 0,
      newSourceMAC: destinationMAC, newDestinationMAC: sourceMAC, newSource: newSource ?? none,
      newDestination: newDestination ?? none)
  }
}
