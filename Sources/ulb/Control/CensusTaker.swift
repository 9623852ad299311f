// Counts the clients of each real server for whoever asks, but not for each who asks. Knows no request.
import DataPlane

/// Keeps a census for a moment, and lets those who ask at once wait for one and the same.
actor CensusTaker {
  private let take: @Sendable () -> Census?
  private var last: (census: Census, at: ContinuousClock.Instant)?
  private var underWay: Task<Census?, Never>?

  /// How old one may be that is handed out.
  private static let freshness = Duration.seconds(1)

  /// - Parameter take: counts; takes milliseconds. `nil` before there is anything to count.
  init(_ take: @escaping @Sendable () -> Census?) { self.take = take }

  /// Not older than a second; `nil` before there is anything to count.
  func census() async -> Census? {
    if let last, .now - last.at < Self.freshness { return last.census }
    if let underWay { return await underWay.value }
    // Its age counts from its beginning: what comes meanwhile may not be in it.
    let start = ContinuousClock.now
    let task = Task { [take] in take() }
    underWay = task
    let census = await task.value
    underWay = nil
    last = census.map { ($0, start) }
    return census
  }
}
