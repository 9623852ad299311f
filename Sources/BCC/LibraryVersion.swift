// Which libbcc is loaded. Its C API has no call for it.
import CBCC
import Glibc

/// A version of libbcc.
public struct LibraryVersion: Comparable, CustomStringConvertible, Sendable {
  public let major: Int
  public let minor: Int
  public let patch: Int

  public init(_ major: Int, _ minor: Int, _ patch: Int) {
    (self.major, self.minor, self.patch) = (major, minor, patch)
  }

  /// The first version whose `bcc_func_load` takes the arguments that this module passes.
  public static let oldestSupported = LibraryVersion(0, 25, 0)

  /// The version this module was compiled against.
  public static let compiled = LibraryVersion(
    Int(LIBBCC_MAJOR_VERSION), Int(LIBBCC_MINOR_VERSION), Int(LIBBCC_PATCH_VERSION))

  /// The version of the loaded library, told by the name of its file (`libbcc.so.0.26.0`); `nil`
  /// where the file is not named so.
  public static var loaded: LibraryVersion? {
    guard let maps = fopen("/proc/self/maps", "re") else { return nil }
    defer { fclose(maps) }
    var line: UnsafeMutablePointer<CChar>?
    var room = 0
    defer { free(line) }
    while getline(&line, &room, maps) > 0, let line {
      // The path is the last field, and the kernel has resolved its links.
      let path = String(cString: line).split(whereSeparator: \.isWhitespace).last
      if let path, let version = LibraryVersion(fileName: String(path)) { return version }
    }
    return nil
  }

  /// Parses `…/libbcc.so.MAJOR.MINOR.PATCH`.
  init?(fileName: String) {
    guard let file = fileName.split(separator: "/").last, file.hasPrefix("libbcc.so.") else {
      return nil
    }
    let parts = file.dropFirst("libbcc.so.".count).split(separator: ".").map { Int($0) }
    guard parts.count == 3, let major = parts[0], let minor = parts[1], let patch = parts[2] else {
      return nil
    }
    self.init(major, minor, patch)
  }

  public static func < (a: LibraryVersion, b: LibraryVersion) -> Bool {
    (a.major, a.minor, a.patch) < (b.major, b.minor, b.patch)
  }

  public var description: String { "\(major).\(minor).\(patch)" }
}
