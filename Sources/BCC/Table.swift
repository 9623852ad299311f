// A BPF map as the kernel knows it. What is in it, a typed table reads and writes.
import CBCC
import Glibc
import SystemPackage

/// A BPF map. Its entries are read and written by a ``TypedTable``.
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

  /// The flag of an array whose entries can be mapped into memory (BPF_F_MMAPABLE).
  public static let mappable = UInt32(BPF_F_MMAPABLE)

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
    let info = try Table.info(of: descriptor)
    let name = String(cArray: info.name)
    self.init(
      name: name, type: info.type, keySize: Int(info.key_size), leafSize: Int(info.value_size),
      capacity: Int(info.max_entries), flags: info.map_flags, descriptor: descriptor)
  }

  /// The kernel's id of the map.
  public func id() throws(BCCError) -> UInt32 { try Table.info(of: descriptor).id }

  private static func info(of descriptor: Descriptor) throws(BCCError) -> bpf_map_info {
    var info = bpf_map_info()
    var length = UInt32(MemoryLayout<bpf_map_info>.size)
    guard bpf_obj_get_info_by_fd(descriptor.number, &info, &length) == 0 else {
      throw .system(operation: "look at a BPF table", errno: .last)
    }
    return info
  }

  /// Lends the descriptor for the time of a call that hands it to somebody else.
  public func withDescriptor<Result>(_ body: (FileDescriptor) throws -> Result) rethrows -> Result {
    try body(descriptor.file)
  }

  /// Whether an entry is as many times its size as there are CPUs.
  var isPerCPU: Bool {
    let types = [
      BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH,
    ]
    return types.contains { $0.rawValue == type }
  }

  func check(keySize: Int, leafSize: Int) throws(BCCError) {
    guard keySize == self.keySize else {
      throw .layout(table: name, expected: keySize, found: self.keySize)
    }
    guard leafSize == self.leafSize else {
      throw .layout(table: name, expected: leafSize, found: self.leafSize)
    }
  }
}
