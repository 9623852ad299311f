// A program that a test starts: in a namespace, with its output collected line by line. Knows nothing of ulb.
import Foundation
import Synchronization

/// A running program. It is killed when nobody holds it any more.
public final class ChildProcess: Sendable {
  public enum Stream: Sendable { case standardOutput, standardError }

  public struct Line: Sendable {
    public let stream: Stream
    public let text: String
  }

  private struct State {
    var lines: [Line] = []
    var openStreams = 2
    var status: Int32?
  }

  public let arguments: [String]
  public let pid: pid_t
  private let state: Shared

  /// What the threads hold that read from the program and wait for it; they outlive this object.
  private final class Shared: Sendable {
    let state = Mutex(State())
  }

  /// What this process was started with: not what tests of the compiler set in it meanwhile.
  private static let environment: [String: String] = {
    let bytes = FileManager.default.contents(atPath: "/proc/self/environ") ?? Data()
    let variables = bytes.split(separator: 0).map { entry -> (String, String) in
      let parts = entry.split(separator: UInt8(ascii: "="), maxSplits: 1)
      return (
        String(decoding: parts[0], as: UTF8.self),
        parts.count == 2 ? String(decoding: parts[1], as: UTF8.self) : ""
      )
    }
    return Dictionary(variables) { first, _ in first }
  }()

  /// Starts a program, looked for in `PATH`, with nothing on its standard input.
  /// - Parameters:
  ///   - namespace: the network namespace that it runs in, else this process's own.
  ///   - environment: added to this process's own environment.
  public init(
    _ arguments: [String], in namespace: NetworkNamespace? = nil,
    environment: [String: String] = [:]
  ) throws {
    let variables = Self.environment.merging(environment) { $1 }
    let output = try LinuxCalls.closeOnExecPipe()
    let errors = try LinuxCalls.closeOnExecPipe()
    defer {
      close(output.write)
      close(errors.write)
    }
    do {
      pid = try (namespace?.run ?? { try $0() }) {
        try Self.spawn(arguments, variables, output: output.write, errors: errors.write)
      }
    } catch {
      close(output.read)
      close(errors.read)
      throw error
    }
    self.arguments = arguments
    let shared = Shared()
    state = shared
    let pid = self.pid
    Thread.detachNewThread { Self.collect(output.read, .standardOutput, into: shared) }
    Thread.detachNewThread { Self.collect(errors.read, .standardError, into: shared) }
    Thread.detachNewThread { Self.reap(pid, into: shared) }
  }

  private static func spawn(
    _ arguments: [String], _ environment: [String: String], output: Int32, errors: Int32
  ) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, errors, 2)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))

    let argv = arguments.map { strdup($0) } + [nil]
    let envp = environment.map { strdup("\($0)=\($1)") } + [nil]
    defer {
      for string in argv + envp { free(string) }
    }
    var pid: pid_t = 0
    let code = posix_spawnp(&pid, arguments[0], &actions, &attributes, argv, envp)
    guard code == 0 else { throw SystemError("start \(arguments[0])", code: code) }
    return pid
  }

  private static func collect(_ descriptor: Int32, _ stream: Stream, into shared: Shared) {
    var rest: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      rest += buffer.prefix(max(0, count))
      var lines = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      // What follows the last line feed is a line of its own only once nothing more comes.
      rest = Array(lines.removeLast())
      if count <= 0 && !rest.isEmpty { lines.append(rest[...]) }
      shared.state.withLock { state in
        state.lines += lines.map { Line(stream: stream, text: String(decoding: $0, as: UTF8.self)) }
        if count <= 0 { state.openStreams -= 1 }
      }
      if count <= 0 { break }
    }
    close(descriptor)
  }

  private static func reap(_ pid: pid_t, into shared: Shared) {
    // The process stays a zombie until the lock is held, so that its id cannot be another's meanwhile.
    var information = siginfo_t()
    while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) < 0 && errno == EINTR {}
    shared.state.withLock { state in
      var status: Int32 = 0
      while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
      let signal = status & 0x7f
      state.status = signal == 0 ? (status >> 8) & 0xff : 128 + signal
    }
  }

  deinit { send(signal: SIGKILL) }

  /// Sends a signal, unless the program has ended.
  public func send(signal: Int32) {
    state.state.withLock { state in
      if state.status == nil { kill(pid, signal) }
    }
  }

  public var isRunning: Bool { state.state.withLock { $0.status == nil } }

  /// All that the program has written, in the order in which it was read.
  public var lines: [Line] { state.state.withLock { $0.lines } }

  public var standardOutput: [String] {
    lines.filter { $0.stream == .standardOutput }.map(\.text)
  }

  public var standardError: [String] {
    lines.filter { $0.stream == .standardError }.map(\.text)
  }

  /// All output on one string each line, for a failure's message.
  public var transcript: String { lines.map(\.text).joined(separator: "\n") }

  /// Waits for a line on either stream, the first `skipping` lines not looked at.
  @discardableResult
  public func waitForLine(
    containing text: String, after skipping: Int = 0, timeout: Duration = patience
  ) throws -> String {
    try waitForLine("a line with \"\(text)\"", after: skipping, timeout: timeout) {
      $0.contains(text)
    }
  }

  /// Waits for a line on either stream that satisfies a condition.
  @discardableResult
  public func waitForLine(
    _ what: String, after skipping: Int = 0, timeout: Duration = patience,
    where matches: (String) -> Bool
  ) throws -> String {
    var found: String?
    _ = waitUntil(timeout: timeout) {
      let ended = hasEnded
      found = lines.dropFirst(skipping).first { matches($0.text) }?.text
      return found != nil || ended
    }
    guard let found else {
      throw TimedOut(
        "\(what) from \(arguments.joined(separator: " ")), which wrote:\n\(transcript)")
    }
    return found
  }

  private var hasEnded: Bool {
    state.state.withLock { $0.status != nil && $0.openStreams == 0 }
  }

  /// Waits for the end of the program and of its output.
  /// - Returns: the exit status, or 128 and the number of the signal that ended it.
  @discardableResult
  public func waitForExit(timeout: Duration = patience) throws -> Int32 {
    guard waitUntil(timeout: timeout, { hasEnded }) else {
      throw TimedOut(
        "the end of \(arguments.joined(separator: " ")), which wrote:\n\(transcript)")
    }
    return state.state.withLock { $0.status! }
  }
}

/// What a program left that has ended.
public struct CompletedProcess: Sendable {
  public let status: Int32
  /// Without the line feed at its end.
  public let standardOutput: String
  /// Without the line feed at its end.
  public let standardError: String

  /// Waits for a program's end.
  public init(_ child: ChildProcess, timeout: Duration = patience) throws {
    status = try child.waitForExit(timeout: timeout)
    standardOutput = child.standardOutput.joined(separator: "\n")
    standardError = child.standardError.joined(separator: "\n")
  }
}

/// Runs a program to its end.
@discardableResult
public func run(
  _ arguments: String..., in namespace: NetworkNamespace? = nil,
  environment: [String: String] = [:], timeout: Duration = patience
) throws -> CompletedProcess {
  let child = try ChildProcess(arguments, in: namespace, environment: environment)
  return try CompletedProcess(child, timeout: timeout)
}

/// Runs a program that a test cannot go on without.
@discardableResult
public func runSuccessfully(
  _ arguments: [String], in namespace: NetworkNamespace? = nil
) throws -> [String] {
  let child = try ChildProcess(arguments, in: namespace)
  let status = try child.waitForExit()
  guard status == 0 else {
    throw ProgramFailed(
      description: "\(arguments.joined(separator: " ")): status \(status)\n\(child.transcript)")
  }
  return child.standardOutput
}

/// A program of the test's own surroundings that did not do its work.
public struct ProgramFailed: Error, CustomStringConvertible {
  public let description: String
}
