// A directory of one test's own, removed with everything in it.
import Foundation

public final class TemporaryDirectory: Sendable {
  /// An absolute path without a slash at its end.
  public let path: String

  public init() throws {
    path =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("ulb-tests-" + UUID().uuidString).path
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
  }

  public func path(of name: String) -> String { path + "/" + name }

  /// The names of what is in it, sorted.
  public func contents() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
