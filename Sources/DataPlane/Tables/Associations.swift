// The association tables as the domain's associations: read out, and put back into other tables.
import LoadBalancing

/// Reads all associations of all virtual servers, a piece at a time.
public struct AssociationReader {
  /// What the associations' indices point into: the virtual servers, each with the real servers of
  /// all its slots.
  public let virtualServers: [SavedVirtualServer]
  /// By what they are ranked, whatever their family.
  public let ranking: Ranking
  private let nextPiece: () -> [Association]?

  /// - Parameters:
  ///   - plan: what the tables' associations lead to: asked for with each piece.
  ///   - roundPosition: that of a virtual server, by its number.
  init(
    _ tables: [AddressFamily: AssociationTable], plan: @escaping () -> ServicePlan,
    roundPosition: (UInt8) -> UInt32
  ) {
    let beginning = plan()
    let targets = Targets(beginning)
    virtualServers = zip(beginning.served, targets.realServers).map { numbered, realServers in
      SavedVirtualServer(
        name: numbered.virtualServer.name, address: numbered.virtualServer.address,
        roundPosition: roundPosition(numbered.number), realServers: realServers)
    }
    ranking = tables.values.first?.ranking ?? .byAge
    var pieces = AddressFamily.allCases.compactMap { family in
      tables[family].map { (family: family, table: $0, pieces: $0.pieces.makeIterator()) }
    }[...]
    nextPiece = {
      while let family = pieces.first?.family {
        guard let piece = pieces[pieces.startIndex].pieces.next() else {
          pieces.removeFirst()
          continue
        }
        let table = pieces[pieces.startIndex].table
        // Between two pieces a slot may have been given to another real server.
        let wanted = targets.of(family, asIn: plan())
        // Each call knows its types: a million are read.
        return switch family {
        case .ipv4: table.associations(IPv4ClientKey.self, piece, wanted)
        case .ipv6: table.associations(IPv6ClientKey.self, piece, wanted)
        }
      }
      return nil
    }
  }

  /// The next associations, possibly none of them, in no order; `nil` at the end. Takes a
  /// millisecond. Those with a real server that has come since the reading began are left out.
  public func next() -> [Association]? { nextPiece() }
}

/// Where in the lists of a reading a slot leads to.
private struct Target {
  let virtualServer: UInt8
  let realServer: UInt32
}

/// What the slots of a plan lead to.
private struct Targets {
  /// Of each virtual server, in the order of those that are served.
  private(set) var realServers: [[IPAddress]]
  private var slots: [AddressFamily: [(member: SlotPlan.Member, target: Target)?]] = [:]

  init(_ plan: ServicePlan) {
    var indices: [UInt8: Int] = [:]
    for (index, numbered) in plan.served.enumerated() { indices[numbered.number] = index }
    realServers = Array(repeating: [], count: plan.served.count)
    for family in plan.families {
      var all: [(member: SlotPlan.Member, target: Target)?] = []
      for slot in plan.slots(of: family) {
        guard let member = slot?.member, let index = indices[member.virtualServer],
          plan.served[index].virtualServer.family == family
        else {
          all.append(nil)
          continue
        }
        let target = Target(
          virtualServer: UInt8(index), realServer: UInt32(realServers[index].count))
        all.append((member, target))
        realServers[index].append(member.address)
      }
      slots[family] = all
    }
  }

  /// Those of a family that have the same members in another plan.
  func of(_ family: AddressFamily, asIn plan: ServicePlan) -> WantedSlots {
    let now = plan.slots(of: family)
    let targets = (slots[family] ?? []).enumerated().map { index, slot in
      index < now.count && slot?.member == now[index]?.member ? slot?.target : nil
    }
    return WantedSlots(targets: targets, owners: plan.owners(of: family))
  }
}

/// What is read of a table.
private struct WantedSlots {
  /// By slot; `nil` for one that is left out.
  let targets: [Target?]
  let owners: SlotOwners
}

extension AssociationTable {
  /// The associations of some buckets.
  fileprivate func associations<Key: ClientKey>(
    _ type: Key.Type, _ buckets: Range<Int>, _ wanted: WantedSlots
  ) -> [Association] {
    var associations: [Association] = []
    associations.reserveCapacity(buckets.count * 4)
    forEach(type, inBuckets: buckets, owners: wanted.owners) { entry in
      guard entry.slot < wanted.targets.count, let target = wanted.targets[Int(entry.slot)] else {
        return
      }
      associations.append(
        Association(
          client: entry.client.client, virtualServer: target.virtualServer,
          realServer: target.realServer, rank: entry.rank, isUnheard: entry.isUnheard))
    }
    return associations
  }
}

/// Puts saved associations into tables that are not in service yet.
struct AssociationRestorer {
  private let plan: ServicePlan
  private let tables: [AddressFamily: AssociationTable]

  init(_ tables: [AddressFamily: AssociationTable], plan: ServicePlan) {
    (self.tables, self.plan) = (tables, plan)
  }

  /// The number that a saved virtual server has now; `nil` where its clients are nobody's.
  func number(of saved: SavedVirtualServer) -> UInt8? {
    plan.served.first { saved.isSame(as: $0.virtualServer) }?.number
  }

  /// - Parameters:
  ///   - associations: those with the lowest ranks first.
  ///   - ranking: by what they are ranked.
  ///   - saved: what their indices point into.
  func restore(
    _ associations: [Association], rankedBy ranking: Ranking, of saved: [SavedVirtualServer]
  ) -> Restored {
    let places = saved.map { virtualServer -> Place? in
      guard let number = number(of: virtualServer) else { return nil }
      return Place(
        number: number, family: virtualServer.family,
        slots: virtualServer.realServers.map {
          plan.servingSlot(of: $0, number, virtualServer.family)
        })
    }
    var restored = Restored()
    restored += restore(IPv4ClientKey.self, .ipv4, associations, ranking, places)
    restored += restore(IPv6ClientKey.self, .ipv6, associations, ranking, places)
    restored.unserved = associations.count - restored.count - restored.unlisted - restored.unplaced
    return restored
  }

  /// What a saved virtual server is now.
  private struct Place {
    let number: UInt8
    let family: AddressFamily
    /// Of its saved real servers; `nil` for one that does not serve.
    let slots: [UInt16?]
  }

  private func restore<Key: ClientKey>(
    _ type: Key.Type, _ family: AddressFamily, _ associations: [Association], _ ranking: Ranking,
    _ places: [Place?]
  ) -> Restored {
    guard let table = tables[family] else { return Restored() }
    var entries: [Entry<Key>] = []
    entries.reserveCapacity(associations.count)
    var unlisted = 0
    for association in associations where association.client.address.family == family {
      let index = Int(association.virtualServer)
      guard index < places.count, let place = places[index], place.family == family else {
        continue
      }
      let realServer = Int(association.realServer)
      guard realServer < place.slots.count, let slot = place.slots[realServer] else {
        unlisted += 1
        continue
      }
      entries.append(
        Entry(
          client: Key(association.client), virtualServer: place.number, slot: slot,
          rank: table.ranking.rank(association.rank, of: ranking),
          isUnheard: association.isUnheard))
    }
    let count = entries.withUnsafeBufferPointer {
      table.insert($0, owners: plan.owners(of: family))
    }
    return Restored(count: count, unlisted: unlisted, unplaced: entries.count - count)
  }
}

/// What became of saved associations.
public struct Restored: Equatable, Sendable {
  /// How many are in the table.
  public var count = 0
  /// How many are not, as their virtual server is not configured.
  public var unserved = 0
  /// How many are not, as their real server is not listed.
  public var unlisted = 0
  /// How many are not, as there was room for those alone that were used later.
  public var unplaced = 0

  public init(count: Int = 0, unserved: Int = 0, unlisted: Int = 0, unplaced: Int = 0) {
    (self.count, self.unserved) = (count, unserved)
    (self.unlisted, self.unplaced) = (unlisted, unplaced)
  }

  public static func += (sum: inout Restored, other: Restored) {
    sum.count += other.count
    sum.unserved += other.unserved
    sum.unlisted += other.unlisted
    sum.unplaced += other.unplaced
  }
}
