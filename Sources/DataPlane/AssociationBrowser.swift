// Who is on which real server, read from any thread while packets read and write the tables.
import LoadBalancing

/// An association as an operator is told of it.
public struct ListedAssociation: Sendable, Hashable {
  public let client: Client
  /// The virtual server's label.
  public let virtualServer: String
  /// Listed or not: a client of one that has left is with it until its next packet comes in.
  public let realServer: IPAddress
  /// In a table without classes all are newcomers.
  public let clientClass: ClientClass
  /// How long ago it was used: with classes 0…32, in epochs of insertions for a newcomer, of promotions
  /// for a resident, in half seconds since the answer for who was answered; without 0…128, in epochs
  /// of insertions; in a table of at most 7 associations how many of the others were used since.
  public let age: UInt8
  /// When that was; `nil` where ages tell no time.
  public let lastUse: EpochClock.Span?
}

/// Looks up, lists and counts associations. Each call sees the tables as they are then: a client that
/// moves in them while it is read may be missing, or be there twice.
public struct AssociationBrowser: Sendable {
  let service: ServiceInForce
  let clock: @Sendable () -> Timestamp

  /// - Parameter clock: the time of day.
  init(_ service: ServiceInForce, clock: @escaping @Sendable () -> Timestamp) {
    (self.service, self.clock) = (service, clock)
  }

  /// All of a client, one for each virtual server that it is a client of.
  public func associations(of client: Client) -> [ListedAssociation] {
    associations(of: client, AssociationFilter(client: client))
  }

  private func associations(of client: Client, _ filter: AssociationFilter) -> [ListedAssociation] {
    var reading = AssociationReading(service, filter)
    return reading.read { [reading] content, meaning in
      let listing = Listing(content, meaning, now: clock())
      return reading.find(client, content, meaning).map(listing.listed)
    }
  }

  // MARK: Counts

  /// How many a filter lets through. Takes some 10 milliseconds for a million.
  public func count(_ filter: AssociationFilter) -> Int {
    var reading = AssociationReading(service, filter)
    if let client = filter.client {
      return reading.read { [reading] in reading.find(client, $0, $1).count }
    }
    var count = 0
    var walk = BucketWalk(atOnce: 1 << 13)
    while let (family, buckets) = walk.next(service.now.tables) {
      count += reading.read { [reading] content, meaning in
        var count = 0
        reading.forEach(family, content, meaning, inBuckets: buckets) { _ in count += 1 }
        return count
      }
    }
    return count
  }

  // MARK: Pages

  /// Which come first.
  public enum Order: Sendable {
    /// Those of the first buckets: without a filter, a page costs the same wherever it is.
    case table
    /// Those that are forgotten next: newcomers, then who was answered, then residents; of newcomers
    /// and of residents those that were used least recently. Each page looks through the whole table.
    /// Where an epoch has ended between two pages, those of the greatest age may be on both.
    case idle
  }

  /// Some of them, and where to go on; `nil` at the end.
  ///
  /// - Parameters:
  ///   - limit: at least 1.
  ///   - cursor: what the page before has told, which had the same filter and order.
  public func page(
    _ filter: AssociationFilter, order: Order, limit: Int, after cursor: AssociationCursor? = nil
  ) -> (associations: [ListedAssociation], next: AssociationCursor?) {
    if let client = filter.client { return (associations(of: client, filter), nil) }
    switch order {
    case .table: return tablePage(filter, limit, cursor)
    case .idle: return idlePage(filter, limit, cursor)
    }
  }

  /// An association with its position, and its turn in the order of idleness.
  private typealias Positioned = (
    position: AssociationPosition, association: ListedAssociation, turn: UInt8
  )

  private func tablePage(
    _ filter: AssociationFilter, _ limit: Int, _ cursor: AssociationCursor?
  ) -> ([ListedAssociation], AssociationCursor?) {
    var reading = AssociationReading(service, filter)
    var walk = BucketWalk(atOnce: 1 << 8, from: cursor?.position)
    var found: [Positioned] = []
    while found.count <= limit, let (family, buckets) = walk.next(service.now.tables) {
      found += reading.read { [reading] content, meaning in
        let listing = Listing(content, meaning, now: clock())
        var piece: [Positioned] = []
        reading.forEach(family, content, meaning, inBuckets: buckets) { found in
          let position = AssociationPosition(family, found.place)
          if let cursor, position <= cursor.position { return }
          piece.append((position, listing.listed(found), 0))
        }
        return piece
      }
    }
    return (
      found.prefix(limit).map(\.association),
      found.count > limit ? AssociationCursor(found[limit - 1].position) : nil
    )
  }

  private func idlePage(
    _ filter: AssociationFilter, _ limit: Int, _ cursor: AssociationCursor?
  ) -> ([ListedAssociation], AssociationCursor?) {
    // Ages are of an epoch: where one ends meanwhile the page is made anew, some times.
    var attempts = 3
    while true {
      attempts -= 1
      let epochs = Epochs(service.now.tables)
      let found = highest(filter, limit + 1, after: cursor, in: epochs)
      guard attempts == 0 || Epochs(service.now.tables) == epochs else { continue }
      let last = found.count > limit ? found[limit - 1] : nil
      return (
        found.prefix(limit).map(\.association),
        last.map {
          AssociationCursor($0.position, idle: ($0.turn, epochs, service.now.ranking))
        }
      )
    }
  }

  /// The first of them in the order of their turns, of one turn in that of their positions.
  private func highest(
    _ filter: AssociationFilter, _ limit: Int, after cursor: AssociationCursor?, in epochs: Epochs
  ) -> [Positioned] {
    var reading = AssociationReading(service, filter)
    let ranking = service.now.ranking
    /// Which turn those have that the cursor has come to.
    let reached = cursor?.turn(in: epochs, ranking) ?? [:]
    func isLeft(_ family: AddressFamily, _ found: AssociationReading.Found) -> Bool {
      guard let cursor, let turn = reached[family] else { return true }
      let own = ranking.turn(found.rank)
      return own < turn
        || own == turn && AssociationPosition(family, found.place) > cursor.position
    }
    let turns = Int(ranking.highest) + 1
    var counts = [Int](repeating: 0, count: turns)
    var walk = BucketWalk(atOnce: 1 << 13)
    while let (family, buckets) = walk.next(service.now.tables) {
      let piece = reading.read { [reading] content, meaning in
        var counts = [Int](repeating: 0, count: turns)
        reading.forEach(family, content, meaning, inBuckets: buckets) { found in
          if isLeft(family, found) { counts[Int(ranking.turn(found.rank))] += 1 }
        }
        return counts
      }
      for (turn, count) in piece.enumerated() { counts[turn] += count }
    }
    var last = turns
    var count = 0
    while last > 0 && count < limit {
      last -= 1
      count += counts[last]
    }
    guard count > 0 else { return [] }
    let lowest = ranking.lowestRank(ofTurn: UInt8(last))
    var byTurn = [[Positioned]](repeating: [], count: turns)
    walk = BucketWalk(atOnce: 1 << 13)
    while let (family, buckets) = walk.next(service.now.tables) {
      let piece = reading.read { [reading, byTurn] content, meaning in
        let listing = Listing(content, meaning, now: clock())
        var piece: [Positioned] = []
        var room = byTurn.map { limit - $0.count }
        reading.forEach(
          family, content, meaning, inBuckets: buckets, ranks: lowest...UInt8.max
        ) { found in
          let turn = ranking.turn(found.rank)
          guard room[Int(turn)] > 0, isLeft(family, found) else { return }
          room[Int(turn)] -= 1
          piece.append((AssociationPosition(family, found.place), listing.listed(found), turn))
        }
        return piece
      }
      for found in piece { byTurn[Int(found.turn)].append(found) }
    }
    return Array(byTurn.reversed().joined().prefix(limit))
  }
}

/// What turns what was found into what is told.
private struct Listing {
  private let content: ServiceInForce.Content
  private let labels: [UInt8: String]
  private let slots: [AddressFamily: [SlotPlan.Slot?]]
  private let now: Timestamp

  init(
    _ content: ServiceInForce.Content, _ meaning: AssociationReading.Meaning, now: Timestamp
  ) {
    (self.content, labels, self.now) = (content, meaning.labels, now)
    slots = Dictionary(
      uniqueKeysWithValues: content.tables.keys.map { ($0, content.plan.slots(of: $0)) })
  }

  /// - Parameter found: of a slot that the plan has.
  func listed(_ found: AssociationReading.Found) -> ListedAssociation {
    let family = found.client.address.family
    let ranking = content.tables[family]?.ranking ?? .byAge
    return ListedAssociation(
      client: found.client, virtualServer: labels[found.virtualServer] ?? "",
      realServer: slots[family]?[Int(found.slot)]?.member.address ?? .unspecified(family),
      clientClass: ranking.clientClass(found.rank), age: ranking.age(found.rank),
      lastUse: content.lastUse(rank: found.rank, family, at: now))
  }
}

extension Ranking {
  /// When it is a client's turn in the order of idleness: the highest first. Those who were answered
  /// have one, as their ranks change each half second.
  func turn(_ rank: UInt8) -> UInt8 {
    let clientClass = clientClass(rank)
    return clientClass == .answered ? self.rank(.answered, age: oldestAge) : rank
  }

  /// The lowest of the ranks that have a turn.
  fileprivate func lowestRank(ofTurn turn: UInt8) -> UInt8 {
    clientClass(turn) == .answered ? rank(.answered, age: 0) : turn
  }
}

extension ServiceInForce.Content {
  /// When an association was used that has a rank; `nil` where ranks tell no time.
  func lastUse(rank: UInt8, _ family: AddressFamily, at now: Timestamp) -> EpochClock.Span? {
    guard let table = tables[family], !table.isSingleBucket else { return nil }
    let ranking = table.ranking
    let age = ranking.age(rank)
    let clocks = clocks[family] ?? ServiceInForce.Clocks(ranking)
    switch ranking.clientClass(rank) {
    case .newcomer:
      return clocks.insertions.lastUse(age: age, in: table.control.fullEpoch, at: now)
    case .resident:
      return clocks.promotions.lastUse(age: age, in: table.control.promotionEpoch, at: now)
    case .answered:
      // It may have been used since; what tells when it was answered comes round after 32 s.
      return EpochClock.Span(after: nil, before: now)
    }
  }
}
