// A director in memory and the ulb-sync of it, as a process.
import Foundation
import Redis
import TestSupport

@testable import Sync

final class SharedDirector: Sendable {
  let director: MemoryDirector
  let name: String
  let process: ChildProcess
  let directory: TemporaryDirectory
  let notifications: NotifySocket

  /// - Parameter settings: lines of the config file, which has control and director already.
  init(_ name: String, _ settings: [String], director: MemoryDirector? = nil) throws {
    self.name = name
    self.director = try director ?? MemoryDirector()
    directory = try TemporaryDirectory()
    notifications = try NotifySocket(in: directory)
    let file = directory.path(of: "sync.conf")
    try (["control = \(self.director.path)", "director = \(name)"] + settings)
      .joined(separator: "\n").write(toFile: file, atomically: false, encoding: .utf8)
    process = try ChildProcess(
      [Package.executables + "/ulb-sync", "lb0", "--config", file],
      environment: ["NOTIFY_SOCKET": notifications.path])
  }

  convenience init(_ name: String, _ redis: RedisProcess) throws {
    try self.init(name, ["redis = unix://\(redis.path)"])
  }

  /// Ends ulb-sync and the director.
  func stop() async throws {
    process.send(signal: SIGCONT)
    process.send(signal: SIGTERM)
    try process.waitForExit()
    await director.stop()
  }

  /// Whether who lets this director have clients may be started.
  var isReady: Bool { notifications.assignments.contains("READY=1") }

  var warnings: [String] { process.standardError.filter { $0.contains("warning: ") } }

  /// Waits until something holds.
  func wait(
    _ what: String, timeout: Duration = patience, _ condition: (MemoryDirector) -> Bool
  ) async throws {
    guard try await waitUntilAnswered(timeout: timeout, { condition(director) }) else {
      throw TimedOut("\(what) at \(name), whose ulb-sync wrote:\n\(process.transcript)")
    }
  }
}

/// Two directors on one Redis for a test, which are stopped after it.
func withDirectors(
  _ redis: RedisProcess, _ body: (SharedDirector, SharedDirector) async throws -> Void
) async throws {
  let a = try SharedDirector("a", redis)
  let b = try SharedDirector("b", redis)
  do {
    for one in [a, b] {
      try await one.wait("both directors") { $0.report?.peers.count == 1 }
    }
    try await body(a, b)
  } catch {
    try? await a.stop()
    try? await b.stop()
    throw error
  }
  try await a.stop()
  try await b.stop()
}
