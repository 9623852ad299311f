// A BPF array as memory of this process, which programs read and write at the same time.
import CBCC
import Glibc
import SystemPackage

/// The entries of an array that was made with BPF_F_MMAPABLE, mapped into memory (mmap(2)). Gone
/// with its last owner; until then the array lives on, whoever else has let go of it.
///
/// Programs and other processes write there at any time: what they may write is to be read and
/// written by atomic operations.
public final class MappedTable<Leaf>: @unchecked Sendable {
  /// `max_entries`.
  public let count: Int
  private let entries: UnsafeMutablePointer<Leaf>
  private let size: Int

  /// - Throws: where the map is no array that can be mapped, has other sizes, or was frozen.
  public init(_ table: Table) throws(BCCError) {
    try table.check(keySize: MemoryLayout<UInt32>.size, leafSize: MemoryLayout<Leaf>.size)
    guard table.type == Table.Kind.array.rawValue, table.flags & Table.mappable != 0 else {
      throw .foreign(expected: "array that can be mapped")
    }
    // The kernel's distance between two entries.
    let distance = (table.leafSize + 7) & ~7
    guard distance == MemoryLayout<Leaf>.stride else {
      throw .layout(table: table.name, expected: MemoryLayout<Leaf>.stride, found: distance)
    }
    let page = Int(getpagesize())
    count = table.capacity
    size = (count * distance + page - 1) / page * page
    let start = mmap(
      nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, table.descriptor.number, 0)
    guard let start, start != MAP_FAILED else {
      throw .system(operation: "map the BPF table \(table.name)", errno: .last)
    }
    entries = start.assumingMemoryBound(to: Leaf.self)
  }

  deinit { munmap(entries, size) }

  /// Where an entry is: only as long as somebody holds this, which the pointer does not.
  public subscript(index: Int) -> UnsafeMutablePointer<Leaf> {
    precondition(index >= 0 && index < count, "the table has no such entry")
    return entries + index
  }
}
