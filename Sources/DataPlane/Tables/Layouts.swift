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

  /// - Parameter override: see ``LoadBalancing/RealServer/Override/inTables``.
  static func realServer(_ server: real_server, address: IPAddress, override: UInt32) -> RealServer
  /// What both families have.
  static func server(_ realServer: RealServer) -> real_server
  static func override(_ realServer: RealServer) -> UInt32
  static func address(_ realServer: RealServer) -> IPAddress
  static func key(_ address: IPAddress) -> AddressKey
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

  /// What the tables say of it: 4 or 6.
  var version: UInt8 {
    switch self {
    case .ipv4: 4
    case .ipv6: 6
    }
  }

  /// `nil` for a number that is neither's.
  init?(version: some BinaryInteger) {
    guard let family = AddressFamily.allCases.first(where: { $0.version == version }) else {
      return nil
    }
    self = family
  }
}

extension RealServer.State {
  /// What the table says of it, one of REAL_SERVER_….
  var inTables: UInt8 {
    switch self {
    case .up: UInt8(REAL_SERVER_UP)
    case .draining: UInt8(REAL_SERVER_DRAINING)
    // Its clients go, and it may come back: as one that has left.
    case .down: UInt8(REAL_SERVER_UNLISTED)
    }
  }
}

extension RealServer.Override {
  /// What stands for a state is its number here.
  private static let states: [RealServer.State?] = [nil, .down, .draining, .up]
  private static let weights = 1 << OVERRIDE_WEIGHT_BITS
  /// The heaviest that a configured weight can be told as.
  private static let mostConfigured = 1 << (UInt32.bitWidth - Int(OVERRIDE_CONFIGURED)) - 1

  /// What the table says of it. A configured weight that is too heavy for it, of an address with many
  /// lines, is told as another, and what is set ends with the process.
  var inTables: UInt32 {
    func number(_ state: RealServer.State?) -> UInt32 {
      UInt32(Self.states.firstIndex(of: state) ?? 0)
    }
    let heaviest = min(configured.weight, Self.mostConfigured)
    return number(state)
      | (weight.map { UInt32($0) + 1 } ?? 0) << UInt32(OVERRIDE_STATE_BITS)
      | number(configured.state) << UInt32(OVERRIDE_CONFIGURED_STATE)
      | UInt32(heaviest) << UInt32(OVERRIDE_CONFIGURED)
  }

  /// What another process has written: nothing where no override can be so, as of one that knew none.
  init?(inTables word: UInt32) {
    let (word, states) = (Int(word), Self.states)
    let weight = word >> OVERRIDE_STATE_BITS % Self.weights
    let state = states[word % states.count]
    guard weight <= RealServer.mostWeight + 1, weight > 0 || state != nil,
      let configured = states[word >> OVERRIDE_CONFIGURED_STATE % states.count]
    else { return nil }
    self.init(
      state: state, weight: weight > 0 ? weight - 1 : nil,
      configured: RealServer.Setting(state: configured, weight: word >> OVERRIDE_CONFIGURED))
  }
}

enum IPv4Layout: FamilyLayout {
  typealias RealServer = real_server_v4
  typealias AddressKey = ip_address_v4
  typealias Former = FormerIPv4Layout

  static func realServer(_ server: real_server, address: IPAddress, override: UInt32)
    -> real_server_v4
  {
    real_server_v4(server: server, address: address.words.0, override: override)
  }
  static func override(_ realServer: real_server_v4) -> UInt32 { realServer.override }
  static func server(_ realServer: real_server_v4) -> real_server { realServer.server }
  static func address(_ realServer: real_server_v4) -> IPAddress {
    IPAddress(words: (realServer.address, 0, 0, 0), family: .ipv4)
  }
  static func key(_ address: IPAddress) -> ip_address_v4 { ip_address_v4(word: address.words.0) }
}

enum IPv6Layout: FamilyLayout {
  typealias RealServer = real_server_v6
  typealias AddressKey = ip_address_v6
  typealias Former = FormerIPv6Layout

  static func realServer(_ server: real_server, address: IPAddress, override: UInt32)
    -> real_server_v6
  {
    real_server_v6(server: server, address: address.words, override: override, padding: 0)
  }
  static func override(_ realServer: real_server_v6) -> UInt32 { realServer.override }
  static func server(_ realServer: real_server_v6) -> real_server { realServer.server }
  static func address(_ realServer: real_server_v6) -> IPAddress {
    IPAddress(words: realServer.address, family: .ipv6)
  }
  static func key(_ address: IPAddress) -> ip_address_v6 { ip_address_v6(word: address.words) }
}

extension Scheduler {
  /// What the table says of it, one of SCHEDULER_….
  var inTables: UInt32 {
    switch self {
    case .roundRobin: UInt32(SCHEDULER_ROUND_ROBIN)
    case .maglev: UInt32(SCHEDULER_MAGLEV)
    }
  }
}

/// A virtual server's name in the table of names. The command line's has none.
enum VirtualServerName {
  static func inTables(_ name: String?) -> virtual_server_name {
    var result = virtual_server_name()
    let octets = Array((name ?? "").utf8.prefix(VirtualServer.longestName))
    result.length = UInt8(octets.count)
    withUnsafeMutableBytes(of: &result.octets) { $0.copyBytes(from: octets) }
    return result
  }

  /// What another process has written: `nil` for the command line's.
  static func read(_ name: virtual_server_name) throws(KeptTables.Refusal) -> String? {
    guard name.length > 0 else { return nil }
    let octets = withUnsafeBytes(of: name.octets) { Array($0.prefix(Int(name.length))) }
    guard name.length <= VirtualServer.longestName,
      let text = String(validating: octets, as: UTF8.self),
      !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else { throw KeptTables.Refusal("virtual_server_names has one that cannot be a name") }
    return text
  }
}

extension EventRecord {
  /// A record of the ring buffer; `nil` for one that is no event of ours.
  ///
  /// - Parameters:
  ///   - labels: of the virtual servers, by number.
  ///   - family: of one that has no addresses.
  init?(_ bytes: UnsafeRawBufferPointer, labels: [UInt8: String], family: AddressFamily) {
    guard bytes.count >= MemoryLayout<event_record>.size else { return nil }
    let record = bytes.loadUnaligned(as: event_record.self)
    guard let event = Event(rawValue: UInt32(record.event)) else { return nil }
    let family = AddressFamily(version: record.family) ?? family
    let source = EventRecord.octets(record.source_mac)
    let destination = EventRecord.octets(record.destination_mac)
    self.init(
      event: event, virtualServer: labels[record.virtual_server], sourceMAC: source,
      destinationMAC: destination,
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
