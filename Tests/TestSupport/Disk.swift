// A file system of a test's own that the test can freeze, as who takes a snapshot of it does.
import Foundation
import Synchronization

/// An ext4 file system in a file.
public final class Disk: Sendable {
  private let directory: TemporaryDirectory
  /// Thaws it in the end, so that a test that waits for it fails and does not hang.
  private let limit = Mutex<ChildProcess?>(nil)

  /// Where it is mounted.
  public var path: String { directory.path(of: "disk") }

  private init() throws {
    directory = try TemporaryDirectory()
    let image = directory.path(of: "image")
    try runSuccessfully(["mkdir", path])
    try runSuccessfully(["truncate", "--size=64M", image])
    try runSuccessfully(["mkfs.ext4", "-q", "-F", image])
    try runSuccessfully(["mount", "-o", "loop", image, path])
  }

  /// Lends one, and unmounts it.
  public static func lend(_ body: (Disk) throws -> Void) throws {
    let disk = try Disk()
    defer {
      if disk.limit.withLock({ $0 }) != nil { try? disk.thaw() }
      // Who is lent a file of it may still have it open.
      _ = try? run("umount", "--lazy", disk.path)
    }
    try body(disk)
  }

  public func path(of name: String) -> String { path + "/" + name }

  /// From now on whoever makes, writes or renames a file there waits (fsfreeze(8)).
  public func freeze() throws {
    try runSuccessfully(["fsfreeze", "--freeze", path])
    let thaw = "trap 'kill $!; exit' TERM; sleep 40 & wait $!; fsfreeze --unfreeze '\(path)'"
    let process = try ChildProcess(["sh", "-c", thaw])
    limit.withLock { $0 = process }
  }

  /// Lets them go on; fails where that had to be done already, as somebody waited for too long.
  public func thaw() throws {
    try runSuccessfully(["fsfreeze", "--unfreeze", path])
    let process = limit.withLock { limit in
      defer { limit = nil }
      return limit
    }
    process?.send(signal: SIGTERM)
    try process?.waitForExit()
  }
}
