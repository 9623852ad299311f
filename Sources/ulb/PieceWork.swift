// Long work for the loop, done in pieces, so that everything else is done in between.

/// Does one thing after another, a piece in each round of the loop.
final class PieceWork {
  private var queue: [() -> Bool] = []
  private var timer: EventLoop.Timer?

  func start(on loop: EventLoop) {
    timer = loop.timer { [unowned self] in proceed() }
    if !queue.isEmpty { timer?.set(after: .zero) }
  }

  /// - Parameter piece: does a little, and says whether there is more to do.
  func add(_ piece: @escaping () -> Bool) {
    queue.append(piece)
    timer?.setIfUnset(after: .zero)
  }

  private func proceed() {
    guard let piece = queue.first else { return }
    if !piece() { queue.removeFirst() }
    if !queue.isEmpty { timer?.set(after: .zero) }
  }
}
