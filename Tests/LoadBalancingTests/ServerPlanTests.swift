// The planning of slots: what stays, what comes back, what is reused.

import TestSupport
import Testing

@testable import LoadBalancing

@Suite struct ServerPlanTests {
  static func addresses(_ numbers: some Sequence<Int>) -> [IPAddress] {
    numbers.map { IPAddress(octets: [10, 0, UInt8($0 >> 8), UInt8($0 & 255)]) }
  }

  @Test func theOrderOfTheListIsThatOfTheTurns() throws {
    var plan = ServerPlan(capacity: 8)
    let list = Self.addresses([3, 1, 3, 2])
    let change = try plan.apply(list)
    #expect(change.added == Self.addresses([3, 1, 2]))
    #expect(change.removed.isEmpty && change.reused.isEmpty)
    #expect(plan.round == [0, 1, 0, 2])
    #expect(plan.slots.count == 8)
    #expect(plan.slots[1] == ServerPlan.Slot(address: list[1], isListed: true))
    #expect(plan.slots[3] == nil)
  }

  @Test func anUnchangedListChangesNothing() throws {
    var plan = ServerPlan(capacity: 8)
    _ = try plan.apply(Self.addresses([1, 2]))
    let before = plan
    let change = try plan.apply(Self.addresses([1, 2]))
    #expect(change == ServerPlan.Change())
    #expect(plan == before)
    #expect(try plan.apply(Self.addresses([2, 1])) == ServerPlan.Change())
    #expect(plan.round == [1, 0])
  }

  @Test func whoComesBackFindsItsSlot() throws {
    var plan = ServerPlan(capacity: 4)
    _ = try plan.apply(Self.addresses([1, 2]))
    let slot = plan.slots[0]
    #expect(try plan.apply(Self.addresses([2])).removed == Self.addresses([1]))
    #expect(plan.slots[0]?.isListed == false)
    #expect(plan.round == [1])
    #expect(plan.slot(of: Self.addresses([1])[0]) == 0)
    let change = try plan.apply(Self.addresses([3, 2, 1]))
    #expect(change.added == Self.addresses([3, 1]) && change.reused.isEmpty)
    #expect(plan.slots[0] == slot)
  }

  @Test func theSlotThatWasLeftFirstIsReusedFirst() throws {
    var plan = ServerPlan(capacity: 3)
    #expect(try plan.apply(Self.addresses([1, 2, 3])).reused == [])
    _ = try plan.apply(Self.addresses([1, 3]))
    _ = try plan.apply(Self.addresses([3]))
    #expect(try plan.apply(Self.addresses([3, 4])).reused == [1])
    #expect(plan.slots[1]?.address == Self.addresses([4])[0])
    #expect(plan.slot(of: Self.addresses([2])[0]) == nil)
    // 2 is a stranger now: it gets the slot of 1.
    #expect(try plan.apply(Self.addresses([3, 4, 2])).reused == [0])
    #expect(plan.slots[0]?.address == Self.addresses([2])[0])
    #expect(plan.round == [2, 1, 0])
  }

  @Test func anotherListReusesNoSlotOfTheOneBefore() throws {
    let longest = 64
    var plan = ServerPlan(capacity: ServerPlan.capacity(maxRealServers: UInt32(longest)))
    for turn in 0..<10 {
      let before = Set(plan.round)
      let change = try plan.apply(Self.addresses((turn * longest)..<((turn + 1) * longest)))
      #expect(change.added.count == longest)
      #expect(change.reused.count == (turn < 2 ? 0 : longest))
      #expect(Set(plan.round).count == longest)
      #expect(before.isDisjoint(with: plan.round))
    }
  }

  @Test func thereAreNoMoreSlotsThanAnAssociationCanTell() {
    #expect(ServerPlan.capacity(maxRealServers: 1) == 2)
    #expect(ServerPlan.capacity(maxRealServers: 32_767) == 65_534)
    #expect(ServerPlan.capacity(maxRealServers: 32_768) == 65_535)
    #expect(ServerPlan.capacity(maxRealServers: 65_535) == 65_535)
  }

  @Test func aListThatDoesNotFitBesideTheOneBeforeIsRefusedWhole() throws {
    var plan = ServerPlan(capacity: 5)
    _ = try plan.apply(Self.addresses([1, 2, 3]))
    _ = try plan.apply(Self.addresses([1, 2]))
    let before = plan
    for list in [[1, 4, 5, 6, 7], [3, 4, 5, 6], [4, 5, 6, 7, 4]] {
      let count = Set(list + [1, 2]).count
      #expect(throws: ServerPlan.TooManyAddresses(count: count, slots: 5)) {
        try plan.apply(Self.addresses(list))
      }
      #expect(plan == before)
    }
    // In two steps, all can be had.
    #expect(try plan.apply(Self.addresses([4, 5, 6])).reused == [2])
    #expect(try plan.apply([]).removed == Self.addresses([4, 5, 6]))
    #expect(try plan.apply(Self.addresses(7..<12)).reused.count == 5)
    #expect(throws: ServerPlan.TooManyAddresses.self) { try plan.apply(Self.addresses([1])) }
    #expect(ServerPlan(capacity: 0).slots.isEmpty)
  }

  @Test func anEmptyListLeavesNoTurns() throws {
    var plan = ServerPlan(capacity: 2)
    _ = try plan.apply(Self.addresses([1]))
    #expect(try plan.apply([]).removed == Self.addresses([1]))
    #expect(plan.round.isEmpty)
  }

  @Test func aPlanOfAnotherProcessGoesOn() throws {
    let list = Self.addresses([1, 2, 3, 1])
    var slots: [ServerPlan.Slot?] = list.map { ServerPlan.Slot(address: $0, isListed: true) }
    slots[1]?.isListed = false
    slots.insert(nil, at: 0)
    var plan = ServerPlan(capacity: 7, slots: slots, round: [3, 1, 2, 9])
    // Not 2 (retired), not 9 (no slot); the second slot of address 1 is retired.
    #expect(plan.round == [3, 1])
    #expect(plan.slots.count == 7)
    #expect(plan.slot(of: list[0]) == 1)
    #expect(plan.slots[4]?.isListed == false)
    let change = try plan.apply(Self.addresses([2, 1, 8, 9, 10, 11]))
    #expect(change.added == Self.addresses([2, 8, 9, 10, 11]))
    #expect(change.removed == [list[2]])
    // Never used first, then the retired one, and not the one that leaves.
    #expect(plan.round == [2, 1, 0, 5, 6, 4])
    #expect(change.reused == [4])
    #expect(plan.slot(of: list[0]) == 1)
  }

  @Test func aPlanOfAnotherProcessMayLackItsTurns() throws {
    let list = Self.addresses([1, 2])
    var plan = ServerPlan(
      capacity: 4, slots: list.map { ServerPlan.Slot(address: $0, isListed: true) })
    #expect(try plan.apply([list[1]]).removed == [list[0]])
    #expect(plan.slots[0]?.isListed == false)
  }

  @Test(arguments: [1, 2, 3, 4, 5], [12, 19, 24])
  func noListBreaksTheRules(_ seed: UInt64, _ capacity: Int) {
    var generator = SeededNumbers(seed: seed)
    let longest = 12
    var plan = ServerPlan(capacity: capacity)
    var lastListed: [IPAddress] = []
    for _ in 0..<300 {
      let count = Int.random(in: 0...longest, using: &generator)
      let list = Self.addresses(
        (0..<count).map { _ in Int.random(in: 0..<60, using: &generator) })
      let before = plan
      let both = Set(list).union(lastListed).count
      guard let change = try? plan.apply(list) else {
        #expect(both > capacity && plan == before)
        continue
      }
      #expect(both <= capacity)
      #expect(plan.round.map { plan.slots[Int($0)]?.address } == list)
      #expect(Set(change.added) == Set(list).subtracting(lastListed))
      #expect(Set(change.removed) == Set(lastListed).subtracting(list))
      let held = plan.slots.compactMap { $0?.address }
      #expect(Set(held).count == held.count)
      #expect(Set(plan.slots.compactMap { $0?.isListed == true ? $0?.address : nil }) == Set(list))
      var reused: [UInt32] = []
      for (number, (old, new)) in zip(before.slots, plan.slots).enumerated() {
        guard let old, let new else {
          #expect(old == nil)
          continue
        }
        if old.address != new.address {
          #expect(!old.isListed)
          reused.append(UInt32(number))
        }
      }
      #expect(change.reused.sorted() == reused)
      lastListed = list
    }
  }
}
