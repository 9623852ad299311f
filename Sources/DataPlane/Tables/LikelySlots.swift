// The table of slots by the hash of their addresses, where packets of real servers look first. What
// it says is a guess that the packet path verifies: it is in no bank.
import BCC
import CLayout
import LoadBalancing

/// One family's table `likely_slots_…`.
struct LikelySlots {
  private let table: TypedTable<UInt32, slot_line>
  private let bits: Int
  /// What the table holds, by the cell.
  private var content: [UInt16]

  /// - Parameters:
  ///   - table: of zeroes: a new one.
  ///   - bits: of a hash.
  init(_ table: Table, bits: Int) throws(BCCError) {
    self.table = try TypedTable(table)
    self.bits = bits
    content = [UInt16](repeating: 0, count: 1 << bits)
  }

  /// Puts each address's slot into its cell. Of addresses that share one, the lowest slot is found;
  /// the others are looked up in the kernel's hash.
  mutating func write(_ slotOfAddress: [IPAddress: UInt32]) throws(BCCError) {
    var next = [UInt16](repeating: .max, count: content.count)
    for (address, slot) in slotOfAddress {
      let cell = address.hash(multiplier: IPAddress.fold, bits: bits)
      next[cell] = min(next[cell], UInt16(slot))
    }
    let size = ProgramSizes.slotsOfLine
    let changed = stride(from: 0, to: next.count, by: size).filter {
      next[$0..<$0 + size] != content[$0..<$0 + size]
    }
    try table.update(
      keys: changed.map { UInt32($0 / size) },
      leaves: changed.map { start in
        var line = slot_line()
        withUnsafeMutableBytes(of: &line) { line in
          next[start..<start + size].withUnsafeBytes { line.copyMemory(from: $0) }
        }
        return line
      })
    content = next
  }
}
