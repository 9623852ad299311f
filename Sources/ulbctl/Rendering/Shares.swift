// Who has how much of something, and whether that is too much. Pure.
import Control

/// What real servers of one virtual server have of something, against what their weights give them.
struct Shares: Sendable {
  /// Of each real server in its order; nothing where nobody has anything.
  let part: [Double?]
  /// What its weight gives it; nothing where nobody takes new clients.
  let due: [Double?]
  private let amounts: [Double]
  /// What those have together that take new clients.
  private let shared: Double

  init(_ amounts: [Double], of realServers: [RealServerDetail]) {
    self.amounts = amounts
    let total = amounts.reduce(0, +)
    part = amounts.map { total > 0 ? $0 / total : nil }
    let weights = realServers.map { $0.state == .up ? Double(max(0, $0.weight)) : 0 }
    let all = weights.reduce(0, +)
    due = weights.map { all > 0 ? $0 / all : nil }
    shared = zip(amounts, weights).reduce(0) { $1.1 > 0 ? $0 + $1.0 : $0 }
  }

  /// Whether a real server that takes new clients has more than its weight gives it: by more than
  /// `tolerance` of that, and by more than chance explains where each was given by lot (three
  /// standard deviations).
  func isTooMuch(_ index: Int, tolerance: Double) -> Bool {
    guard let due = due[index], due > 0 else { return false }
    let expected = due * shared
    let excess = amounts[index] - expected
    return excess > tolerance * expected && excess * excess > 9 * expected * (1 - due)
  }

  /// What is over in clients; in packets, that depend on what each client does.
  static let (toleranceOfClients, toleranceOfPackets) = (0.1, 0.5)
}
