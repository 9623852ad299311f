// The planning of slots: what stays, what comes back, what is reused.

import TestSupport
import Testing

@testable import LoadBalancing

@Suite struct ServerPlanTests {
  static func addresses(_ numbers: some Sequence<Int>) -> [IPAddress] {
    numbers.map { IPAddress(octets: [10, 0, UInt8($0 >> 8), UInt8($0 & 255)]) }
  }

  @Test func theOrderOfTheListIsThatOfTheTurns() {
    var plan = ServerPlan(capacity: 8)
    let list = Self.addresses([3, 1, 3, 2])
    let change = plan.apply(list)
    #expect(change.added == Self.addresses([3, 1, 2]))
    #expect(change.removed.isEmpty)
    #expect(plan.round == [0, 1, 0, 2])
    #expect(plan.slots.count == 8)
    #expect(
      plan.slots[1]
        == ServerPlan.Slot(address: list[1], generation: 1, isListed: true))
    #expect(plan.slots[3] == nil)
  }

  @Test func anUnchangedListChangesNothing() {
    var plan = ServerPlan(capacity: 8)
    _ = plan.apply(Self.addresses([1, 2]))
    let before = plan
    let change = plan.apply(Self.addresses([1, 2]))
    #expect(change == ServerPlan.Change())
    #expect(plan == before)
    #expect(plan.apply(Self.addresses([2, 1])) == ServerPlan.Change())
    #expect(plan.round == [1, 0])
  }

  @Test func whoComesBackFindsItsSlotAndGeneration() {
    var plan = ServerPlan(capacity: 4)
    _ = plan.apply(Self.addresses([1, 2]))
    let slot = plan.slots[0]
    #expect(plan.apply(Self.addresses([2])).removed == Self.addresses([1]))
    #expect(plan.slots[0]?.isListed == false)
    #expect(plan.round == [1])
    #expect(plan.slot(of: Self.addresses([1])[0]) == 0)
    #expect(plan.apply(Self.addresses([2, 1])).added == Self.addresses([1]))
    #expect(plan.slots[0] == slot)
  }

  @Test func theSlotThatWasLeftFirstIsReusedFirst() {
    var plan = ServerPlan(capacity: 3)
    _ = plan.apply(Self.addresses([1, 2, 3]))
    _ = plan.apply(Self.addresses([1, 3]))
    _ = plan.apply(Self.addresses([3]))
    _ = plan.apply(Self.addresses([3, 4]))
    #expect(plan.slots[1]?.address == Self.addresses([4])[0])
    #expect(plan.slots[1]?.generation == 2)
    #expect(plan.slot(of: Self.addresses([2])[0]) == nil)
    // 2 is a stranger now: it gets the slot of 1.
    _ = plan.apply(Self.addresses([3, 4, 2]))
    #expect(plan.slots[0]?.address == Self.addresses([2])[0])
    #expect(plan.slots[0]?.generation == 2)
    #expect(plan.round == [2, 1, 0])
  }

  @Test func aGenerationIsNeverZero() {
    let old = Self.addresses([1])[0]
    var plan = ServerPlan(
      capacity: 1,
      slots: [ServerPlan.Slot(address: old, generation: .max, isListed: false)])
    _ = plan.apply(Self.addresses([2]))
    #expect(plan.slots[0]?.generation == 1)
    let zero = ServerPlan(
      capacity: 1, slots: [ServerPlan.Slot(address: old, generation: 0, isListed: true)])
    #expect(zero.slots[0]?.generation == 1)
  }

  @Test func anotherListReusesNoSlotOfTheOneBefore() {
    let longest = 64
    var plan = ServerPlan(capacity: 2 * longest)
    for turn in 0..<10 {
      let before = Set(plan.round)
      let change = plan.apply(Self.addresses((turn * longest)..<((turn + 1) * longest)))
      #expect(change.added.count == longest)
      #expect(Set(plan.round).count == longest)
      #expect(before.isDisjoint(with: plan.round))
    }
  }

  @Test func addressesBeyondTheSlotsAreLeftOut() {
    var plan = ServerPlan(capacity: 2)
    let change = plan.apply(Self.addresses([1, 2, 3]))
    #expect(change.added == Self.addresses([1, 2]))
    #expect(plan.round == [0, 1])
    #expect(ServerPlan(capacity: 0).slots.isEmpty)
  }

  @Test func anEmptyListLeavesNoTurns() {
    var plan = ServerPlan(capacity: 2)
    _ = plan.apply(Self.addresses([1]))
    #expect(plan.apply([]).removed == Self.addresses([1]))
    #expect(plan.round.isEmpty)
  }

  @Test func aPlanOfAnotherProcessGoesOn() {
    let list = Self.addresses([1, 2, 3, 1])
    var slots: [ServerPlan.Slot?] = list.map {
      ServerPlan.Slot(address: $0, generation: 7, isListed: true)
    }
    slots[1]?.isListed = false
    slots.insert(nil, at: 0)
    var plan = ServerPlan(capacity: 6, slots: slots, round: [3, 1, 2, 9])
    // Not 2 (retired), not 9 (no slot); the second slot of address 1 is retired.
    #expect(plan.round == [3, 1])
    #expect(plan.slots.count == 6)
    #expect(plan.slot(of: list[0]) == 1)
    #expect(plan.slots[4]?.isListed == false)
    let change = plan.apply(Self.addresses([2, 1, 8, 9, 10]))
    #expect(change.added == Self.addresses([2, 8, 9, 10]))
    #expect(change.removed == [list[2]])
    // Never used first, then the retired one.
    #expect(plan.round == [2, 1, 0, 5, 4])
    #expect(plan.slots[2]?.generation == 7)
    #expect(plan.slots[4]?.generation == 8)
    #expect(plan.slot(of: list[0]) == 1)
  }

  @Test func aPlanOfAnotherProcessMayLackItsTurns() {
    let list = Self.addresses([1, 2])
    var plan = ServerPlan(
      capacity: 4,
      slots: list.map { ServerPlan.Slot(address: $0, generation: 3, isListed: true) })
    #expect(plan.apply([list[1]]).removed == [list[0]])
    #expect(plan.slots[0]?.isListed == false)
  }

  @Test(arguments: [1, 2, 3, 4, 5])
  func noListBreaksTheRules(_ seed: UInt64) {
    var generator = SeededNumbers(seed: seed)
    let longest = 12
    var plan = ServerPlan(capacity: 2 * longest)
    var lastListed: [IPAddress] = []
    for _ in 0..<300 {
      let count = Int.random(in: 0...longest, using: &generator)
      let list = Self.addresses(
        (0..<count).map { _ in Int.random(in: 0..<60, using: &generator) })
      let before = plan
      let change = plan.apply(list)

      #expect(plan.round.map { plan.slots[Int($0)]?.address } == list)
      #expect(Set(change.added) == Set(list).subtracting(lastListed))
      #expect(Set(change.removed) == Set(lastListed).subtracting(list))
      let held = plan.slots.compactMap { $0?.address }
      #expect(Set(held).count == held.count)
      #expect(Set(plan.slots.compactMap { $0?.isListed == true ? $0?.address : nil }) == Set(list))
      for (old, new) in zip(before.slots, plan.slots) {
        guard let old, let new else {
          #expect(old == nil)
          continue
        }
        if old.address == new.address {
          #expect(old.generation == new.generation)
        } else {
          #expect(new.generation == old.generation + 1)
          #expect(!old.isListed)
        }
      }
      lastListed = list
    }
  }
}
