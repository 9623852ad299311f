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

/// The epochs of the association tables at one time; 0 where ages are ranks.
struct Epochs: Sendable, Hashable {
  var ipv4: UInt64 = 0
  var ipv6: UInt64 = 0

  init(ipv4: UInt64, ipv6: UInt64) { (self.ipv4, self.ipv6) = (ipv4, ipv6) }

  init(_ tables: [AddressFamily: AssociationTable]) {
    func epoch(_ family: AddressFamily) -> UInt64 {
      guard let table = tables[family], !table.isSingleBucket else { return 0 }
      return table.control.fullEpoch
    }
    self.init(ipv4: epoch(.ipv4), ipv6: epoch(.ipv6))
  }
}

/// Where the next page begins: behind an association. It stays right when that is gone.
public struct AssociationCursor: Sendable, Hashable, LosslessStringConvertible {
  let position: AssociationPosition
  /// In the order of use: how long ago it was used, and when that was so.
  private let age: UInt8?
  private let epochs: Epochs

  init(_ position: AssociationPosition, idle: (age: UInt8, epochs: Epochs)? = nil) {
    self.position = position
    age = idle?.age
    epochs = idle?.epochs ?? Epochs(ipv4: 0, ipv6: 0)
  }

  /// Which order it is of.
  public var order: AssociationBrowser.Order { age == nil ? .table : .idle }

  /// How old those are now that were as old as the association.
  func age(in now: Epochs) -> [AddressFamily: UInt8] {
    guard let age else { return [:] }
    func aged(_ before: UInt64, _ now: UInt64) -> UInt8 {
      let passed = now > before ? min(now - before, UInt64(AssociationTable.oldestAge)) : 0
      return UInt8(min(UInt64(age) + passed, UInt64(AssociationTable.oldestAge)))
    }
    return [.ipv4: aged(epochs.ipv4, now.ipv4), .ipv6: aged(epochs.ipv6, now.ipv6)]
  }

  /// Numbers with dots between: family, bucket, place; in the order of use also age and both epochs.
  public var description: String {
    let place = position.place
    let position = "\(position.family.version).\(place.bucket).\(place.index)"
    return age.map { "\(position).\($0).\(epochs.ipv4).\(epochs.ipv6)" } ?? position
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
      (age, epochs) = (nil, Epochs(ipv4: 0, ipv6: 0))
      return
    }
    guard numbers[3] <= AssociationTable.oldestAge else { return nil }
    age = UInt8(numbers[3])
    epochs = Epochs(ipv4: numbers[4], ipv6: numbers[5])
  }
}
