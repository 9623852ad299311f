// ulb in front of several virtual servers, and its config file, which a test changes as an operator does.
import Foundation

/// A director with one virtual server on ulb's command line and the others in its config file.
public final class ServedDirector {
  /// The command line's virtual server.
  public let first: Network
  /// What the config file says, or will with the next `reload`.
  public var text: ConfigText
  /// The state file, used where the daemon is started with it.
  public let state: String
  /// The config file.
  public let path: String
  public private(set) var daemon: Daemon
  private let directory: TemporaryDirectory
  private var reloads = 0

  /// Writes the file and starts ulb.
  ///
  /// - Parameters:
  ///   - first: the command line's virtual server.
  ///   - text: what the file says; by default the first one's real servers and nothing else.
  ///   - options: ulb's further options; STATE in one stands for the state file's path.
  ///   - wrapper: a program that runs ulb, with its arguments.
  public init(
    _ first: Network, _ text: ConfigText? = nil, options: [String] = [],
    wrapper: [String] = [], environment: [String: String] = [:]
  ) throws {
    self.first = first
    self.text = text ?? ConfigText(realServers: first.serverAddresses)
    directory = try TemporaryDirectory()
    path = directory.path(of: "servers.cfg")
    state = directory.path(of: "associations")
    try Self.write("\(self.text)", to: path)
    daemon = try Self.start(first, path, Self.named(options, state), wrapper, environment)
  }

  private static func named(_ options: [String], _ state: String) -> [String] {
    options.map { $0 == "STATE" ? state : $0 }
  }

  private static func start(
    _ first: Network, _ path: String, _ options: [String], _ wrapper: [String],
    _ environment: [String: String]
  ) throws -> Daemon {
    try Daemon.start(
      [
        "lb0", "-vs", first.virtualServer.address, "-cfg", path, "-p",
        String(first.virtualServer.port),
      ] + options, in: first.topology.director, wrapper: wrapper, environment: environment)
  }

  /// Starts ulb again, with what the file is to say now, after it was stopped.
  public func start(options: [String] = []) throws {
    precondition(!daemon.process.isRunning, "one at a time")
    try Self.write("\(text)", to: path)
    reloads = 0
    daemon = try Self.start(first, path, Self.named(options, state), [], [:])
  }

  private static func write(_ text: String, to path: String) throws {
    try text.write(toFile: path + ".new", atomically: false, encoding: .utf8)
    guard rename(path + ".new", path) == 0 else { throw SystemError("rename to \(path)") }
  }

  /// What ulb has said at ERROR so far.
  public var errors: [String] {
    daemon.process.lines.map(\.text).filter { $0.hasPrefix("ERROR") }
  }

  /// Puts the text in the file's place and waits until it is in force.
  public func reload() throws {
    let before = errors.count
    try replaceFile(with: "\(text)")
    reloads += 1
    daemon.process.send(signal: SIGHUP)
    // The file may have been seen already; then it is read again.
    try daemon.waitForNotification("READY=1", times: reloads + 1)
    guard errors.count == before else {
      throw ProgramFailed(description: "\(text)was refused:\n\(daemon.process.transcript)")
    }
  }

  /// Changes what the file says and waits until that is in force.
  public func reload(_ change: (inout ConfigText) -> Void) throws {
    change(&text)
    try reload()
  }

  /// Puts something else in the file's place, and waits for nothing.
  public func replaceFile(with text: String) throws { try Self.write(text, to: path) }
}
