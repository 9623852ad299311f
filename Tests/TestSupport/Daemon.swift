// ulb itself, run in a director's namespace as a user runs it, with systemd's notify socket.
import Foundation

public final class Daemon: Sendable {
  public let process: ChildProcess
  public let notifications: NotifySocket
  /// `TMPDIR` of the daemon, and where its notify socket is.
  public let directory: TemporaryDirectory
  /// Its control socket, unless its arguments name another or none. The default path is that of an
  /// interface's name, which many tests have at once.
  public let control: String

  /// Starts ulb and does not wait for it.
  /// - Parameters:
  ///   - arguments: ulb's own.
  ///   - wrapper: a program that runs ulb, with its arguments, such as `prlimit`.
  public init(
    _ arguments: [String], in namespace: NetworkNamespace, wrapper: [String] = [],
    environment: [String: String] = [:]
  ) throws {
    directory = try TemporaryDirectory()
    notifications = try NotifySocket(in: directory)
    control = directory.path(of: "control.sock")
    let own = arguments.contains { $0.hasPrefix("--control") } ? [] : ["--control", control]
    process = try ChildProcess(
      wrapper + [Package.executable] + arguments + own, in: namespace,
      environment: ["NOTIFY_SOCKET": notifications.path].merging(environment) { $1 })
  }

  /// Starts ulb and waits until it says that it is attached.
  public static func start(
    _ arguments: [String], in namespace: NetworkNamespace, wrapper: [String] = [],
    environment: [String: String] = [:]
  ) throws -> Daemon {
    let daemon = try Daemon(arguments, in: namespace, wrapper: wrapper, environment: environment)
    try daemon.waitForNotification("READY=1")
    return daemon
  }

  /// Waits until an assignment has come in this many times.
  public func waitForNotification(_ assignment: String, times: Int = 1) throws {
    var count = 0
    _ = waitUntil {
      let isRunning = process.isRunning
      count = notifications.assignments.count { $0 == assignment }
      return count >= times || !isRunning
    }
    guard count >= times else {
      throw TimedOut(
        """
        \(assignment) \(times) times, came \(count) times from ulb, which wrote:
        \(process.transcript)
        """)
    }
  }

  /// Ends ulb with a signal.
  /// - Returns: its exit status.
  @discardableResult
  public func stop(with signal: Int32 = SIGTERM) throws -> Int32 {
    process.send(signal: signal)
    return try process.waitForExit()
  }

  /// Runs ulb where it is expected to end by itself.
  public static func run(
    _ arguments: [String], in namespace: NetworkNamespace, wrapper: [String] = []
  ) throws -> CompletedProcess {
    let daemon = try Daemon(arguments, in: namespace, wrapper: wrapper)
    return try CompletedProcess(daemon.process)
  }

  /// How many file descriptors it has open.
  public func openDescriptors() throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.pid)/fd").count
  }
}
