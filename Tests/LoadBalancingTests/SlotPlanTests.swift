// The planning of slots: what stays, what comes back, what is reused.

import TestSupport
import Testing

@testable import LoadBalancing

@Suite struct SlotPlanTests {
  typealias Member = SlotPlan.Member

  /// Members of a virtual server.
  static func members(_ numbers: some Sequence<Int>, of virtualServer: UInt8 = 0) -> [Member] {
    numbers.map {
      Member(
        virtualServer: virtualServer,
        address: IPAddress(octets: [10, 0, UInt8($0 >> 8), UInt8($0 & 255)]))
    }
  }

  /// All up.
  static func list(
    _ numbers: some Sequence<Int>, of virtualServer: UInt8 = 0
  ) -> [(member: Member, state: RealServer.State)] {
    members(numbers, of: virtualServer).map { ($0, .up) }
  }

  static func slots(_ plan: SlotPlan, _ numbers: some Sequence<Int>) -> [UInt32?] {
    members(numbers).map { plan.slot(of: $0) }
  }

  @Test func slotsAreGivenInTheOrderOfTheList() throws {
    var plan = SlotPlan(capacity: 8)
    let change = try plan.apply(Self.list([3, 1, 3, 2]))
    #expect(change.added == Self.members([3, 1, 2]))
    #expect(change.removed.isEmpty && change.reused.isEmpty && change.restated.isEmpty)
    #expect(Self.slots(plan, [3, 1, 2]) == [0, 1, 2])
    #expect(plan.slots.count == 8)
    #expect(plan.slots[1] == SlotPlan.Slot(member: Self.members([1])[0], state: .up))
    #expect(plan.slots[3] == nil)
  }

  @Test func anUnchangedListChangesNothing() throws {
    var plan = SlotPlan(capacity: 8)
    _ = try plan.apply(Self.list([1, 2]))
    let before = plan
    #expect(try plan.apply(Self.list([1, 2])) == SlotPlan.Change())
    #expect(try plan.apply(Self.list([2, 1])) == SlotPlan.Change())
    #expect(plan == before)
  }

  @Test func whoIsBehindTwoVirtualServersHasTwoSlots() throws {
    var plan = SlotPlan(capacity: 8)
    let change = try plan.apply(Self.list([1, 2]) + Self.list([1], of: 7))
    #expect(change.added == Self.members([1, 2]) + Self.members([1], of: 7))
    #expect(plan.slot(of: Self.members([1])[0]) == 0)
    #expect(plan.slot(of: Self.members([1], of: 7)[0]) == 2)
    #expect(try plan.apply(Self.list([1], of: 7)).removed == Self.members([1, 2]))
    #expect(plan.slots.map { $0?.isListed } == [false, false, true, nil, nil, nil, nil, nil])
  }

  @Test func aStateIsKeptWithTheSlot() throws {
    var plan = SlotPlan(capacity: 4)
    _ = try plan.apply(Self.list([1, 2]))
    let drained = [
      (member: Self.members([1])[0], state: RealServer.State.draining),
      (member: Self.members([2])[0], state: .down),
    ]
    #expect(try plan.apply(drained).restated == Self.members([1, 2]))
    #expect(plan.slots.map { $0?.state } == [.draining, .down, nil, nil])
    // Who is down holds its slot as the others do.
    #expect(try plan.apply(drained + Self.list([3, 4])).reused == [])
    #expect(throws: SlotPlan.TooManyMembers(count: 5, slots: 4)) {
      try plan.apply(drained + Self.list([3, 4, 5]))
    }
    #expect(try plan.apply(Self.list([1, 3, 4])).restated == Self.members([1]))
    #expect(plan.slots.map { $0?.state } == [.up, nil, .up, .up])
  }

  @Test func whoIsThereTwiceIsInTheStateInWhichItServesMost() throws {
    var plan = SlotPlan(capacity: 4)
    let member = Self.members([1])[0]
    for states in [[.draining, .up, .down], [.up, .down]] as [[RealServer.State]] {
      _ = try plan.apply(states.map { (member, $0) })
      #expect(plan.slots[0]?.state == .up)
    }
    #expect(try plan.apply([(member, .down), (member, .draining)]).restated == [member])
    #expect(plan.slots[0]?.state == .draining)
  }

  @Test func whoComesBackFindsItsSlot() throws {
    var plan = SlotPlan(capacity: 4)
    _ = try plan.apply(Self.list([1, 2]))
    let slot = plan.slots[0]
    #expect(try plan.apply(Self.list([2])).removed == Self.members([1]))
    #expect(plan.slots[0]?.isListed == false)
    #expect(plan.slot(of: Self.members([1])[0]) == 0)
    let change = try plan.apply(Self.list([3, 2, 1]))
    #expect(change.added == Self.members([3, 1]) && change.reused.isEmpty)
    #expect(change.restated.isEmpty)
    #expect(plan.slots[0] == slot)
  }

  @Test func theSlotThatWasLeftFirstIsReusedFirst() throws {
    var plan = SlotPlan(capacity: 3)
    #expect(try plan.apply(Self.list([1, 2, 3])).reused == [])
    _ = try plan.apply(Self.list([1, 3]))
    _ = try plan.apply(Self.list([3]))
    #expect(try plan.apply(Self.list([3, 4])).reused == [1])
    #expect(plan.slots[1]?.member == Self.members([4])[0])
    #expect(plan.slot(of: Self.members([2])[0]) == nil)
    // 2 is a stranger now: it gets the slot of 1.
    #expect(try plan.apply(Self.list([3, 4, 2])).reused == [0])
    #expect(plan.slots[0]?.member == Self.members([2])[0])
  }

  @Test func anotherListReusesNoSlotOfTheOneBefore() throws {
    let longest = 64
    var plan = SlotPlan(capacity: SlotPlan.capacity(maxRealServers: UInt32(longest)))
    var before = Set<UInt32>()
    for turn in 0..<10 {
      let numbers = (turn * longest)..<((turn + 1) * longest)
      let change = try plan.apply(Self.list(numbers))
      #expect(change.added.count == longest)
      #expect(change.reused.count == (turn < 2 ? 0 : longest))
      let now = Set(Self.slots(plan, numbers).compactMap { $0 })
      #expect(now.count == longest)
      #expect(before.isDisjoint(with: now))
      before = now
    }
  }

  @Test func thereAreNoMoreSlotsThanAnAssociationCanTell() {
    #expect(SlotPlan.capacity(maxRealServers: 1) == 2)
    #expect(SlotPlan.capacity(maxRealServers: 32_767) == 65_534)
    #expect(SlotPlan.capacity(maxRealServers: 32_768) == 65_535)
    #expect(SlotPlan.capacity(maxRealServers: .max) == 65_535)
    #expect(SlotPlan.capacity(maxRealServers: 32, virtualServers: 64) == 4096)
    #expect(SlotPlan.capacity(maxRealServers: 1024, virtualServers: 32) == 65_535)
    #expect(SlotPlan.capacity(maxRealServers: .max, virtualServers: .max) == 65_535)
  }

  @Test func aListThatDoesNotFitBesideTheOneBeforeIsRefusedWhole() throws {
    var plan = SlotPlan(capacity: 5)
    _ = try plan.apply(Self.list([1, 2, 3]))
    _ = try plan.apply(Self.list([1, 2]))
    let before = plan
    for list in [[1, 4, 5, 6, 7], [3, 4, 5, 6], [4, 5, 6, 7, 4]] {
      let count = Set(list + [1, 2]).count
      #expect(throws: SlotPlan.TooManyMembers(count: count, slots: 5)) {
        try plan.apply(Self.list(list))
      }
      #expect(plan == before)
    }
    // In two steps, all can be had.
    #expect(try plan.apply(Self.list([4, 5, 6])).reused == [2])
    #expect(try plan.apply([]).removed == Self.members([6, 4, 5]))
    #expect(try plan.apply(Self.list(7..<12)).reused.count == 5)
    #expect(throws: SlotPlan.TooManyMembers.self) { try plan.apply(Self.list([1])) }
    #expect(SlotPlan(capacity: 0).slots.isEmpty)
  }

  @Test func moreSlotsComeBehindThePresentOnes() throws {
    var plan = SlotPlan(capacity: 2)
    _ = try plan.apply(Self.list([1, 2]))
    _ = try plan.apply(Self.list([2]))
    plan.grow(to: 4)
    #expect(plan.slots.count == 4)
    // Slots without a member are used before those of who is gone.
    #expect(try plan.apply(Self.list([2, 3, 4])).reused == [])
    #expect(Self.slots(plan, [1, 2, 3, 4]) == [0, 1, 2, 3])
    plan.grow(to: 3)
    #expect(plan.slots.count == 4)
  }

  @Test func theSlotsOfAVirtualServerThatIsGoneAreFree() throws {
    var plan = SlotPlan(capacity: 6)
    _ = try plan.apply(Self.list([1, 2], of: 3) + Self.list([1]) + Self.list([3], of: 3))
    // It is still listed: nothing is forgotten.
    #expect(plan.forget(virtualServer: 3) == [])
    _ = try plan.apply(Self.list([1]))
    _ = try plan.apply(Self.list([2]))
    #expect(plan.forget(virtualServer: 3) == [0, 1, 3])
    #expect(plan.forget(virtualServer: 3) == [])
    #expect(plan.slots.map { $0 == nil } == [true, true, false, true, false, true])
    #expect(plan.slot(of: Self.members([1], of: 3)[0]) == nil)
    // What is forgotten is used before what left, the lowest number first.
    #expect(try plan.apply(Self.list([2, 4, 5, 6, 7])).reused == [])
    #expect(Self.slots(plan, [4, 5, 6, 7]) == [0, 1, 3, 5])
    #expect(plan.slot(of: Self.members([1])[0]) == 2)
  }

  @Test func aPlanOfAnotherProcessGoesOn() throws {
    let list = Self.members([1, 2, 3, 1])
    var slots: [SlotPlan.Slot?] = list.map { SlotPlan.Slot(member: $0, state: .up) }
    slots[1]?.state = nil
    slots.insert(nil, at: 0)
    var plan = SlotPlan(capacity: 7, slots: slots)
    #expect(plan.slots.count == 7)
    #expect(plan.slot(of: list[0]) == 1)
    // The second slot of address 1 is retired.
    #expect(plan.slots[4]?.isListed == false)
    let change = try plan.apply(Self.list([2, 1, 8, 9, 10, 11]))
    #expect(change.added == Self.members([2, 8, 9, 10, 11]))
    #expect(change.removed == [list[2]])
    // Without a member first, then the retired one, and not the one that leaves.
    #expect(Self.slots(plan, [2, 1, 8, 9, 10, 11]) == [2, 1, 0, 5, 6, 4])
    #expect(change.reused == [4])
  }

  @Test func aListedSlotOfAMemberGoesBeforeARetiredOne() {
    let member = Self.members([1])[0]
    let plan = SlotPlan(
      capacity: 2,
      slots: [
        SlotPlan.Slot(member: member, state: nil), SlotPlan.Slot(member: member, state: .down),
      ])
    #expect(plan.slot(of: member) == 1)
  }

  @Test(arguments: [1, 2, 3, 4, 5], [12, 19, 24])
  func noListBreaksTheRules(_ seed: UInt64, _ capacity: Int) {
    var generator = SeededNumbers(seed: seed)
    let longest = 12
    var plan = SlotPlan(capacity: capacity)
    var lastListed: [Member] = []
    for _ in 0..<300 {
      let count = Int.random(in: 0...longest, using: &generator)
      let list = (0..<count).map { _ in
        (
          member: Self.members(
            [Int.random(in: 0..<20, using: &generator)],
            of: UInt8.random(in: 0..<3, using: &generator))[0],
          state: RealServer.State.allCases.randomElement(using: &generator) ?? .up
        )
      }
      let listed = Set(list.map(\.member))
      let before = plan
      let both = listed.union(lastListed).count
      guard let change = try? plan.apply(list) else {
        #expect(both > capacity && plan == before)
        continue
      }
      #expect(both <= capacity)
      #expect(Set(change.added) == listed.subtracting(lastListed))
      #expect(Set(change.removed) == Set(lastListed).subtracting(listed))
      let held = plan.slots.compactMap { $0?.member }
      #expect(Set(held).count == held.count)
      #expect(Set(plan.slots.compactMap { $0?.isListed == true ? $0?.member : nil }) == listed)
      var restated: Set<Member> = []
      for member in listed {
        let states = list.filter { $0.member == member }.map(\.state)
        let number = plan.slot(of: member)
        let slot = number.flatMap { plan.slots[Int($0)] }
        #expect(slot == SlotPlan.Slot(member: member, state: states.max()))
        if let old = before.slot(of: member).flatMap({ before.slots[Int($0)] }) {
          #expect(before.slot(of: member) == number)
          if old.isListed, old.state != states.max() { restated.insert(member) }
        }
      }
      #expect(Set(change.restated) == restated && change.restated.count == restated.count)
      var reused: [UInt32] = []
      for (number, (old, new)) in zip(before.slots, plan.slots).enumerated() {
        guard let old, let new else {
          #expect(old == nil)
          continue
        }
        if old.member != new.member {
          #expect(!old.isListed)
          reused.append(UInt32(number))
        }
      }
      #expect(change.reused.sorted() == reused)
      lastListed = Array(listed)
      if Int.random(in: 0..<10, using: &generator) == 0 {
        let gone = UInt8.random(in: 0..<3, using: &generator)
        let free = plan.slots.indices.filter {
          plan.slots[$0]?.member.virtualServer == gone && plan.slots[$0]?.isListed == false
        }
        #expect(plan.forget(virtualServer: gone) == free.map(UInt32.init))
        #expect(free.allSatisfy { plan.slots[$0] == nil })
      }
    }
  }
}

@Suite struct RealServerTests {
  @Test func aWeightOfZeroDrains() {
    let address = SlotPlanTests.members([1])[0].address
    #expect(RealServer(address).service == .up)
    #expect(RealServer(address, weight: 0).service == .draining)
    #expect(RealServer(address, weight: 3, state: .draining).service == .draining)
    #expect(RealServer(address, weight: 0, state: .down).service == .down)
  }
}
