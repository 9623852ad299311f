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
  /// Those of former versions of the layouts.
  associatedtype Former: FormerLayout

  /// A slot that was never used.
  static var unusedRealServer: RealServer { get }
  static func realServer(_ slot: ServerPlan.Slot, virtualServer: IPAddress) -> RealServer
  /// One of REAL_SERVER_….
  static func state(_ realServer: RealServer) -> Int32
  static func address(_ realServer: RealServer) -> IPAddress
  static func checksumDelta(_ realServer: RealServer) -> UInt16
  static func key(_ address: IPAddress) -> AddressKey
  static func address(_ key: AddressKey) -> IPAddress
}

extension FamilyLayout {
  /// Bytes of an address as a table's key.
  static var addressSize: Int { MemoryLayout<AddressKey>.size }
  static var former: any FormerLayout.Type { Former.self }
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

extension ServerPlan.Slot {
  /// What the table says of it.
  fileprivate var state: UInt16 {
    UInt16(isListed ? REAL_SERVER_LISTED : REAL_SERVER_UNLISTED)
  }
}

enum IPv4Layout: FamilyLayout {
  typealias RealServer = real_server_v4
  typealias AddressKey = ip_address_v4
  typealias Former = FormerIPv4Layout

  static var unusedRealServer: real_server_v4 { real_server_v4() }

  static func realServer(_ slot: ServerPlan.Slot, virtualServer: IPAddress) -> real_server_v4 {
    real_server_v4(
      address: slot.address.words.0,
      checksum_delta: Checksum.delta(from: virtualServer, to: slot.address), state: slot.state)
  }

  static func state(_ server: real_server_v4) -> Int32 { Int32(server.state) }
  static func address(_ server: real_server_v4) -> IPAddress {
    IPAddress(words: (server.address, 0, 0, 0), family: .ipv4)
  }
  static func checksumDelta(_ server: real_server_v4) -> UInt16 { server.checksum_delta }
  static func address(_ key: ip_address_v4) -> IPAddress {
    IPAddress(words: (key.word, 0, 0, 0), family: .ipv4)
  }
  static func key(_ address: IPAddress) -> ip_address_v4 { ip_address_v4(word: address.words.0) }
}

enum IPv6Layout: FamilyLayout {
  typealias RealServer = real_server_v6
  typealias AddressKey = ip_address_v6
  typealias Former = FormerIPv6Layout

  static var unusedRealServer: real_server_v6 { real_server_v6() }

  static func realServer(_ slot: ServerPlan.Slot, virtualServer: IPAddress) -> real_server_v6 {
    real_server_v6(
      address: slot.address.words,
      checksum_delta: Checksum.delta(from: virtualServer, to: slot.address), state: slot.state,
      padding: (0, 0, 0))
  }

  static func state(_ server: real_server_v6) -> Int32 { Int32(server.state) }
  static func address(_ server: real_server_v6) -> IPAddress {
    IPAddress(words: server.address, family: .ipv6)
  }
  static func checksumDelta(_ server: real_server_v6) -> UInt16 { server.checksum_delta }
  static func address(_ key: ip_address_v6) -> IPAddress {
    IPAddress(words: key.word, family: .ipv6)
  }
  static func key(_ address: IPAddress) -> ip_address_v6 { ip_address_v6(word: address.words) }
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
