// Which slot of the data plane's table holds which real server. A plan only: writes no table.

/// The slots of the real servers and the order of their turns.
///
/// An address keeps its slot and its generation as long as it is listed. One that leaves keeps
/// both until the slot is needed for another address: if it comes back before that, its
/// associations come back to life. A slot that changes its address gets another generation, which
/// ends the associations of the old one. With a capacity of twice the longest list, no change
/// reuses a slot that was listed before it.
public struct ServerPlan: Sendable, Equatable {
  /// A slot that was used once.
  public struct Slot: Sendable, Hashable {
    public var address: IPAddress
    /// Never 0, so that a table entry of zeros is never valid.
    public var generation: UInt32
    /// False for an address that left the list and may come back.
    public var isListed: Bool

    public init(address: IPAddress, generation: UInt32, isListed: Bool) {
      self.address = address
      self.generation = generation
      self.isListed = isListed
    }
  }

  /// What a new list changed, each address once, in the order of the list it was in.
  public struct Change: Sendable, Equatable {
    public var added: [IPAddress] = []
    public var removed: [IPAddress] = []
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

  /// An empty plan.
  ///
  /// - Parameter capacity: count of slots, at least the longest list; twice that for changes that
  ///   reuse no slot of the list before.
  public init(capacity: Int) {
    self.init(capacity: capacity, slots: [])
  }

  /// A plan as another process left it. Which of the addresses left first is unknown then: they
  /// are taken to have left in the order of their numbers.
  ///
  /// - Parameters:
  ///   - slots: at most `capacity`; further ones are dropped. A generation of 0 counts as 1.
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
      if slot.generation == 0 { slot.generation = 1 }
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
  /// - Parameter list: of no more distinct addresses than there are slots; further ones are left out.
  public mutating func apply(_ list: [IPAddress]) -> Change {
    var change = Change()
    let before = listedNumbers()
    var isWanted = [Bool](repeating: false, count: slots.count)
    var newcomers = [IPAddress]()
    var known = Set<IPAddress>()
    for address in list {
      guard let number = numbers[address].map({ Int($0) }), let slot = slots[number] else {
        if known.insert(address).inserted { newcomers.append(address) }
        continue
      }
      if isWanted[number] { continue }
      isWanted[number] = true
      if !slot.isListed {
        slots[number]?.isListed = true
        change.added.append(address)
      }
    }

    retired.removeAll { isWanted[Int($0)] }
    for number in before where !isWanted[Int(number)] {
      guard let slot = slots[Int(number)] else { continue }
      slots[Int(number)]?.isListed = false
      retired.append(number)
      change.removed.append(slot.address)
    }

    // Slots never used first, then those whose address is gone for longest.
    var oldest = 0
    for address in newcomers {
      let number: UInt32
      var generation: UInt32 = 1
      if let fresh = unused.popLast() {
        number = fresh
      } else if oldest < retired.count {
        number = retired[oldest]
        oldest += 1
        if let old = slots[Int(number)] {
          generation = old.generation == .max ? 1 : old.generation + 1
          if numbers[old.address] == number { numbers[old.address] = nil }
        }
      } else {
        continue
      }
      slots[Int(number)] = Slot(address: address, generation: generation, isListed: true)
      numbers[address] = number
      change.added.append(address)
    }
    retired.removeFirst(oldest)
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
