// What ulb-sync says, on standard error.
import SystemPackage
import Systemd

/// Writes lines, with their priority where the journal reads them.
public struct SyncLog: Sendable {
  private let isJournal = Journal.reads(.standardError)

  public init() {}

  public func notice(_ message: String) { write(message, .notice) }

  public func warning(_ message: String) { write("warning: \(message)", .warning) }

  /// Why the program ends.
  public func failure(_ message: String) { write("error: \(message)", .error) }

  private func write(_ message: String, _ priority: Journal.Priority) {
    let line = "ulb-sync: " + message.replacing("\n", with: " ")
    let text = (isJournal ? Journal.marked(line, priority) : line) + "\n"
    // Who reads no more does not stop the sharing.
    _ = try? FileDescriptor.standardError.writeAll(text.utf8)
  }
}
