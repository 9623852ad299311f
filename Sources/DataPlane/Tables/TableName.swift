// The one place for the names of tables: those by which the template declares them.
import CLayout
import LoadBalancing

/// What a table is for.
enum TableKind: String, CaseIterable, Sendable {
  // The association tables of a family, which programs take over from each other.

  /// Buckets of the association table.
  case associations
  /// Who the associations of each bucket belong to. With IPv6 alone: an IPv4 association tells it.
  case clients
  /// How often associations were made and clients became residents, and when.
  case admissions
  /// Which bank is in force, the layout's version, and how the association table is read.
  case control

  // The counters, which programs take over from each other where they fit.

  /// Of all events, and of those that were lost.
  case eventCounters = "event_counters"
  /// Of the real servers of a family, by their slots.
  case realServerCounters = "real_server_counters"
  /// Of the association table of a family.
  case associationCounters = "association_counters"

  // The service tables, of which each program has its own.

  /// A family's slots, each in two banks.
  case realServers = "real_servers"
  /// Address → a slot, of a family.
  case slotOfAddress = "slot_of_address"
  /// Virtual servers by their numbers, each in two banks.
  case virtualServers = "virtual_servers"
  /// Turns and Maglev entries of all virtual servers.
  case rounds
  /// The index in the round that the next new client of each virtual server is given.
  case roundPosition = "round_position"
  /// By the virtual server's number.
  case names = "virtual_server_names"

  /// What tables belong together.
  enum Group {
    case associations, counters, service
  }

  var group: Group {
    switch self {
    case .associations, .clients, .admissions, .control: .associations
    case .eventCounters, .realServerCounters, .associationCounters: .counters
    case .realServers, .slotOfAddress, .virtualServers, .rounds, .roundPosition, .names: .service
    }
  }

  /// Whether each family has its own.
  var isOfFamily: Bool {
    switch self {
    case .associations, .clients, .admissions, .control, .realServers, .slotOfAddress,
      .realServerCounters, .associationCounters:
      true
    case .virtualServers, .rounds, .roundPosition, .names, .eventCounters: false
    }
  }

  /// Whether a family has one of its own.
  fileprivate func isOf(_ family: AddressFamily) -> Bool {
    isOfFamily && (self != .clients || family == .ipv6)
  }
}

/// The name by which the template declares a table.
struct TableName: Hashable, Sendable, CustomStringConvertible {
  let kind: TableKind
  /// `nil` for a table that all families share.
  let family: AddressFamily?

  private init(_ kind: TableKind, _ family: AddressFamily?) {
    (self.kind, self.family) = (kind, family)
  }

  /// A table of a family.
  init(_ kind: TableKind, of family: AddressFamily) {
    self.init(kind, kind.isOfFamily ? family : nil)
  }

  /// `nil` where the template declares no table of that name.
  init?(_ text: String) {
    guard let name = TableName.all.first(where: { $0.description == text }) else { return nil }
    self = name
  }

  var description: String {
    switch family {
    case nil: kind.rawValue
    case .ipv4: "\(kind.rawValue)_v4"
    case .ipv6: "\(kind.rawValue)_v6"
    }
  }

  /// The association tables of a family.
  static func associations(of family: AddressFamily) -> [TableName] {
    TableKind.allCases.filter { $0.group == .associations && $0.isOf(family) }
      .map { TableName($0, family) }
  }

  /// The service tables of a program that knows these families.
  static func service(of families: [AddressFamily]) -> [TableName] { all(.service, of: families) }

  /// The counters of a program that knows these families.
  static func counters(of families: [AddressFamily]) -> [TableName] { all(.counters, of: families) }

  private static func all(_ group: TableKind.Group, of families: [AddressFamily]) -> [TableName] {
    TableKind.allCases.filter { $0.group == group }.flatMap { kind in
      kind.isOfFamily ? families.map { TableName(kind, $0) } : [TableName(kind, nil)]
    }
  }

  private static let all =
    AddressFamily.allCases.flatMap { associations(of: $0) }
    + counters(of: AddressFamily.allCases) + service(of: AddressFamily.allCases)
}

extension TableName {
  /// What the template declares.
  var shape: TableShape {
    switch kind {
    case .associations: .mapped(of: bucket.self)
    case .clients: .mapped(of: bucket_clients_v6.self)
    case .admissions: .mapped(of: admissions.self)
    case .roundPosition: .array(of: UInt64.self)
    case .control: .mapped(of: control.self)
    case .eventCounters: .mapped(of: traffic.self)
    case .realServerCounters: .mapped(of: real_server_counters.self)
    case .associationCounters: .mapped(of: association_counters.self)
    case .virtualServers: .array(of: virtual_server.self)
    case .rounds: .array(of: slot_line.self)
    case .names: .array(of: virtual_server_name.self)
    case .realServers:
      family == .ipv6
        ? .array(of: real_server_v6.self) : .array(of: real_server_v4.self)
    case .slotOfAddress:
      family == .ipv6
        ? TableShape(.hash, ip_address_v6.self, UInt32.self)
        : TableShape(.hash, ip_address_v4.self, UInt32.self)
    }
  }
}
