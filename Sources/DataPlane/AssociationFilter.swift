// Which associations are asked for, and which slots of a plan these lead to.
import LoadBalancing

/// Whose associations are meant: those for which all of it is true.
public struct AssociationFilter: Sendable, Hashable {
  public var client: Client?
  /// That the client's address is of.
  public var network: IPNetwork?
  /// By its label.
  public var virtualServer: String?
  public var realServer: IPAddress?

  public init(
    client: Client? = nil, network: IPNetwork? = nil, virtualServer: String? = nil,
    realServer: IPAddress? = nil
  ) {
    self.client = client
    self.network = network
    self.virtualServer = virtualServer
    self.realServer = realServer
  }

  /// Whether nothing is asked for, so that all are meant.
  public var isEmpty: Bool { self == AssociationFilter() }

  func matches(_ client: Client) -> Bool {
    (self.client.map { $0 == client } ?? true) && (network?.contains(client.address) ?? true)
  }

  /// The slots of a family that the associations lead to, as owned by their virtual servers; `nil`
  /// where none of them can be of this family.
  func slots(of family: AddressFamily, _ plan: ServicePlan) -> SlotOwners? {
    let families = [client?.address.family, network?.family, realServer?.family]
    guard families.allSatisfy({ $0 == nil || $0 == family }) else { return nil }
    var wanted = Set(plan.served.filter { $0.virtualServer.family == family }.map(\.number))
    if let virtualServer {
      // Where a name is another one's address, the first is meant.
      let first = plan.served.first { $0.virtualServer.label == virtualServer }?.number
      wanted = wanted.filter { $0 == first }
    }
    guard !wanted.isEmpty else { return nil }
    return SlotOwners(
      plan.slots(of: family).map { slot in
        guard let member = slot?.member, wanted.contains(member.virtualServer),
          realServer == nil || realServer == member.address
        else { return nil }
        return member.virtualServer
      })
  }
}

/// Reads what a filter lets through, some buckets at a time.
struct AssociationReading {
  let service: ServiceInForce
  let filter: AssociationFilter

  /// What the filter means with the plan that was read last.
  private var meaning: Meaning

  struct Meaning {
    fileprivate let version: UInt64
    /// Of each family of which there can be some.
    let slots: [AddressFamily: SlotOwners]
    let labels: [UInt8: String]
  }

  init(_ service: ServiceInForce, _ filter: AssociationFilter) {
    (self.service, self.filter) = (service, filter)
    meaning = AssociationReading.meaning(filter, service.now)
  }

  private static func meaning(
    _ filter: AssociationFilter, _ content: ServiceInForce.Content
  ) -> Meaning {
    var slots: [AddressFamily: SlotOwners] = [:]
    for family in content.tables.keys { slots[family] = filter.slots(of: family, content.plan) }
    return Meaning(
      version: content.version, slots: slots,
      labels: Dictionary(
        uniqueKeysWithValues: content.plan.served.map { ($0.number, $0.virtualServer.label) }))
  }

  /// An association as it is found.
  struct Found {
    let client: Client
    let virtualServer: UInt8
    let slot: UInt16
    let age: UInt8
    let place: AssociationTable.Place
  }

  /// Does something with the tables and what the filter means of them; again where that has changed
  /// meanwhile.
  mutating func read<Result>(_ body: (ServiceInForce.Content, Meaning) -> Result) -> Result {
    service.read { content in
      if content.version != meaning.version {
        meaning = AssociationReading.meaning(filter, content)
      }
      return body(content, meaning)
    }
  }

  /// Hands over those of some buckets in the order of their places.
  func forEach(
    _ family: AddressFamily, _ content: ServiceInForce.Content, _ meaning: Meaning,
    inBuckets buckets: Range<Int>, ages: ClosedRange<UInt8> = 0...AssociationTable.oldestAge,
    _ body: (Found) -> Void
  ) {
    guard let table = content.tables[family], let slots = meaning.slots[family] else { return }
    let buckets = buckets.clamped(to: 0..<table.bucketCount)
    // Each call knows its types: a million are read.
    switch family {
    case .ipv4: forEach(IPv4ClientKey.self, table, slots, buckets, ages, body)
    case .ipv6: forEach(IPv6ClientKey.self, table, slots, buckets, ages, body)
    }
  }

  private func forEach<Key: ClientKey>(
    _ type: Key.Type, _ table: AssociationTable, _ slots: SlotOwners, _ buckets: Range<Int>,
    _ ages: ClosedRange<UInt8>, _ body: (Found) -> Void
  ) {
    table.visit(type, inBuckets: buckets, owners: slots, ages: ages) { entry, place in
      let client = entry.client.client
      guard filter.matches(client) else { return }
      body(
        Found(
          client: client, virtualServer: entry.virtualServer, slot: entry.slot, age: entry.age,
          place: place))
    }
  }

  /// A client's own, one for each virtual server that it is a client of, in their order.
  func find(
    _ client: Client, _ content: ServiceInForce.Content, _ meaning: Meaning
  ) -> [Found] {
    let family = client.address.family
    guard filter.matches(client), let table = content.tables[family],
      let slots = meaning.slots[family]
    else { return [] }
    return content.plan.served.compactMap { numbered in
      switch family {
      case .ipv4: find(IPv4ClientKey(client), of: numbered.number, table, slots)
      case .ipv6: find(IPv6ClientKey(client), of: numbered.number, table, slots)
      }
    }
  }

  private func find<Key: ClientKey>(
    _ client: Key, of number: UInt8, _ table: AssociationTable, _ slots: SlotOwners
  ) -> Found? {
    guard let place = table.find(table.hash(client, of: number)) else { return nil }
    let word = table.bucket(place).word(place.index)
    let slot = SharedBucket.slot(of: word)
    // A word with the same tag may be another client's of another virtual server.
    guard word != 0, slots[slot] == number else { return nil }
    return Found(
      client: client.client, virtualServer: number, slot: slot, age: table.age(place), place: place)
  }
}
