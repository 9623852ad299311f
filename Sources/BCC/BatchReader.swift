// Reads a hash table from end to end, many entries a system call.
import CBCC
import Glibc
import SystemPackage

/// Walks through a hash table that may change meanwhile: what is there all the time is read once,
/// what comes or goes may be missed. Reading does not count as use of an LRU table's entries.
public struct BatchReader<Key: BitwiseCopyable, Leaf: BitwiseCopyable> {
  private let table: Table
  private let limit: Int
  /// Where the kernel goes on: an opaque word of its own.
  private var position: UInt32?
  private var isAtEnd = false

  /// - Parameter limit: the most entries of one batch; more than the fullest bucket has.
  public init(_ table: TypedTable<Key, Leaf>, limit: Int) {
    self.table = table.table
    self.limit = limit
  }

  /// The next entries; `nil` at the end.
  public mutating func next() throws(BCCError) -> (keys: [Key], leaves: [Leaf])? {
    guard !isAtEnd else { return nil }
    var count = UInt32(limit)
    var error: Errno?
    var following: UInt32 = 0
    var leaves: [Leaf] = []
    let keys = [Key](unsafeUninitializedCapacity: limit) { keys, filled in
      leaves = [Leaf](unsafeUninitializedCapacity: limit) { leaves, filled in
        let result =
          if var position {
            bpf_lookup_batch(
              table.descriptor.number, &position, &following, keys.baseAddress,
              leaves.baseAddress, &count)
          } else {
            bpf_lookup_batch(
              table.descriptor.number, nil, &following, keys.baseAddress, leaves.baseAddress,
              &count)
          }
        if result != 0 { error = .last }
        if let error, error != .noSuchFileOrDirectory { count = 0 }
        filled = Int(count)
      }
      filled = Int(count)
    }
    if let error, error != .noSuchFileOrDirectory {
      throw .system(operation: "read the BPF table \(table.name)", errno: error)
    }
    position = following
    isAtEnd = error != nil
    return (keys, leaves)
  }
}
