// Which slot of the data plane's table holds which real server. A plan only: writes no table.

/// The slots of the real servers and the order of their turns.
///
/// An address keeps its slot as long as it is listed. One that leaves keeps it until the slot is
/// needed for another address: if it comes back before that, its associations come back to life. An
/// association tells a slot and nothing else: before a slot gets another address, none may lead to
/// it any more. No change reuses a slot that is listed until then, as packets make associations
/// with it while the change is prepared.
public struct ServerPlan: Sendable, Equatable {
  /// The most slots that there can be: an association has 16 bits for its slot, and one of the
  /// numbers is no slot.
  public static let mostSlots = 65_535

  /// A slot that was used once.
  public struct Slot: Sendable, Hashable {
    public var address: IPAddress
    /// False for an address that left the list and may come back.
    public var isListed: Bool

    public init(address: IPAddress, isListed: Bool) {
      self.address = address
      self.isListed = isListed
    }
  }

  /// What a new list changed: each address once, in the order of the list it was in.
  public struct Change: Sendable, Equatable {
    public var added: [IPAddress] = []
    public var removed: [IPAddress] = []
    /// Numbers of the slots that have changed their address. The associations that lead there are
    /// those of an address that is gone.
    public var reused: [UInt32] = []
  }

  /// A list that there are not enough slots for beside the list before it.
  public struct TooManyAddresses: Error, Hashable {
    /// The addresses of both lists.
    public let count: Int
    public let slots: Int
  }

  /// The index is the slot's number, which associations hold; `nil` for a slot that was never used.
  public private(set) var slots: [Slot?]
  /// Numbers of slots in the order of the list, an address that is listed twice twice.
  public private(set) var round: [UInt32]
  /// The slot of each address that holds one.
  private var numbers: [IPAddress: UInt32] = [:]
  /// Slots whose address is not listed, the one that left first in front.
  private var retired: [UInt32]
  /// The first of the slots that were never used.
  private var unused: [UInt32]

  /// How many slots lists of at most so many real servers are given: as many for those that left as
  /// for those that are listed, so that a list can be replaced as a whole, as far as there can be.
  public static func capacity(maxRealServers: UInt32) -> Int {
    min(2 * Int(maxRealServers), mostSlots)
  }

  /// An empty plan.
  ///
  /// - Parameter capacity: count of slots, at least the longest list; twice that for any list to
  ///   be replaced by any other.
  public init(capacity: Int) {
    self.init(capacity: capacity, slots: [])
  }

  /// A plan as another process left it. Which of the addresses left first is unknown then: they
  /// are taken to have left in the order of their numbers.
  ///
  /// - Parameters:
  ///   - slots: at most `capacity`; further ones are dropped.
  ///   - round: numbers of slots; those that are not listed are dropped.
  public init(capacity: Int, slots: [Slot?], round: [UInt32] = []) {
    var all = Array(slots.prefix(max(0, capacity)))
    all += repeatElement(nil, count: max(0, capacity) - all.count)
    retired = []
    unused = []
    numbers.reserveCapacity(all.count)
    for index in all.indices {
      let number = UInt32(index)
      guard var slot = all[index] else {
        unused.append(number)
        continue
      }
      // One slot an address: a listed one counts, else the first.
      if let other = numbers[slot.address] {
        if slot.isListed, all[Int(other)]?.isListed == false {
          numbers[slot.address] = number
        } else {
          slot.isListed = false
        }
      } else {
        numbers[slot.address] = number
      }
      all[index] = slot
      if !slot.isListed { retired.append(number) }
    }
    unused.reverse()
    self.slots = all
    self.round = round.filter { Int($0) < all.count && all[Int($0)]?.isListed == true }
  }

  /// The slot of an address, listed or not; `nil` if it has none.
  public func slot(of address: IPAddress) -> UInt32? { numbers[address] }

  /// The list in service: the addresses in the order of their turns.
  public var list: [IPAddress] { round.compactMap { slots[Int($0)]?.address } }

  /// Makes `list` the list in service. Takes time proportional to the list and the capacity.
  ///
  /// - Throws: where this list and the one before have more distinct addresses than there are slots.
  ///   The plan is as it was then.
  public mutating func apply(_ list: [IPAddress]) throws(TooManyAddresses) -> Change {
    var change = Change()
    let before = listedNumbers()
    var isWanted = [Bool](repeating: false, count: slots.count)
    var returning = [UInt32]()
    var newcomers = [IPAddress]()
    var known = Set<IPAddress>()
    for address in list {
      guard let number = numbers[address], let slot = slots[Int(number)] else {
        if known.insert(address).inserted {
          newcomers.append(address)
          change.added.append(address)
        }
        continue
      }
      if isWanted[Int(number)] { continue }
      isWanted[Int(number)] = true
      if !slot.isListed {
        returning.append(number)
        change.added.append(address)
      }
    }
    let needed = before.count + returning.count + newcomers.count
    guard needed <= slots.count else {
      throw TooManyAddresses(count: needed, slots: slots.count)
    }

    for number in returning { slots[Int(number)]?.isListed = true }
    retired.removeAll { isWanted[Int($0)] }
    // Slots never used first, then those whose address is gone for longest.
    var oldest = 0
    for address in newcomers {
      let number: UInt32
      if let fresh = unused.popLast() {
        number = fresh
      } else {
        number = retired[oldest]
        oldest += 1
        change.reused.append(number)
        if let old = slots[Int(number)], numbers[old.address] == number {
          numbers[old.address] = nil
        }
      }
      slots[Int(number)] = Slot(address: address, isListed: true)
      numbers[address] = number
    }
    retired.removeFirst(oldest)
    for number in before where !isWanted[Int(number)] {
      guard let slot = slots[Int(number)] else { continue }
      slots[Int(number)]?.isListed = false
      retired.append(number)
      change.removed.append(slot.address)
    }
    round = list.compactMap { numbers[$0] }
    return change
  }

  /// Numbers of the listed slots: those of the round in its order, then those that have no turn, as
  /// in a plan restored without its round. Each once.
  private func listedNumbers() -> [UInt32] {
    var isSeen = [Bool](repeating: false, count: slots.count)
    var result = [UInt32]()
    for number in round where !isSeen[Int(number)] {
      isSeen[Int(number)] = true
      result.append(number)
    }
    for index in slots.indices where !isSeen[index] && slots[index]?.isListed == true {
      result.append(UInt32(index))
    }
    return result
  }
}
