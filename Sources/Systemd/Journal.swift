// How lines that go to the journal say how grave they are: sd-daemon(3), systemd.exec(5).

import Glibc
import SystemPackage

/// The journal as a reader of a process's output.
public enum Journal {
  /// How grave a line is, in the order of syslog(3): lower is graver.
  public enum Priority: Int, Sendable, CaseIterable {
    case critical = 2
    case error = 3
    case warning = 4
    case notice = 5
    case info = 6
    case debug = 7

    /// What a line begins with for the journal, which takes it off again.
    public var prefix: String { "<\(rawValue)>" }
  }

  /// Whether what is written to a descriptor goes straight into the journal.
  ///
  /// `$JOURNAL_STREAM` names the device and the inode of the stream. A child inherits the variable
  /// even where its output is redirected, so it is compared with what is open.
  ///
  /// - Parameter environment: Looks up a variable; the process's own environment by default.
  public static func reads(
    _ descriptor: FileDescriptor, environment: (String) -> String? = environmentVariable
  ) -> Bool {
    guard let stream = environment("JOURNAL_STREAM") else { return false }
    let numbers = stream.split(separator: ":", omittingEmptySubsequences: false)
    guard numbers.count == 2, let device = UInt64(numbers[0]), let inode = UInt64(numbers[1]),
      let status = try? descriptor.stat()
    else { return false }
    return device == status.deviceID.rawValue && inode == status.inode.rawValue
  }

  /// A text with the priority before each of its lines.
  public static func marked(_ text: String, _ priority: Priority) -> String {
    let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    return lines.map { priority.prefix + String(Substring($0)) }.joined(separator: "\n")
  }
}
