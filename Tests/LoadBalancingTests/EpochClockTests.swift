// An age in epochs as a span of time.

import Testing

@testable import LoadBalancing

@Suite struct EpochClockTests {
  static func at(_ seconds: Int64) -> Timestamp { Timestamp(seconds: seconds) }

  static func span(_ after: Int64?, _ before: Int64?) -> EpochClock.Span {
    EpochClock.Span(after: after.map(at), before: before.map(at))
  }

  /// Looks at each second from 0 on.
  static func clock(_ epochs: [UInt64]) -> EpochClock {
    var clock = EpochClock(oldestAge: 128)
    for (second, epoch) in epochs.enumerated() { clock.look(epoch, at: at(Int64(second))) }
    return clock
  }

  @Test func anAgeIsASpanBetweenTwoLooks() {
    let clock = Self.clock([10, 10, 11, 11, 13, 14])
    func use(_ age: UInt8, _ epoch: UInt64 = 14) -> EpochClock.Span {
      clock.lastUse(age: age, in: epoch, at: Self.at(6))
    }
    #expect(use(0) == Self.span(4, 6))
    #expect(use(1) == Self.span(3, 5))
    // No look has found epoch 12, which began and ended between 3 and 4.
    #expect(use(2) == Self.span(3, 4))
    #expect(use(3) == Self.span(1, 4))
    // It may have begun before the first look.
    #expect(use(4) == Self.span(nil, 2))
    #expect(use(5) == Self.span(nil, 0))
    #expect(use(127) == Self.span(nil, 0))
    #expect(use(128) == Self.span(nil, 0))
    // The table has gone on since the last look.
    #expect(use(0, 16) == Self.span(5, 6))
    #expect(use(1, 16) == Self.span(5, 6))
    #expect(use(2, 16) == Self.span(4, 6))
  }

  @Test func whatIsOldestMayBeOlder() {
    let clock = Self.clock((0..<300).map { UInt64($0) })
    func use(_ age: UInt8) -> EpochClock.Span {
      clock.lastUse(age: age, in: 299, at: Self.at(300))
    }
    for age in 0...127 as ClosedRange<UInt8> {
      #expect(use(age) == Self.span(298 - Int64(age), 300 - Int64(age)))
    }
    #expect(use(128) == Self.span(nil, 172))
  }

  @Test func withoutALookNothingIsKnownOfBefore() {
    #expect(EpochClock(oldestAge: 128).lastUse(age: 3, in: 7, at: Self.at(1)) == Self.span(nil, 1))
  }

  @Test func anotherTableBeginsAnew() {
    var clock = Self.clock([5, 6, 7])
    clock.look(2, at: Self.at(3))
    var other = EpochClock(oldestAge: 128)
    other.look(2, at: Self.at(3))
    #expect(clock == other)
    #expect(clock.lastUse(age: 0, in: 2, at: Self.at(4)) == Self.span(nil, 4))
  }

  @Test func epochsThatPassAtOnceAreOneStep() {
    var clock = Self.clock([0, 1])
    clock.look(10_000, at: Self.at(2))
    #expect(clock.lastUse(age: 0, in: 10_000, at: Self.at(3)) == Self.span(1, 3))
    #expect(clock.lastUse(age: 100, in: 10_000, at: Self.at(3)) == Self.span(1, 2))
    #expect(clock.lastUse(age: 128, in: 10_000, at: Self.at(3)) == Self.span(nil, 2))
  }
}
