// Which slot of a family's table holds which real server of which virtual server. A plan only:
// writes no table.

/// The slots of the real servers of one family.
///
/// A member keeps its slot as long as it is listed. One that leaves keeps it until the slot is
/// needed for another member: if it comes back before that, its associations come back to life. An
/// association tells a slot and nothing else: before a slot gets another member, none may lead to it
/// any more. No change reuses a slot that is listed until then, as packets make associations with it
/// while the change is prepared.
public struct SlotPlan: Sendable, Equatable {
  /// The most slots that there can be: an association has 16 bits for its slot, and one of the
  /// numbers is no slot.
  public static let mostSlots = 65_535

  /// A real server of one virtual server: who is behind two has two slots.
  public struct Member: Sendable, Hashable {
    /// The virtual server's number in a ``VirtualServerPlan``.
    public var virtualServer: UInt8
    public var address: IPAddress

    public init(virtualServer: UInt8, address: IPAddress) {
      self.virtualServer = virtualServer
      self.address = address
    }
  }

  /// A slot that has a member.
  public struct Slot: Sendable, Hashable {
    public var member: Member
    /// `nil` for a member that left the list and may come back.
    public var state: RealServer.State?

    public init(member: Member, state: RealServer.State?) {
      self.member = member
      self.state = state
    }

    public var isListed: Bool { state != nil }
  }

  /// What a new list changed: each member once. Those that left are in the order of their slots, the
  /// others in that of the list.
  public struct Change: Sendable, Equatable {
    public var added: [Member] = []
    public var removed: [Member] = []
    /// Those that stay, in another state.
    public var restated: [Member] = []
    /// Numbers of the slots that have changed their member. The associations that lead there are
    /// those of a member that is gone.
    public var reused: [UInt32] = []
  }

  /// A list that there are not enough slots for beside the list before it.
  public struct TooManyMembers: Error, Hashable {
    /// The members of both lists.
    public let count: Int
    public let slots: Int
  }

  /// The index is the slot's number, which associations hold; `nil` for a slot without a member,
  /// which no association leads to.
  public private(set) var slots: [Slot?]
  /// The slot of each member that holds one.
  private var numbers: [Member: UInt32] = [:]
  /// Slots whose member is not listed, the one that left first in front.
  private var retired: [UInt32] = []
  /// Slots without a member, the lowest number last.
  private var unused: [UInt32] = []

  /// How many slots so many virtual servers of at most so many real servers are given: as many for
  /// those that left as for those that are listed, so that a list can be replaced as a whole, as far
  /// as there can be.
  public static func capacity(maxRealServers: UInt32, virtualServers: Int = 1) -> Int {
    let (count, isTooMuch) = (2 * Int(maxRealServers)).multipliedReportingOverflow(
      by: virtualServers)
    return isTooMuch ? mostSlots : min(count, mostSlots)
  }

  /// An empty plan.
  ///
  /// - Parameter capacity: count of slots, at least the longest list; twice that for any list to be
  ///   replaced by any other.
  public init(capacity: Int) {
    self.init(capacity: capacity, slots: [])
  }

  /// A plan as another process left it. Which of the members left first is unknown then: they are
  /// taken to have left in the order of their numbers.
  ///
  /// - Parameter slots: at most `capacity`; further ones are dropped.
  public init(capacity: Int, slots: [Slot?]) {
    var all = Array(slots.prefix(max(0, capacity)))
    all += repeatElement(nil, count: max(0, capacity) - all.count)
    numbers.reserveCapacity(all.count)
    for index in all.indices {
      let number = UInt32(index)
      guard var slot = all[index] else {
        unused.append(number)
        continue
      }
      // One slot a member: a listed one counts, else the first.
      if let other = numbers[slot.member] {
        if slot.isListed, all[Int(other)]?.isListed == false {
          numbers[slot.member] = number
        } else {
          slot.state = nil
        }
      } else {
        numbers[slot.member] = number
      }
      all[index] = slot
      if !slot.isListed { retired.append(number) }
    }
    unused.reverse()
    self.slots = all
  }

  /// The slot of a member, listed or not; `nil` if it has none.
  public func slot(of member: Member) -> UInt32? { numbers[member] }

  /// Gives the plan more slots, none of which has a member. It never has fewer than before.
  public mutating func grow(to capacity: Int) {
    guard capacity > slots.count else { return }
    unused.insert(contentsOf: (slots.count..<capacity).reversed().map(UInt32.init), at: 0)
    slots += repeatElement(nil, count: capacity - slots.count)
  }

  /// Makes `list` the list in service. A member that is there twice is in the state in which it
  /// serves most. Takes time proportional to the list and the capacity.
  ///
  /// - Throws: where this list and the one before have more distinct members than there are slots.
  ///   The plan is as it was then.
  public mutating func apply(
    _ list: [(member: Member, state: RealServer.State)]
  ) throws(TooManyMembers) -> Change {
    var change = Change()
    let before = slots.indices.filter { slots[$0]?.isListed == true }
    var wanted = [RealServer.State?](repeating: nil, count: slots.count)
    var members = [UInt32]()
    var newcomers = [Member]()
    var states = [Member: RealServer.State]()
    for (member, state) in list {
      guard let number = numbers[member] else {
        if let present = states[member] {
          states[member] = max(present, state)
        } else {
          states[member] = state
          newcomers.append(member)
          change.added.append(member)
        }
        continue
      }
      if let present = wanted[Int(number)] {
        wanted[Int(number)] = max(present, state)
      } else {
        wanted[Int(number)] = state
        members.append(number)
        if slots[Int(number)]?.isListed == false { change.added.append(member) }
      }
    }
    let needed = before.count + change.added.count
    guard needed <= slots.count else {
      throw TooManyMembers(count: needed, slots: slots.count)
    }

    for number in members {
      guard let slot = slots[Int(number)], slot.state != wanted[Int(number)] else { continue }
      if slot.isListed { change.restated.append(slot.member) }
      slots[Int(number)]?.state = wanted[Int(number)]
    }
    retired.removeAll { wanted[Int($0)] != nil }
    // Slots without a member first, then those whose member is gone for longest.
    var oldest = 0
    for member in newcomers {
      let number: UInt32
      if let fresh = unused.popLast() {
        number = fresh
      } else {
        number = retired[oldest]
        oldest += 1
        change.reused.append(number)
        if let old = slots[Int(number)], numbers[old.member] == number {
          numbers[old.member] = nil
        }
      }
      slots[Int(number)] = Slot(member: member, state: states[member])
      numbers[member] = number
    }
    retired.removeFirst(oldest)
    for index in before where wanted[index] == nil {
      guard let slot = slots[index] else { continue }
      slots[index]?.state = nil
      retired.append(UInt32(index))
      change.removed.append(slot.member)
    }
    return change
  }

  /// Takes the slots of a virtual server that is gone from their members. To be called when no
  /// association leads there any more. Who is listed keeps its slot.
  ///
  /// - Returns: the slots' numbers.
  public mutating func forget(virtualServer: UInt8) -> [UInt32] {
    let freed = retired.filter { slots[Int($0)]?.member.virtualServer == virtualServer }
    guard !freed.isEmpty else { return [] }
    retired.removeAll { slots[Int($0)]?.member.virtualServer == virtualServer }
    for number in freed {
      if let slot = slots[Int(number)], numbers[slot.member] == number {
        numbers[slot.member] = nil
      }
      slots[Int(number)] = nil
    }
    unused = (unused + freed).sorted(by: >)
    return freed.sorted()
  }
}
