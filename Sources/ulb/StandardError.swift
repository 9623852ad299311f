// Standard error: the one line that a failure ends with, and libbcc's dumps.
import SystemPackage
import Systemd

enum StandardError {
  /// Writes all of a text, as far as anybody takes it.
  static func write(_ text: String) {
    _ = try? FileDescriptor.standardError.writeAll(Array(text.utf8))
  }

  /// Writes why the program ends.
  static func write(failure: String) {
    line("ulb: error: \(failure)", .error)
  }

  /// Writes what the operator hardly meant, a line each.
  static func write(warnings: [String]) {
    for warning in warnings { line("ulb: warning: \(warning)", .warning) }
  }

  /// Whether the journal reads it.
  static var isJournal: Bool { Journal.reads(.standardError) }

  /// A line of the program's own, with its priority where the journal reads it.
  private static func line(_ text: String, _ priority: Journal.Priority) {
    let line = Output.cut(text, at: Output.longestLine)
    write((isJournal ? Journal.marked(line, priority) : line) + "\n")
  }
}
