// Where a page of associations ends, in words that a client of the API hands back.
import LoadBalancing

/// Where an association is.
struct AssociationPosition: Sendable, Hashable, Comparable {
  let family: AddressFamily
  let place: AssociationTable.Place

  init(_ family: AddressFamily, _ place: AssociationTable.Place) {
    (self.family, self.place) = (family, place)
  }

  static func < (left: AssociationPosition, right: AssociationPosition) -> Bool {
    (left.family.version, left.place.bucket, left.place.index)
      < (right.family.version, right.place.bucket, right.place.index)
  }
}

/// The epochs of the association tables at one time; 0 where ages are ranks, and of promotions where
/// there are no classes.
struct Epochs: Sendable, Hashable {
  struct OfClass: Sendable, Hashable {
    var ipv4: UInt64 = 0
    var ipv6: UInt64 = 0
  }

  let insertions: OfClass
  let promotions: OfClass

  init(_ tables: [AddressFamily: AssociationTable]) {
    func epochs(_ epoch: (AssociationTable) -> UInt64) -> OfClass {
      func of(_ family: AddressFamily) -> UInt64 {
        guard let table = tables[family], !table.isSingleBucket else { return 0 }
        return epoch(table)
      }
      return OfClass(ipv4: of(.ipv4), ipv6: of(.ipv6))
    }
    insertions = epochs(\.control.fullEpoch)
    promotions = epochs { $0.ranking == .byClass ? $0.control.promotionEpoch : 0 }
  }

  /// Those that the ages of a class count; none for who was answered, who have one turn.
  subscript(clientClass: ClientClass) -> OfClass {
    switch clientClass {
    case .newcomer: insertions
    case .resident: promotions
    case .answered: OfClass()
    }
  }
}

/// Where the next page begins: behind an association. It stays right when that is gone.
public struct AssociationCursor: Sendable, Hashable, LosslessStringConvertible {
  let position: AssociationPosition
  /// In the order of idleness: its turn, and the epochs of its class.
  private let turn: UInt8?
  private let epochs: Epochs.OfClass

  /// - Parameter idle: its turn by a ranking, and when it had that.
  init(
    _ position: AssociationPosition, idle: (turn: UInt8, epochs: Epochs, ranking: Ranking)? = nil
  ) {
    self.position = position
    turn = idle?.turn
    epochs = idle.map { $0.epochs[$0.ranking.clientClass($0.turn)] } ?? Epochs.OfClass()
  }

  /// Which order it is of.
  public var order: AssociationBrowser.Order { turn == nil ? .table : .idle }

  /// Which turn those have now that had the association's.
  func turn(in now: Epochs, _ ranking: Ranking) -> [AddressFamily: UInt8] {
    guard let turn else { return [:] }
    let clientClass = ranking.clientClass(turn)
    let now = now[clientClass]
    func aged(_ before: UInt64, _ now: UInt64) -> UInt8 {
      let passed = now > before ? min(now - before, UInt64(ranking.oldestAge)) : 0
      return ranking.rank(
        clientClass, age: UInt8(min(UInt64(ranking.age(turn)) + passed, UInt64(UInt8.max))))
    }
    return [.ipv4: aged(epochs.ipv4, now.ipv4), .ipv6: aged(epochs.ipv6, now.ipv6)]
  }

  /// Numbers with dots between: family, bucket, place; in the order of idleness also its turn and two
  /// epochs.
  public var description: String {
    let place = position.place
    let position = "\(position.family.version).\(place.bucket).\(place.index)"
    return turn.map { "\(position).\($0).\(epochs.ipv4).\(epochs.ipv6)" } ?? position
  }

  /// `nil` for what no ``description`` can be.
  public init?(_ text: String) {
    let words = text.split(separator: ".", omittingEmptySubsequences: false)
    let numbers = words.compactMap { UInt64($0) }
    guard numbers.count == words.count, words.count == 3 || words.count == 6,
      let family = AddressFamily(version: numbers[0]), numbers[1] <= UInt32.max,
      numbers[2] < SharedBucket.places
    else { return nil }
    position = AssociationPosition(
      family, AssociationTable.Place(bucket: Int(numbers[1]), index: Int(numbers[2])))
    guard numbers.count == 6 else {
      (turn, epochs) = (nil, Epochs.OfClass())
      return
    }
    guard numbers[3] <= Ranking.byClass.highest else { return nil }
    turn = UInt8(numbers[3])
    epochs = Epochs.OfClass(ipv4: numbers[4], ipv6: numbers[5])
  }
}
