// The log levels and their order. Knows nothing of what is logged.

/// A log level. The raw value is the numeric order of Python's logging module: higher is graver.
public enum LogLevel: Int, Comparable, CaseIterable, Sendable {
  case critical = 50
  case error = 40
  case warning = 30
  case info = 20
  case debug = 10
  case trace = 5

  /// The name as `-l` takes it, upper case.
  public var name: String {
    switch self {
    case .critical: "CRITICAL"
    case .error: "ERROR"
    case .warning: "WARNING"
    case .info: "INFO"
    case .debug: "DEBUG"
    case .trace: "TRACE"
    }
  }

  /// The level of an exact, upper-case name.
  public init?(name: String) {
    guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = level
  }

  public static func < (left: LogLevel, right: LogLevel) -> Bool {
    left.rawValue < right.rawValue
  }
}
