// The association table as the domain's associations: read out, and put back into another table.
import LoadBalancing

/// Reads all associations of a table, a piece at a time.
public struct AssociationReader {
  /// What the associations' indices point into: the real servers of all slots.
  public let realServers: [IPAddress]
  private let nextPiece: () -> [Association]?

  /// - Parameters:
  ///   - slots: that the table's associations lead to: asked for with each piece.
  ///   - family: the table's.
  init(
    _ table: AssociationTable, slots: @autoclosure @escaping () -> [ServerPlan.Slot?],
    family: AddressFamily
  ) {
    let addresses = slots().prefix { $0 != nil }.compactMap { $0?.address }
    realServers = addresses
    var pieces = table.pieces.makeIterator()
    nextPiece = {
      guard let piece = pieces.next() else { return nil }
      // Between two pieces a slot may have been given to another real server.
      let areSame = zip(addresses, slots()).map { $0 == $1?.address }
      // Each call knows its types: a million are read.
      return switch family {
      case .ipv4: table.associations(IPv4ClientKey.self, piece, areSame)
      case .ipv6: table.associations(IPv6ClientKey.self, piece, areSame)
      }
    }
  }

  /// The next associations, possibly none of them, in no order; `nil` at the end. Takes a
  /// millisecond. Those with a real server that has come since the reading began are left out.
  public func next() -> [Association]? { nextPiece() }
}

extension AssociationTable {
  /// The associations of some buckets.
  ///
  /// - Parameter areWanted: of which slots; what leads elsewhere is left out.
  fileprivate func associations<Key: ClientKey>(
    _ type: Key.Type, _ buckets: Range<Int>, _ areWanted: [Bool]
  ) -> [Association] {
    var associations: [Association] = []
    associations.reserveCapacity(buckets.count * 4)
    forEach(type, inBuckets: buckets) { entry in
      guard entry.slot < areWanted.count, areWanted[Int(entry.slot)] else { return }
      associations.append(
        Association(
          client: entry.client.client, realServer: UInt32(entry.slot), age: entry.age))
    }
    return associations
  }

  /// Puts saved associations into a table that is not in service yet, those that were used last
  /// first.
  ///
  /// - Parameters:
  ///   - associations: of the table's family.
  ///   - slots: those of the real servers that their indices point into; `nil` for one that is not
  ///     listed.
  func restore<Key: ClientKey>(
    _ type: Key.Type, _ associations: [Association], slots: [UInt16?]
  ) -> Restored {
    var entries: [Entry<Key>] = []
    entries.reserveCapacity(associations.count)
    for association in associations {
      let index = Int(association.realServer)
      guard index < slots.count, let slot = slots[index] else { continue }
      entries.append(Entry(client: Key(association.client), slot: slot, age: association.age))
    }
    let count = entries.withUnsafeBufferPointer { insert($0) }
    return Restored(
      count: count, unlisted: associations.count - entries.count, unplaced: entries.count - count)
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
