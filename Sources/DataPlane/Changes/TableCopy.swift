// An association table as it was when it was last looked at, in memory of this process alone.
import CLayout

/// The buckets of a table, when its clients were seen, and which were learned from other directors.
/// Owns its memory; whoever has it sees to it that one thread at a time uses it.
final class TableCopy {
  /// The words of a bucket, and behind them its stamps, without the lock.
  typealias Line = SIMD8<UInt64>

  /// All of a line but the lock.
  static let compared = Line(
    .max, .max, .max, .max, .max, .max, .max, ~0 >> UInt64(UInt8.bitWidth))

  let count: Int
  let lines: UnsafeMutablePointer<Line>
  /// With IPv6 alone: of who is shared.
  let names: UnsafeMutablePointer<bucket_clients_v6>?
  /// Of each place, and behind them a bit for each that is learned.
  private let times: UnsafeMutablePointer<SIMD8<UInt32>>

  init(buckets count: Int, hasNames: Bool) {
    self.count = count
    lines = .allocate(capacity: count)
    lines.initialize(repeating: .zero, count: count)
    times = .allocate(capacity: count)
    times.initialize(repeating: .zero, count: count)
    names = hasNames ? .allocate(capacity: count) : nil
    names?.initialize(repeating: bucket_clients_v6(), count: count)
  }

  deinit {
    lines.deallocate()
    times.deallocate()
    names?.deallocate()
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
    lines[place.bucket][place.index] = word
    setStamp(place, stamp)
  }

  func setStamp(_ place: Place, _ stamp: UInt8) {
    let shift = UInt64(place.index * 8)
    let rest = lines[place.bucket][7] & ~(0xff << shift)
    lines[place.bucket][7] = rest | UInt64(stamp) << shift
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
