// Which CPUs a program may run on. Knows no program.
import SystemPackage

/// The CPUs that this machine can have, until it is booted anew.
public enum PossibleCPUs {
  /// One more than the highest number of a CPU: numbers may have gaps.
  public static func bound() throws(BCCError) -> Int {
    let operation = "read \(path)"
    let text: String
    do {
      let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
      text = try file.closeAfter {
        try String(unsafeUninitializedCapacity: 4096) { buffer in
          try file.read(into: UnsafeMutableRawBufferPointer(buffer))
        }
      }
    } catch {
      throw .system(operation: operation, errno: error as? Errno ?? .invalidArgument)
    }
    guard let bound = bound(in: text) else {
      throw .system(operation: operation, errno: .invalidArgument)
    }
    return bound
  }

  private static let path = "/sys/devices/system/cpu/possible"

  /// Of the kernel's list of ranges, `0-3,8`: in rising order.
  static func bound(in list: String) -> Int? {
    let last = list.split { !("0"..."9" as ClosedRange<Character>).contains($0) }.last
    return last.flatMap { Int($0) }.flatMap { $0 < 1 << 20 ? $0 + 1 : nil }
  }
}
