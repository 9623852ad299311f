// The clients whose packets somebody follows: while there are any, a program that reports them serves.
import Control
import DataPlane
import LoadBalancing

/// Keeps the program one that reports just those who are followed. The loop's.
final class FollowedClients {
  private let dataPlane: DataPlane
  private let log: Log
  /// By how many each is followed.
  private var followers: [Client: Int] = [:]
  private var timer: EventLoop.Timer?
  private var hasFailed = false
  /// Called when another program serves.
  var onSwap: () -> Void = {}

  /// How long after somebody has left the program goes back: who comes meanwhile costs no other one.
  private static let lingering = Duration.milliseconds(200)
  private static let retryInterval = Duration.seconds(5)

  init(_ dataPlane: DataPlane, log: Log) {
    self.dataPlane = dataPlane
    self.log = log
  }

  func start(on loop: EventLoop) {
    timer = loop.timer { [unowned self] in goBack() }
  }

  /// Follows some more, until as many times ``leave(_:)`` is called.
  ///
  /// - Throws: where that would be too many, or no program can be had; then nothing has changed.
  func follow(_ clients: Set<Client>) throws(Problem) {
    var next = followers
    for client in clients { next[client, default: 0] += 1 }
    guard next.count <= DataPlane.mostFollowed else {
      throw .tooMany(
        "\(followers.count) clients are followed, with these it would be \(next.count); "
          + "\(DataPlane.mostFollowed) is the most at once")
    }
    do {
      try swap(to: next)
    } catch {
      throw .unprocessable("\(error)".onOneLine)
    }
    followers = next
  }

  /// Ends what one call of ``follow(_:)`` has begun.
  func leave(_ clients: Set<Client>) {
    for client in clients {
      guard let count = followers[client] else { continue }
      followers[client] = count > 1 ? count - 1 : nil
    }
    timer?.setIfUnset(after: Self.lingering)
  }

  private func goBack() {
    do {
      try swap(to: followers)
      hasFailed = false
    } catch {
      // The present program balances as well; it reports more than it has to.
      if !hasFailed {
        log.error("Unable to put back a program that follows fewer clients: \(error)")
      }
      hasFailed = true
      timer?.set(after: Self.retryInterval)
    }
  }

  private func swap(to next: [Client: Int]) throws {
    let clients = next.keys.sorted { $0.description < $1.description }
    guard Set(clients) != Set(dataPlane.followed) else { return }
    try dataPlane.follow(clients)
    StandardError.write(dataPlane.compilerOutput)
    let names = clients.map(\.description).joined(separator: ", ")
    log.notice(
      clients.isEmpty
        ? "No client is followed any more: the program of before serves again."
        : "Packets of \(names) are followed, with a program of their own.")
    onSwap()
  }
}
