// What can go wrong between a C source and a running program. Knows errno, not what for.
import Glibc
import SystemPackage

/// A failed call of libbcc, libbpf or the kernel's BPF subsystem.
public enum BCCError: Error, Equatable, Sendable {
  /// libbcc could not compile the source; `diagnostics` is what the compiler printed.
  case compilation(diagnostics: String)
  /// libbcc could not create a table.
  case tableCreation(table: String, errno: Errno)
  /// The source has no function of this name.
  case noSuchFunction(String)
  /// The source has no table of this name.
  case noSuchTable(String)
  /// The verifier refused the program; `log` is its log.
  case verification(log: String, errno: Errno)
  /// A system call failed; `operation` says which and on what.
  case system(operation: String, errno: Errno)
  /// A table is not laid out as its user expects, sizes in bytes.
  case layout(table: String, expected: Int, found: Int)
  /// A descriptor that somebody else has kept refers to something else.
  case foreign(expected: String)

  /// The error number, where the kernel gave one.
  public var errno: Errno? {
    switch self {
    case .tableCreation(_, let number), .verification(_, let number), .system(_, let number): number
    default: nil
    }
  }
}

extension BCCError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .compilation(let diagnostics):
      "the BPF source does not compile: \(BCCError.firstError(in: diagnostics))"
    case .tableCreation(let table, let number):
      "cannot create the BPF table \(table): \(number)"
    case .noSuchFunction(let name): "the BPF source has no function \(name)"
    case .noSuchTable(let name): "the BPF source has no table \(name)"
    case .verification(let log, let number):
      "the kernel's verifier refuses the program (\(number)): \(BCCError.tail(of: log))"
    case .system(let operation, let number): "\(operation): \(number)"
    case .layout(let table, let expected, let found):
      "the BPF table \(table) has entries of \(found) bytes, not \(expected)"
    case .foreign(let expected): "it is no \(expected)"
    }
  }

  /// The first line that is an error, as a compiler's later ones often follow from it.
  private static func firstError(in diagnostics: String) -> String {
    let lines = diagnostics.split(separator: "\n")
    return String(lines.first { $0.contains("error:") } ?? lines.last ?? "no diagnostics")
  }

  /// The last lines of a verifier log on one line: the reason stands there.
  private static func tail(of log: String) -> String {
    let lines = log.split(separator: "\n").filter {
      !$0.hasPrefix("processed ") && !$0.hasPrefix("verification time")
        && !$0.hasPrefix("stack depth")
    }
    return lines.isEmpty ? "no log" : lines.suffix(3).joined(separator: " | ")
  }
}

extension Errno {
  /// That of the C call before.
  static var last: Errno { Errno(rawValue: Glibc.errno) }
}
