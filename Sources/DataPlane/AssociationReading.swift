// How the association tables are gone through, and what stands in them is given its meaning: that of a
// filter and the plan in force. Knows not what becomes of it.
import LoadBalancing

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
    let rank: UInt8
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
    inBuckets buckets: Range<Int>, ranks: ClosedRange<UInt8> = 0...UInt8.max,
    _ body: (Found) -> Void
  ) {
    guard let table = content.tables[family], let slots = meaning.slots[family] else { return }
    let buckets = buckets.clamped(to: 0..<table.bucketCount)
    // Each call knows its types: a million are read.
    switch family {
    case .ipv4: forEach(IPv4ClientKey.self, table, slots, buckets, ranks, body)
    case .ipv6: forEach(IPv6ClientKey.self, table, slots, buckets, ranks, body)
    }
  }

  private func forEach<Key: ClientKey>(
    _ type: Key.Type, _ table: AssociationTable, _ slots: SlotOwners, _ buckets: Range<Int>,
    _ ranks: ClosedRange<UInt8>, _ body: (Found) -> Void
  ) {
    table.visit(type, inBuckets: buckets, owners: slots, ranks: ranks) { entry, place in
      guard filter.matches(rank: entry.rank, table.ranking) else { return }
      let client = entry.client.client
      guard filter.matches(client) else { return }
      body(
        Found(
          client: client, virtualServer: entry.virtualServer, slot: entry.slot, rank: entry.rank,
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
    let rank = table.rank(place)
    guard word != 0, slots[slot] == number, filter.matches(rank: rank, table.ranking) else {
      return nil
    }
    return Found(
      client: client.client, virtualServer: number, slot: slot, rank: rank, place: place)
  }
}

/// Goes through the buckets of all tables, some at a time.
struct BucketWalk {
  private let atOnce: Int
  private var families: ArraySlice<AddressFamily> = AddressFamily.allCases[...]
  private var bucket: Int

  /// - Parameter start: in whose bucket to begin.
  init(atOnce: Int, from start: AssociationPosition? = nil) {
    self.atOnce = atOnce
    if let start { families = families.drop { $0 != start.family } }
    bucket = start?.place.bucket ?? 0
  }

  /// A walk that is at its end.
  static var nowhere: BucketWalk {
    var walk = BucketWalk(atOnce: 1)
    walk.families = []
    return walk
  }

  mutating func next(
    _ tables: [AddressFamily: AssociationTable]
  ) -> (family: AddressFamily, buckets: Range<Int>)? {
    next { tables[$0]?.bucketCount ?? 0 }
  }

  /// - Parameter count: how many buckets a family has.
  mutating func next(
    counting count: (AddressFamily) -> Int
  ) -> (family: AddressFamily, buckets: Range<Int>)? {
    while let family = families.first {
      let count = count(family)
      if bucket < count {
        let buckets = bucket..<min(bucket + atOnce, count)
        bucket = buckets.upperBound
        return (family, buckets)
      }
      families.removeFirst()
      bucket = 0
    }
    return nil
  }
}
