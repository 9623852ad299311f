// A BPF map that bpf(2) makes without any library: what another version, or somebody else, has kept.
import Foundation

/// A map with any type and sizes. Closed with its last owner.
public final class BPFMap: Sendable {
  /// `enum bpf_map_type`.
  public enum Kind: UInt32, Sendable, CaseIterable {
    case hash = 1
    case array = 2
    case perCPUHash = 5
    case perCPUArray = 6
    case leastRecentlyUsed = 9
  }

  public let descriptor: Int32

  private static let create = 0
  private static let updateElement = 2
  private static let freeze = 22

  public init(
    _ kind: Kind, keySize: Int, leafSize: Int, capacity: Int, flags: UInt32 = 0
  ) throws {
    // { map_type, key_size, value_size, max_entries, map_flags }
    var attribute = [kind.rawValue, UInt32(keySize), UInt32(leafSize), UInt32(capacity), flags]
      .flatMap { word in withUnsafeBytes(of: word) { Array($0) } }
    descriptor = try check(LinuxCalls.bpf(Self.create, &attribute), "make a BPF map")
  }

  deinit { close(descriptor) }

  /// A descriptor of the caller's own for the map.
  public func duplicate() throws -> Int32 {
    try check(fcntl(descriptor, F_DUPFD_CLOEXEC, 3), "duplicate a BPF map")
  }

  /// Sets an entry; key and leaf are as long as the map says.
  public func update(_ key: [UInt8], _ leaf: [UInt8]) throws {
    let status = key.withUnsafeBytes { key in
      leaf.withUnsafeBytes { leaf in
        // { map_fd, key, value, flags }
        var attribute = [UInt64(UInt32(bitPattern: descriptor))]
        attribute += [key, leaf].map { UInt64(UInt(bitPattern: $0.baseAddress!)) } + [0]
        var bytes = attribute.flatMap { word in withUnsafeBytes(of: word) { Array($0) } }
        return LinuxCalls.bpf(Self.updateElement, &bytes)
      }
    }
    try check(status, "update a BPF map")
  }

  /// From now on bpf(2) refuses to write to the map behind a descriptor; programs may go on.
  public static func freeze(_ descriptor: Int32) throws {
    var attribute = withUnsafeBytes(of: descriptor) { Array($0) }
    try check(LinuxCalls.bpf(freeze, &attribute), "freeze a BPF map")
  }
}

/// The bytes of a number as they stand in memory.
public func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: number) { Array($0) }
}
