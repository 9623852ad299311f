// One bucket of the association table, in memory where packets read and write it at the same time.
import CLayout
import CLinux

/// A `struct bucket`: each word and each stamp is read and written as a whole.
struct SharedBucket {
  private let words: UnsafeMutablePointer<UInt64>

  /// Places of a bucket.
  static let places = Int(BUCKET_PLACES)

  @inline(__always)
  init(_ bucket: UnsafeMutablePointer<bucket>) {
    words = UnsafeMutableRawPointer(bucket).assumingMemoryBound(to: UInt64.self)
  }

  // MARK: Words

  /// The tag of a word: its upper 48 bits.
  @inline(__always)
  static func tag(of word: UInt64) -> UInt64 { word & ~0xffff }

  /// The slot of a word: its lower 16 bits.
  @inline(__always)
  static func slot(of word: UInt64) -> UInt16 { UInt16(truncatingIfNeeded: word) }

  /// What stands in a place; 0 for nothing.
  @inline(__always)
  func word(_ place: Int) -> UInt64 { load_64(words + place) }

  /// Puts a word where none is in nobody's way.
  @inline(__always)
  func setWord(_ place: Int, _ word: UInt64) { store_64(words + place, word) }

  /// - Returns: false where what was seen is not there any more.
  @inline(__always)
  func swapWord(_ place: Int, _ seen: UInt64, for word: UInt64) -> Bool {
    swap_64(words + place, seen, word)
  }

  // MARK: Stamps

  /// The octets of all stamps and the lock, which stand behind the words.
  private var stamps: UnsafeMutablePointer<UInt64> { words + SharedBucket.places }

  @inline(__always)
  private func stampPointer(_ place: Int) -> UnsafeMutablePointer<UInt8> {
    UnsafeMutableRawPointer(stamps).assumingMemoryBound(to: UInt8.self) + place
  }

  @inline(__always)
  func stamp(_ place: Int) -> UInt8 { load_8(stampPointer(place)) }

  @inline(__always)
  func setStamp(_ place: Int, _ stamp: UInt8) { store_8(stampPointer(place), stamp) }

  /// Sets a stamp.
  ///
  /// - Returns: false where a packet has set it since it was seen.
  @inline(__always)
  @discardableResult
  func swapStamp(_ place: Int, _ seen: UInt8, for stamp: UInt8) -> Bool {
    swap_8(stampPointer(place), seen, stamp)
  }

  /// Makes the stamps ranks, of places that nobody has used yet.
  func beginRanks() {
    for place in 0..<SharedBucket.places { setStamp(place, UInt8(place)) }
  }

  /// Gives a place a rank that is lower than its own; those between move up by one. All in one step,
  /// that packets see whole and whose own are kept.
  func setRank(_ place: Int, _ rank: UInt8) {
    while true {
      let seen = load_64(stamps)
      var next = seen
      let former = UInt8(truncatingIfNeeded: seen >> (8 * UInt64(place)))
      guard rank < former else { return }
      for other in 0..<SharedBucket.places {
        let shift = 8 * UInt64(other)
        let rankOfOther = UInt8(truncatingIfNeeded: seen >> shift)
        if other == place {
          next -= UInt64(former - rank) << shift
        } else if (rank..<former).contains(rankOfOther) {
          next += 1 << shift
        }
      }
      if swap_64(stamps, seen, next) { return }
    }
  }
}
