// Waiting for what another thread or process does. The limits are generous: they end a hang, they measure nothing.
import Foundation

/// The longest that a test waits for something that is bound to happen.
public let patience: Duration = .seconds(60)

/// Waits until a condition holds. Returns whether it did before the time was over.
public func waitUntil(
  timeout: Duration = patience, _ condition: () throws -> Bool
) rethrows -> Bool {
  let end = ContinuousClock.now + timeout
  while true {
    if try condition() { return true }
    if ContinuousClock.now > end { return false }
    usleep(10_000)
  }
}

/// The same of a condition that is asked for. It has a name of its own, as Swift would take it for the
/// other in every asynchronous test.
public func waitUntilAnswered(
  timeout: Duration = patience, _ condition: () async throws -> Bool
) async throws -> Bool {
  let end = ContinuousClock.now + timeout
  while true {
    if try await condition() { return true }
    if ContinuousClock.now > end { return false }
    try await Task.sleep(for: .milliseconds(10))
  }
}

/// What a test waited for in vain.
public struct TimedOut: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = "timed out: \(description)" }
}
