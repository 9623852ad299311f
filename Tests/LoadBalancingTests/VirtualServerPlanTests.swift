// The planning of the virtual servers' numbers: who keeps one, who gets one, when it is free again.

import TestSupport
import Testing

@testable import LoadBalancing

@Suite struct VirtualServerPlanTests {
  typealias Holder = VirtualServerPlan.Holder

  static func list(
    _ names: some Sequence<String>, _ family: AddressFamily = .ipv4
  ) -> [VirtualServer] {
    [server(nil, .ipv4)] + names.map { server($0, family) }
  }

  static func server(_ name: String?, _ family: AddressFamily) -> VirtualServer {
    VirtualServer(
      name: name, address: IPAddress(family == .ipv4 ? "10.40.0.1" : "fd60::1")!, ports: [1],
      realServers: [])
  }

  @Test func theCommandLinesIsAlwaysTheFirst() throws {
    var plan = VirtualServerPlan()
    #expect(try plan.apply(Self.list([])) == VirtualServerPlan.Change(numbers: [0]))
    #expect(
      try plan.apply([Self.server(nil, .ipv6)] + [Self.server("a", .ipv4)])
        == VirtualServerPlan.Change(numbers: [0, 1], added: [1]))
    #expect(plan.number(of: Self.server(nil, .ipv4)) == 0)
    #expect(plan.number(of: Self.server("b", .ipv4)) == nil)
  }

  @Test func aNameKeepsItsNumberWhereverItMoves() throws {
    var plan = VirtualServerPlan()
    #expect(try plan.apply(Self.list(["a", "b", "c"])).numbers == [0, 1, 2, 3])
    var other = Self.list(["c", "d", "a"])
    other[1].address = IPAddress("10.40.0.99")!
    other[1].ports = [7]
    #expect(
      try plan.apply(other)
        == VirtualServerPlan.Change(numbers: [0, 3, 4, 1], added: [4], removed: [2]))
    #expect(plan.number(of: other[1]) == 3)
  }

  @Test func aNumberIsFreeAgainWhenItIsSwept() throws {
    var plan = VirtualServerPlan()
    _ = try plan.apply(Self.list(["a", "b"]))
    #expect(try plan.apply(Self.list(["b"])).removed == [1])
    #expect(plan.unswept == [1])
    // Not even for the one that had it.
    #expect(try plan.apply(Self.list(["b", "a"])).numbers == [0, 2, 3])
    plan.markSwept(1)
    #expect(plan.unswept == [])
    #expect(try plan.apply(Self.list(["b", "a", "c"])).numbers == [0, 2, 3, 1])
  }

  @Test func anotherFamilyIsAnotherVirtualServer() throws {
    var plan = VirtualServerPlan()
    _ = try plan.apply(Self.list(["a"]))
    #expect(
      try plan.apply(Self.list(["a"], .ipv6))
        == VirtualServerPlan.Change(numbers: [0, 2], added: [2], removed: [1]))
  }

  @Test func allCanBeReplacedAtOnce() throws {
    var plan = VirtualServerPlan()
    for turn in 0..<5 {
      let list = Self.list((1..<64).map { "\(turn)-\($0)" })
      let change = try plan.apply(list)
      #expect(Set(change.numbers).count == 64)
      #expect(change.removed.count == (turn == 0 ? 0 : 63))
      for number in change.removed { plan.markSwept(number) }
    }
  }

  @Test func aListIsRefusedWholeWhereTooManyAreNotSwept() throws {
    var plan = VirtualServerPlan()
    _ = try plan.apply(Self.list((1..<64).map { "0-\($0)" }))
    _ = try plan.apply(Self.list((1..<64).map { "1-\($0)" }))
    let before = plan
    #expect(throws: VirtualServerPlan.TooFewNumbers(needed: 2, free: 1)) {
      try plan.apply(Self.list(["x", "1-7", "y"]))
    }
    #expect(plan == before)
    #expect(try plan.apply(Self.list(["x", "1-7"])).numbers == [0, 127, 70])
  }

  @Test func aPlanOfAnotherProcessGoesOn() throws {
    let (a, b) = (Holder(name: "a", family: .ipv4), Holder(name: "b", family: .ipv4))
    var plan = VirtualServerPlan(
      holders: [0: b, 5: a, 9: a, 7: b, 128: b, 3: Holder(name: "c", family: .ipv6)],
      unswept: [0, 7, 200])
    #expect(plan.unswept == [7, 9])
    #expect(
      try plan.apply(Self.list(["b", "a"]))
        == VirtualServerPlan.Change(numbers: [0, 1, 5], added: [1], removed: [3]))
    #expect(plan.unswept == [3, 7, 9])
  }

  @Test(arguments: 1...5)
  func noTwoHaveOneNumber(_ seed: UInt64) {
    var generator = SeededNumbers(seed: seed)
    var plan = VirtualServerPlan()
    for _ in 0..<200 {
      let names = Set(
        (0..<Int.random(in: 0...63, using: &generator)).map { _ in
          "\(Int.random(in: 0..<100, using: &generator))"
        })
      let list = Self.list(names.sorted().shuffled(using: &generator))
      let before = plan
      guard let change = try? plan.apply(list) else {
        #expect(plan == before && plan.unswept.count > 0)
        for number in plan.unswept { plan.markSwept(number) }
        continue
      }
      #expect(change.numbers == list.map { plan.number(of: $0) })
      #expect(Set(change.numbers).count == list.count)
      #expect(plan.unswept.isDisjoint(with: change.numbers))
      for (server, number) in zip(list, change.numbers) {
        if let old = before.number(of: server) { #expect(old == number) }
      }
      if let swept = plan.unswept.randomElement(using: &generator) { plan.markSwept(swept) }
    }
  }
}
