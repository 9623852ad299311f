// A BPF map: typed reads and writes, one entry or many at once.
import CBCC
import Glibc
import SystemPackage

/// A BPF map. Keys and leaves are plain C structs, checked against the map's own sizes.
public final class Table: KernelObject {
  /// The types of maps that this module knows how to read and write (`enum bpf_map_type`).
  public enum Kind: Sendable {
    case hash, array, leastRecentlyUsed

    public var rawValue: UInt32 {
      switch self {
      case .hash: BPF_MAP_TYPE_HASH.rawValue
      case .array: BPF_MAP_TYPE_ARRAY.rawValue
      case .leastRecentlyUsed: BPF_MAP_TYPE_LRU_HASH.rawValue
      }
    }
  }

  public let name: String
  /// `enum bpf_map_type`.
  public let type: UInt32
  /// Bytes of a key.
  public let keySize: Int
  /// Bytes of a leaf; of a per-CPU table, on one CPU.
  public let leafSize: Int
  /// `max_entries`.
  public let capacity: Int
  /// `map_flags`.
  public let flags: UInt32
  let descriptor: Descriptor

  init(
    name: String, type: UInt32, keySize: Int, leafSize: Int, capacity: Int, flags: UInt32,
    descriptor: Descriptor
  ) {
    self.name = name
    self.type = type
    self.keySize = keySize
    self.leafSize = leafSize
    self.capacity = capacity
    self.flags = flags
    self.descriptor = descriptor
  }

  /// The map behind a descriptor that somebody else has kept. Takes the descriptor over.
  public convenience init(adopting file: FileDescriptor) throws(BCCError) {
    let descriptor = try Descriptor(adopting: file, as: .table)
    var info = bpf_map_info()
    var length = UInt32(MemoryLayout<bpf_map_info>.size)
    guard bpf_obj_get_info_by_fd(descriptor.number, &info, &length) == 0 else {
      throw .system(operation: "look at a kept BPF table", errno: .last)
    }
    let name = String(cArray: info.name)
    self.init(
      name: name, type: info.type, keySize: Int(info.key_size), leafSize: Int(info.value_size),
      capacity: Int(info.max_entries), flags: info.map_flags, descriptor: descriptor)
  }

  /// How many entries an LRU table holds in any case, before it evicts any. Each CPU keeps a batch
  /// of free entries to itself: at most 128, and at most half of its share.
  public var undisputedCapacity: Int {
    let cpus = max(1, Int(libbpf_num_possible_cpus()))
    return max(1, capacity - cpus * max(1, min(128, capacity / cpus / 2)))
  }

  /// Lends the descriptor for the time of a call that hands it to somebody else.
  public func withDescriptor<Result>(_ body: (FileDescriptor) throws -> Result) rethrows -> Result {
    try body(descriptor.file)
  }

  /// The leaf of a key; `nil` where the table has none.
  public func lookup<Key: BitwiseCopyable, Leaf: BitwiseCopyable>(
    _ key: Key, as leaf: Leaf.Type = Leaf.self
  ) throws(BCCError) -> Leaf? {
    try check(key: Key.self, leaf: Leaf.self)
    return withUnsafeTemporaryAllocation(of: Leaf.self, capacity: 1) { buffer in
      withUnsafePointer(to: key) {
        bpf_map_lookup_elem(descriptor.number, $0, buffer.baseAddress) == 0 ? buffer[0] : nil
      }
    }
  }

  /// Sets the leaf of a key.
  public func update<Key: BitwiseCopyable, Leaf: BitwiseCopyable>(_ key: Key, _ leaf: Leaf)
    throws(BCCError)
  {
    try check(key: Key.self, leaf: Leaf.self)
    let failed = withUnsafePointer(to: key) { key in
      withUnsafePointer(to: leaf) { bpf_map_update_elem(descriptor.number, key, $0, 0) != 0 }
    }
    if failed { throw .system(operation: "update the BPF table \(name)", errno: .last) }
  }

  /// Removes a key; a key that is not there is no error.
  public func remove<Key: BitwiseCopyable>(_ key: Key) throws(BCCError) {
    try check(key: Key.self)
    let failed = withUnsafePointer(to: key) { bpf_map_delete_elem(descriptor.number, $0) != 0 }
    if failed, Errno.last != .noSuchFileOrDirectory {
      throw .system(operation: "remove from the BPF table \(name)", errno: .last)
    }
  }

  /// Sets many entries with few system calls. `keys` and `leaves` are of one length.
  public func update<Key: BitwiseCopyable, Leaf: BitwiseCopyable>(
    keys: [Key], leaves: [Leaf]
  ) throws(BCCError) {
    try check(key: Key.self, leaf: Leaf.self)
    precondition(keys.count == leaves.count)
    guard !keys.isEmpty else { return }
    var count = UInt32(keys.count)
    let failed = keys.withUnsafeBytes { keys in
      leaves.withUnsafeBytes {
        bpf_map_update_batch(
          descriptor.number, keys.baseAddress, $0.baseAddress, &count, nil) != 0
      }
    }
    if failed { throw .system(operation: "update the BPF table \(name)", errno: .last) }
  }

  /// Sets the leaf of a key that the table does not have yet (BPF_NOEXIST).
  ///
  /// - Returns: false where it has the key.
  @discardableResult
  public func insert<Key: BitwiseCopyable, Leaf: BitwiseCopyable>(_ key: Key, _ leaf: Leaf)
    throws(BCCError) -> Bool
  {
    try check(key: Key.self, leaf: Leaf.self)
    let failed = withUnsafePointer(to: key) { key in
      withUnsafePointer(to: leaf) {
        bpf_map_update_elem(descriptor.number, key, $0, UInt64(BPF_NOEXIST)) != 0
      }
    }
    if failed, Errno.last == .fileExists { return false }
    if failed { throw .system(operation: "update the BPF table \(name)", errno: .last) }
    return true
  }

  /// The sum of a counter over all CPUs, of a per-CPU table with leaves of eight bytes.
  public func sum(_ key: UInt32) throws(BCCError) -> UInt64 {
    try check(key: UInt32.self, leaf: UInt64.self)
    let cpus = Int(libbpf_num_possible_cpus())
    guard cpus > 0 else {
      throw .system(operation: "count the CPUs", errno: Errno(rawValue: Int32(-cpus)))
    }
    var values = [UInt64](repeating: 0, count: cpus)
    let failed = withUnsafePointer(to: key) {
      bpf_map_lookup_elem(descriptor.number, $0, &values) != 0
    }
    if failed { throw .system(operation: "read the BPF table \(name)", errno: .last) }
    return values.reduce(0, &+)
  }

  private func check<Key>(key: Key.Type) throws(BCCError) {
    guard MemoryLayout<Key>.size == keySize else {
      throw .layout(table: name, expected: MemoryLayout<Key>.size, found: keySize)
    }
  }

  private func check<Key, Leaf>(key: Key.Type, leaf: Leaf.Type) throws(BCCError) {
    try check(key: Key.self)
    guard MemoryLayout<Leaf>.size == leafSize else {
      throw .layout(table: name, expected: MemoryLayout<Leaf>.size, found: leafSize)
    }
  }
}
