// All associations as JSON lines: text is put together, as there may be millions. Knows no stream.
import LoadBalancing

extension AssociationBrowser {
  /// Starts writing what a filter lets through as JSON lines, each the object that the control socket
  /// calls an association entry, its members sorted by name.
  public func lines(_ filter: AssociationFilter, order: Order = .table) -> AssociationLines {
    AssociationLines(service, filter, order, clock: clock)
  }
}

/// JSON lines of associations, a piece at a time.
public struct AssociationLines: Sequence, IteratorProtocol {
  private var reading: AssociationReading
  /// How the tables are gone through.
  private enum Walk {
    case table(BucketWalk)
    case idle(IdleWalk)
  }

  private var walk: Walk
  /// How often a piece is read anew because an epoch has ended: they may pass faster than it is read.
  private static let mostAttempts = 3
  private var attempts = 1
  /// Whose alone are asked for, and are still to be told.
  private var client: Client?
  private let clock: @Sendable () -> Timestamp
  /// Reused for each piece, as are those below.
  private var lines: [UInt8] = []
  private var ranks: [AddressFamily: TextOfRanks] = [:]
  private var slots = TextOfSlots()

  init(
    _ service: ServiceInForce, _ filter: AssociationFilter, _ order: AssociationBrowser.Order,
    clock: @escaping @Sendable () -> Timestamp
  ) {
    reading = AssociationReading(service, filter)
    self.clock = clock
    client = filter.client
    walk =
      switch order {
      case _ where client != nil: .table(.nowhere)
      case .table: .table(BucketWalk(atOnce: 1 << 8))
      case .idle: .idle(IdleWalk())
      }
  }

  /// The next whole lines, none of them in some pieces; `nil` at the end. Takes a millisecond or two,
  /// and a quarter of a megabyte, or one in the order of idleness.
  public mutating func next() -> [UInt8]? {
    if let client {
      self.client = nil
      return lines(client.address.family) { reading, content, meaning, append in
        reading.find(client, content, meaning).forEach(append)
      }
    }
    let tables = reading.service.now.tables
    switch walk {
    case .table(var buckets):
      guard let (family, range) = buckets.next(tables) else { return nil }
      walk = .table(buckets)
      return lines(family) { reading, content, meaning, append in
        reading.forEach(family, content, meaning, inBuckets: range, append)
      }
    case .idle(var ages):
      guard let piece = ages.next(tables) else { return nil }
      let text = lines(piece.family) { reading, content, meaning, append in
        var found: [AssociationReading.Found] = []
        reading.forEach(
          piece.family, content, meaning, inBuckets: piece.buckets, ranks: piece.ranks
        ) { piece.ranks.count > 1 ? found.append($0) : append($0) }
        found.sorted { $0.rank > $1.rank }.forEach(append)
      }
      // Where an epoch has ended meanwhile, some had another age than is said there.
      let isRight =
        piece.epoch.map { epoch in
          tables[piece.family].map { IdleWalk.epoch(of: piece.clientClass, $0) } == epoch
        } ?? true
      guard isRight || attempts == Self.mostAttempts else {
        attempts += 1
        return []
      }
      attempts = 1
      walk = .idle(ages)
      return text
    }
  }

  @inline(__always)
  private mutating func lines(
    _ family: AddressFamily,
    forEach: (
      AssociationReading, ServiceInForce.Content, AssociationReading.Meaning,
      (AssociationReading.Found) -> Void
    ) -> Void
  ) -> [UInt8] {
    let now = clock()
    return reading.read { [reading] content, meaning in
      lines.removeAll(keepingCapacity: true)
      ranks[family, default: TextOfRanks()].refresh(content, family, now)
      slots.refresh(content, meaning)
      guard let ranks = ranks[family], let ends = slots.ends[family] else { return lines }
      forEach(reading, content, meaning) { found in
        lines += ranks.beginnings[Int(found.rank)]
        found.client.appendText(to: &lines)
        lines += ranks.middles[Int(found.rank)]
        lines += ends[Int(found.slot)]
      }
      return lines
    }
  }

  /// What the ranks of a family tell.
  private struct TextOfRanks {
    /// Before the client.
    private(set) var beginnings: [[UInt8]] = []
    /// Behind it.
    private(set) var middles: [[UInt8]] = []
    private var epochs: Epochs?
    private var made: Timestamp?

    mutating func refresh(
      _ content: ServiceInForce.Content, _ family: AddressFamily, _ now: Timestamp
    ) {
      let epochs = Epochs(content.tables)
      guard epochs != self.epochs || now.seconds != made?.seconds else { return }
      (self.epochs, made) = (epochs, now)
      let ranking = content.tables[family]?.ranking ?? .byAge
      // A stamp that nobody has held yet may be of any age.
      let ranks = 0...Swift.max(ranking.highest, 0x80 + 0x3f)
      beginnings = ranks.map { rank in
        let (age, name) = (ranking.age(rank), ranking.clientClass(rank).rawValue)
        return Array(#"{"age":\#(age),"class":"\#(name)","client":""#.utf8)
      }
      middles = ranks.map { rank in
        guard let span = content.lastUse(rank: rank, family, at: now) else {
          return Array("\"".utf8)
        }
        let bounds = [("after", span.after), ("before", span.before)].compactMap { name, time in
          time.map { #""\#(name)":"\#($0)""# }
        }
        return Array(#"","last_used":{\#(bounds.joined(separator: ","))}"#.utf8)
      }
    }
  }

  /// What the slots tell: what stands behind all that.
  private struct TextOfSlots {
    private(set) var ends: [AddressFamily: [[UInt8]]] = [:]
    private var version: UInt64?

    mutating func refresh(
      _ content: ServiceInForce.Content, _ meaning: AssociationReading.Meaning
    ) {
      guard content.version != version else { return }
      version = content.version
      let labels = meaning.labels.mapValues { JSONLine.text($0) }
      for family in content.tables.keys {
        ends[family] = content.plan.slots(of: family).map { slot in
          guard let member = slot?.member else { return [] }
          let label = labels[member.virtualServer] ?? #""""#
          return Array(
            #","real_server":"\#(member.address)","virtual_server":\#(label)}\#n"#.utf8)
        }
      }
    }
  }
}
