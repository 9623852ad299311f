// Domain values to and from the C structs of layout.h. Knows no table.
import CLayout
import LoadBalancing

/// The words of an IPv6 address in network byte order, as C lays them out.
typealias AddressWords = (UInt32, UInt32, UInt32, UInt32)

extension IPAddress {
  /// In network byte order; of an IPv4 address the first word alone is set.
  var words: AddressWords {
    var words: AddressWords = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &words) { copyOctets(to: $0) }
    return words
  }

  init(words: AddressWords, family: AddressFamily) {
    self = withUnsafeBytes(of: words) {
      IPAddress(
        family: family, octets: UnsafeRawBufferPointer(rebasing: $0.prefix(family.octetCount)))
    }
  }
}

/// The structs of one address family.
protocol FamilyLayout {
  associatedtype RealServer: BitwiseCopyable
  associatedtype AddressKey: BitwiseCopyable
  associatedtype FlowKey: BitwiseCopyable

  /// A slot that was never used.
  static var unusedRealServer: RealServer { get }
  static func realServer(_ slot: ServerPlan.Slot, virtualServer: IPAddress) -> RealServer
  /// `nil` for a slot that was never used.
  static func slot(_ realServer: RealServer) -> ServerPlan.Slot?
  /// Whether the generation that counts is that of the slot, or none.
  static func isWhole(_ realServer: RealServer) -> Bool
  static func checksumDelta(_ realServer: RealServer) -> UInt16
  static func key(_ address: IPAddress) -> AddressKey
  static func address(_ key: AddressKey) -> IPAddress
  static func key(_ client: Client) -> FlowKey
  static func client(_ key: FlowKey) -> Client
  /// Many at once: each layout knows its own types, where a generic caller would ask for them at
  /// each of a million keys.
  static func keys(_ clients: [Client]) -> [FlowKey]
  static func clients(_ keys: [FlowKey]) -> [Client]
  /// A key that is no client's, as a client's padding is 0.
  static func fillerKey(_ number: UInt32) -> FlowKey
}

extension FamilyLayout {
  /// Bytes of a client in the association table.
  static var clientSize: Int { MemoryLayout<FlowKey>.size }
}

extension AddressFamily {
  /// The family's structs. To be handed to a generic function.
  var layout: any FamilyLayout.Type {
    switch self {
    case .ipv4: IPv4Layout.self
    case .ipv6: IPv6Layout.self
    }
  }
}

enum IPv4Layout: FamilyLayout {
  typealias RealServer = former_real_server_v4
  typealias AddressKey = ip_address_v4
  typealias FlowKey = former_flow_key_v4

  static var unusedRealServer: former_real_server_v4 { former_real_server_v4() }

  static func realServer(_ slot: ServerPlan.Slot, virtualServer: IPAddress) -> former_real_server_v4
  {
    former_real_server_v4(
      address: slot.address.words.0, generation: slot.isListed ? slot.generation : 0,
      last_generation: slot.generation,
      checksum_delta: Checksum.delta(from: virtualServer, to: slot.address), padding: 0)
  }

  static func slot(_ server: former_real_server_v4) -> ServerPlan.Slot? {
    guard server.last_generation != 0 else { return nil }
    return ServerPlan.Slot(
      address: IPAddress(words: (server.address, 0, 0, 0), family: .ipv4),
      generation: server.last_generation, isListed: server.generation != 0)
  }

  static func isWhole(_ server: former_real_server_v4) -> Bool {
    server.generation == 0 || server.generation == server.last_generation
  }

  static func checksumDelta(_ server: former_real_server_v4) -> UInt16 { server.checksum_delta }
  static func address(_ key: ip_address_v4) -> IPAddress {
    IPAddress(words: (key.word, 0, 0, 0), family: .ipv4)
  }
  static func key(_ address: IPAddress) -> ip_address_v4 { ip_address_v4(word: address.words.0) }
  static func key(_ client: Client) -> former_flow_key_v4 {
    former_flow_key_v4(address: client.address.words.0, port: client.port.bigEndian, padding: 0)
  }
  static func client(_ key: former_flow_key_v4) -> Client {
    Client(
      address: IPAddress(words: (key.address, 0, 0, 0), family: .ipv4),
      port: UInt16(bigEndian: key.port))
  }
  static func keys(_ clients: [Client]) -> [former_flow_key_v4] { clients.map { key($0) } }
  static func clients(_ keys: [former_flow_key_v4]) -> [Client] { keys.map { client($0) } }
  static func fillerKey(_ number: UInt32) -> former_flow_key_v4 {
    former_flow_key_v4(address: number, port: 0, padding: .max)
  }
}

enum IPv6Layout: FamilyLayout {
  typealias RealServer = former_real_server_v6
  typealias AddressKey = ip_address_v6
  typealias FlowKey = former_flow_key_v6

  static var unusedRealServer: former_real_server_v6 { former_real_server_v6() }

  static func realServer(_ slot: ServerPlan.Slot, virtualServer: IPAddress) -> former_real_server_v6
  {
    former_real_server_v6(
      address: slot.address.words, generation: slot.isListed ? slot.generation : 0,
      last_generation: slot.generation,
      checksum_delta: Checksum.delta(from: virtualServer, to: slot.address), padding: (0, 0, 0))
  }

  static func slot(_ server: former_real_server_v6) -> ServerPlan.Slot? {
    guard server.last_generation != 0 else { return nil }
    return ServerPlan.Slot(
      address: IPAddress(words: server.address, family: .ipv6),
      generation: server.last_generation, isListed: server.generation != 0)
  }

  static func isWhole(_ server: former_real_server_v6) -> Bool {
    server.generation == 0 || server.generation == server.last_generation
  }

  static func checksumDelta(_ server: former_real_server_v6) -> UInt16 { server.checksum_delta }
  static func address(_ key: ip_address_v6) -> IPAddress {
    IPAddress(words: key.word, family: .ipv6)
  }
  static func key(_ address: IPAddress) -> ip_address_v6 { ip_address_v6(word: address.words) }
  static func key(_ client: Client) -> former_flow_key_v6 {
    former_flow_key_v6(address: client.address.words, port: client.port.bigEndian, padding: 0)
  }
  static func client(_ key: former_flow_key_v6) -> Client {
    Client(
      address: IPAddress(words: key.address, family: .ipv6), port: UInt16(bigEndian: key.port))
  }
  static func keys(_ clients: [Client]) -> [former_flow_key_v6] { clients.map { key($0) } }
  static func clients(_ keys: [former_flow_key_v6]) -> [Client] { keys.map { client($0) } }
  static func fillerKey(_ number: UInt32) -> former_flow_key_v6 {
    former_flow_key_v6(address: (number, 0, 0, 0), port: 0, padding: .max)
  }
}

extension EventRecord {
  /// A record of the ring buffer; `nil` for one that is no event of ours.
  init?(_ bytes: UnsafeRawBufferPointer, family: AddressFamily) {
    guard bytes.count >= MemoryLayout<event_record>.size else { return nil }
    let record = bytes.loadUnaligned(as: event_record.self)
    guard let event = Event(rawValue: record.event) else { return nil }
    let source = EventRecord.octets(record.source_mac)
    let destination = EventRecord.octets(record.destination_mac)
    self.init(
      event: event, sourceMAC: source, destinationMAC: destination,
      source: IPAddress(words: record.source, family: family),
      destination: IPAddress(words: record.destination, family: family),
      sourcePort: UInt16(bigEndian: record.source_port),
      destinationPort: UInt16(bigEndian: record.destination_port),
      // What is sent goes back to where it came from.
      newSourceMAC: destination, newDestinationMAC: source,
      newSource: IPAddress(words: record.new_source, family: family),
      newDestination: IPAddress(words: record.new_destination, family: family))
  }

  private static func octets(_ mac: (UInt8, UInt8, UInt8, UInt8, UInt8, UInt8)) -> [UInt8] {
    [mac.0, mac.1, mac.2, mac.3, mac.4, mac.5]
  }
}
