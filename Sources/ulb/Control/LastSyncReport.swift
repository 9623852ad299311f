// What ulb-sync has told last, and how long ago. Knows not what it means.
import Control
import Synchronization

/// Holds the last report, for any thread.
final class LastSyncReport: Sendable {
  private struct Entry {
    let report: SyncReport
    let at: ContinuousClock.Instant
  }

  /// After so long ulb-sync is not missed any more.
  private static let memory: Duration = .seconds(3600)

  private let last = Mutex<Entry?>(nil)

  func put(_ report: SyncReport, at now: ContinuousClock.Instant = .now) {
    last.withLock { $0 = Entry(report: report, at: now) }
  }

  /// `nil` where nothing was ever told, or not for an hour.
  func status(at now: ContinuousClock.Instant = .now) -> SyncStatus? {
    guard let entry = last.withLock({ $0 }), now - entry.at < Self.memory else { return nil }
    return SyncStatus(report: entry.report, isStale: now - entry.at > SyncStatus.patience)
  }
}

extension SyncReport {
  /// The most other directors that are told of.
  static let mostPeers = 256
  /// The most characters of a text, and of what is wrong with Redis.
  static let (longestText, longestError) = (255, 1024)

  /// What readers of JSON keep exactly (RFC 8259, section 6).
  static let highestCount: UInt64 = 1 << 53 - 1

  /// - Throws: where it has what no ulb-sync tells: it is shown to operators, and kept.
  func check() throws(Problem) {
    guard peers.count <= Self.mostPeers else {
      throw .badRequest(
        "the body's member 'peers' has \(peers.count) directors; \(Self.mostPeers) is the most")
    }
    let texts =
      [
        ("director", director), ("redis.server", redis.server), ("redis.since", redis.since),
        ("redis.error", redis.error ?? ""),
      ] + peers.flatMap { [("peers.director", $0.director), ("peers.seen", $0.seen)] }
    for (name, text) in texts {
      let longest = name == "redis.error" ? Self.longestError : Self.longestText
      guard text.unicodeScalars.count <= longest, text == text.onOneLine else {
        throw .badRequest(
          "the body's member '\(name)' is no text of one line and at most \(longest) characters")
      }
    }
    for (name, count) in [("sent", sent), ("received", received), ("resyncs", resyncs)]
    where count > Self.highestCount {
      throw .badRequest(
        "the body's member '\(name)' is \(count); \(Self.highestCount) is the most")
    }
    let lags = [("lag_ms", lagMilliseconds)] + peers.map { ("peers.lag_ms", $0.lagMilliseconds) }
    for (name, lag) in lags where lag.map({ $0 < 0 || !$0.isFinite }) == true {
      throw .badRequest("the body's member '\(name)' is no time in milliseconds; use 0 or more")
    }
  }
}
