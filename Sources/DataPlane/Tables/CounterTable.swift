// Counters in memory that packets count in: read by anybody, begun anew by the daemon alone. Knows not
// what is counted.
import BCC
import CLinux
import LoadBalancing

/// How many blocks the tables of counters have.
enum CounterBlocks {
  /// That of the daemon, and one for each CPU.
  static func count(cpus: Int) -> Int { 1 + cpus }

  /// The CPUs of this machine.
  static func cpus() throws(DataPlaneError) -> Int {
    do { return try PossibleCPUs.bound() } catch { throw .wording(error) }
  }
}

/// Counters of one kind, in blocks. An entry is of 64-bit counts, each of which is the sum over all
/// blocks, modulo 2^64.
///
/// Packets write all blocks but the first at any time. The first is written by one thread alone, the
/// daemon's loop; everybody may read.
struct CounterTable<Entry: BitwiseCopyable>: Sendable {
  private let entries: MappedTable<Entry>
  /// Entries of a block.
  let count: Int

  private static var words: Int { MemoryLayout<Entry>.size / MemoryLayout<UInt64>.size }

  /// - Parameter count: entries of a block; whole blocks are looked at alone.
  init(_ table: Table, count: Int) throws(BCCError) {
    entries = try MappedTable(table)
    self.count = count
  }

  private var blocks: Int { count > 0 ? entries.count / count : 0 }

  private func words(_ index: Int, block: Int) -> UnsafeMutablePointer<UInt64> {
    UnsafeMutableRawPointer(entries[block * count + index]).assumingMemoryBound(to: UInt64.self)
  }

  private func sum(of blocks: Range<Int>, _ index: Int) -> Entry {
    withUnsafeTemporaryAllocation(of: Entry.self, capacity: 1) { sums in
      let sums = UnsafeMutableRawPointer(sums.baseAddress!).assumingMemoryBound(to: UInt64.self)
      for word in 0..<Self.words { sums[word] = 0 }
      for block in blocks {
        let words = words(index, block: block)
        for word in 0..<Self.words { sums[word] &+= load_64(words + word) }
      }
      return UnsafeRawPointer(sums).assumingMemoryBound(to: Entry.self).pointee
    }
  }

  /// The counts of an entry.
  subscript(index: Int) -> Entry { sum(of: 0..<blocks, index) }

  /// The sum of some counts over all entries.
  ///
  /// - Parameter words: which ones, counted in words of an entry.
  func total(_ words: Range<Int>) -> [UInt64] {
    var totals = [UInt64](repeating: 0, count: words.count)
    for block in 0..<blocks {
      for index in 0..<count {
        let entry = self.words(index, block: block) + words.lowerBound
        for word in 0..<words.count { totals[word] &+= load_64(entry + word) }
      }
    }
    return totals
  }

  /// What the daemon's block holds of an entry.
  func own(_ index: Int) -> Entry { sum(of: 0..<1, index) }

  /// Begins an entry's counts anew. Nobody may count there now: what is counted meanwhile may be lost.
  func reset(_ index: Int) {
    let counts = self[index]
    change(index) { own, word in own &- Self.word(word, of: counts) }
  }

  /// Adds counts, less some that were added before.
  func add(_ index: Int, _ counts: Entry, less former: Entry? = nil) {
    change(index) { own, word in
      own &+ Self.word(word, of: counts) &- (former.map { Self.word(word, of: $0) } ?? 0)
    }
  }

  private func change(_ index: Int, _ next: (_ own: UInt64, _ word: Int) -> UInt64) {
    let own = words(index, block: 0)
    for word in 0..<Self.words { store_64(own + word, next(load_64(own + word), word)) }
  }

  private static func word(_ index: Int, of entry: Entry) -> UInt64 {
    withUnsafeBytes(of: entry) { $0.assumingMemoryBound(to: UInt64.self)[index] }
  }
}
