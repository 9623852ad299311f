// The command line of ulb: ulb.py's options, and those beyond it. Opens no file itself.
import LoadBalancing
import SystemPackage

/// Why a file cannot be read: an error number, and its text or one that says more.
public struct FileError: Error, Sendable, Hashable {
  public let errno: Errno
  public let reason: String

  public init(_ errno: Errno, reason: String? = nil) {
    self.errno = errno
    self.reason = reason ?? errno.description
  }
}

/// A command line that cannot be carried out.
public enum UsageError: Error, Sendable, Hashable {
  /// Words that do not form a command line: status 2, after the usage.
  case usage(message: String, usage: String)
  /// Values that cannot be used: status 1.
  case configuration(message: String)

  /// The exit status.
  public var exitStatus: Int32 {
    switch self {
    case .usage: 2
    case .configuration: 1
    }
  }

  /// One line with what is wrong.
  public var message: String {
    switch self {
    case .usage(let message, _), .configuration(let message): message
    }
  }

  /// What is shown before the message, with the newline at its end; empty for none.
  public var usage: String {
    switch self {
    case .usage(_, let usage): usage
    case .configuration: ""
    }
  }
}

/// What the operator asks for. Of a configuration, `effective` is what is in force at start.
public enum CommandLineRequest: Sendable, Equatable {
  case run(Configuration)
  /// Print the configuration and exit.
  case check(Configuration)
  /// Print the rendered source and exit.
  case render(Configuration)
  /// Print this text and exit.
  case help(String)
  /// Print the version and exit.
  case showVersion

  /// The version of ulb, ulbctl and their packages; nowhere else is it written but in the change log.
  public static let version = "1.1.0"

  /// Reads a command line as ulb.py does.
  ///
  /// - Parameters:
  ///   - arguments: the words after the program's name.
  ///   - readFile: reads a whole file; called for every occurrence of an option with a file of the
  ///     configuration, in their order.
  /// - Returns: with the request, what is not refused but hardly meant, a line each.
  public static func parse(
    _ arguments: [String], readFile: (String) -> Result<[UInt8], FileError>
  ) throws(UsageError) -> (request: CommandLineRequest, warnings: [String]) {
    try withoutActuallyEscaping(readFile) { readFile throws(UsageError) in
      try Options(readFile: readFile).parse(arguments)
    }
  }
}
