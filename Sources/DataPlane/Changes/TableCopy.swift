// An association table as it was when it was last looked at, in memory of this process alone.
import CLayout
import CLinux

/// The buckets of a table, when its clients were seen, and which were learned from other directors.
/// Owns its memory; whoever has it sees to it that one thread at a time uses it.
final class TableCopy {
  /// The words of a bucket, and behind them its stamps, without the lock.
  typealias Line = SIMD8<UInt64>

  /// All of a line but the lock.
  static let compared = Line(
    .max, .max, .max, .max, .max, .max, .max, ~0 >> UInt64(UInt8.bitWidth))

  let count: Int
  private let lines: UnsafeMutablePointer<Line>
  /// Of each line: what is compared is a number and not a line, of which a table may have millions.
  private let sums: UnsafeMutablePointer<UInt64>
  /// With IPv6 alone: of who is shared.
  let names: UnsafeMutablePointer<bucket_clients_v6>?
  /// Of each place, and behind them a bit for each that is learned.
  private let times: UnsafeMutablePointer<SIMD8<UInt32>>

  init(buckets count: Int, hasNames: Bool) {
    self.count = count
    lines = .allocate(capacity: count)
    lines.initialize(repeating: .zero, count: count)
    sums = .allocate(capacity: count)
    sums.initialize(repeating: 0, count: count)
    times = .allocate(capacity: count)
    times.initialize(repeating: .zero, count: count)
    names = hasNames ? .allocate(capacity: count) : nil
    names?.initialize(repeating: bucket_clients_v6(), count: count)
  }

  deinit {
    lines.deallocate()
    sums.deallocate()
    times.deallocate()
    names?.deallocate()
  }

  // MARK: Lines

  /// Odd, so that no change of one word leaves a sum as it was.
  private static let factors = Line(
    0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93,
    0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3)

  /// Whether a line is the one of the copy: where several words have changed at once, one in 2⁶⁴ is taken
  /// for the same until it changes again.
  @inline(__always)
  func isSame(_ line: Line, inBucket bucket: Int) -> Bool {
    (line &* Self.factors).wrappedSum() == sums[bucket]
  }

  func line(_ bucket: Int) -> Line { lines[bucket] }

  /// Asks memory for what is known of a bucket.
  @inline(__always)
  func fetch(_ bucket: Int) {
    prefetch(lines + bucket)
    prefetch(times + bucket)
  }

  private func set(_ bucket: Int, _ index: Int, _ word: UInt64) {
    sums[bucket] &+= (word &- lines[bucket][index]) &* Self.factors[index]
    lines[bucket][index] = word
  }

  // MARK: Places

  typealias Place = AssociationTable.Place

  func word(_ place: Place) -> UInt64 { lines[place.bucket][place.index] }

  func stamp(_ place: Place) -> UInt8 { Self.stamp(lines[place.bucket], place.index) }

  @inline(__always)
  static func stamp(_ line: Line, _ index: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: line[7] >> UInt64(index * 8))
  }

  func set(_ place: Place, word: UInt64, stamp: UInt8) {
    set(place.bucket, place.index, word)
    setStamp(place, stamp)
  }

  private func setStamp(_ place: Place, _ stamp: UInt8) {
    let shift = UInt64(place.index * 8)
    let rest = lines[place.bucket][7] & ~(0xff << shift)
    set(place.bucket, 7, rest | UInt64(stamp) << shift)
  }

  @inline(__always)
  func time(_ place: Place) -> UInt32 { times[place.bucket][place.index] }

  @inline(__always)
  func isLearned(_ place: Place) -> Bool { times[place.bucket][7] >> UInt32(place.index) & 1 == 1 }

  @inline(__always)
  func setTime(_ place: Place, _ time: UInt32, isLearned: Bool) {
    times[place.bucket][place.index] = time
    let bit = 1 << UInt32(place.index) as UInt32
    let others = times[place.bucket][7] & ~bit
    times[place.bucket][7] = isLearned ? others | bit : others
  }
}
