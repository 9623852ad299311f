// A BPF map whose keys and leaves are known: reads and writes, one entry or many at once.
import CBCC
import SystemPackage

/// A table with its types. Sizes are checked once, when it becomes one: the kernel reads and writes
/// as many bytes as the map says.
public struct TypedTable<Key: BitwiseCopyable, Leaf: BitwiseCopyable>: Sendable {
  public let table: Table

  private var number: Int32 { table.descriptor.number }

  /// - Throws: where the map has other sizes, or an entry for each CPU.
  public init(_ table: Table) throws(BCCError) {
    try table.check(keySize: MemoryLayout<Key>.size, leafSize: MemoryLayout<Leaf>.size)
    guard !table.isPerCPU else { throw .foreign(expected: "table with one entry for all CPUs") }
    self.table = table
  }

  /// The leaf of a key; `nil` where the table has none (`bpf_lookup_elem`).
  public func lookup(_ key: Key) -> Leaf? {
    withUnsafeTemporaryAllocation(of: Leaf.self, capacity: 1) { buffer in
      withUnsafePointer(to: key) {
        bpf_lookup_elem(number, $0, buffer.baseAddress) == 0 ? buffer[0] : nil
      }
    }
  }

  /// Sets the leaf of a key (`bpf_update_elem`).
  public func update(_ key: Key, _ leaf: Leaf) throws(BCCError) {
    let isDone = withUnsafePointer(to: key) { key in
      withUnsafePointer(to: leaf) { bpf_update_elem(number, key, $0, UInt64(BPF_ANY)) == 0 }
    }
    guard isDone else { throw failure("update") }
  }

  /// Removes a key; a key that is not there is no error (`bpf_delete_elem`).
  public func remove(_ key: Key) throws(BCCError) {
    let isDone = withUnsafePointer(to: key) { bpf_delete_elem(number, $0) == 0 }
    guard isDone || Errno.last == .noSuchFileOrDirectory else { throw failure("remove from") }
  }

  /// Sets many entries with few system calls (`bpf_update_batch`). `keys` and `leaves` are of one
  /// length.
  public func update(keys: [Key], leaves: [Leaf]) throws(BCCError) {
    precondition(keys.count == leaves.count)
    guard !keys.isEmpty else { return }
    var count = UInt32(keys.count)
    let isDone = keys.withUnsafeBytes { keys in
      leaves.withUnsafeBytes {
        bpf_update_batch(number, keys.baseAddress, $0.baseAddress, &count) == 0
      }
    }
    guard isDone else { throw failure("update") }
  }

  private func failure(_ verb: String) -> BCCError {
    .system(operation: "\(verb) the BPF table \(table.name)", errno: .last)
  }
}
