// Where the package's own files and what was built of it are.
import Foundation

public enum Package {
  /// The absolute path of a file of the package, from its path inside.
  public static func path(_ inside: String, testSupport: String = #filePath) -> String {
    let root = URL(fileURLWithPath: testSupport)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return root.appendingPathComponent(inside).path
  }

  /// The `ulb` that was built together with the running tests.
  public static let executable = built("ulb")
  /// The `ulbctl` of the same.
  public static let operatorCommand = built("ulbctl")
  /// The program of the same that makes manual pages and completions.
  public static let documentation = built("documentation")
  /// The folder of all three.
  public static let executables = URL(fileURLWithPath: executable).deletingLastPathComponent().path

  private static func built(_ name: String) -> String {
    let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent(name).path
  }
}
