// Half seconds without a division: as good as with one.
import TestSupport
import Testing

@testable import DataPlane

@Suite("Half seconds")
struct HalfSecondTests {
  private static let halfSecond: UInt64 = 500_000_000
  private static let year: UInt64 = 365 * 24 * 3600 * 1_000_000_000

  @Test("they are those of a division, a millisecond late and a second in 50 years")
  func exact() {
    var numbers = SeededNumbers(seed: 11)
    for years: UInt64 in [1, 2, 5, 17] {
      for _ in 0..<10_000 {
        let time = UInt64.random(in: 0..<years * Self.year, using: &numbers)
        let late = min(time, (1 << 20) + time / 1_000_000_000)
        let told = Admissions.halfSeconds(of: time)
        #expect(told <= time / Self.halfSecond && told >= (time - late) / Self.halfSecond)
      }
    }
  }

  @Test("they follow each other")
  func steady() {
    let first = 3 * Self.year
    var last = Admissions.halfSeconds(of: first)
    for milliseconds in 1..<20_000 as Range<UInt64> {
      let next = Admissions.halfSeconds(of: first + milliseconds * 1_000_000)
      #expect(next == last || next == last + 1)
      last = next
    }
    #expect((39...41).contains(last - Admissions.halfSeconds(of: first)))
  }
}
