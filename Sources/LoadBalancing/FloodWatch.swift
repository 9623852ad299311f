// When a flood of new clients begins and ends, as an operator is told of it. Knows no table and no clock.

/// Watches the new clients of one family. To be asked each second or so.
public struct FloodWatch: Sendable {
  /// What is told.
  public enum News: Hashable, Sendable {
    /// - Parameter rate: new clients a second.
    case began(rate: UInt64)
    /// - Parameters:
    ///   - seconds: how long it was.
    ///   - clients: how many new clients there were meanwhile.
    ///   - rate: the most in a second.
    case ended(seconds: UInt64, clients: UInt64, rate: UInt64)
  }

  /// How long there has to be no pressure until a flood is over: one that comes in waves is one.
  private static let calm: Duration = .seconds(5)

  private struct Flood {
    let beganAt: Duration
    let before: UInt64
    var pressedAt: Duration
    var rate: UInt64
  }

  private var flood: Flood?
  private var last: (at: Duration, created: UInt64)?

  public init() {}

  /// Whether a flood is under way that was told of.
  public var isFlooded: Bool { flood != nil }

  /// - Parameters:
  ///   - isUnderPressure: whether newcomers have to go shortly after they came.
  ///   - created: associations that were made, counted without end.
  ///   - now: of a clock that never stands still.
  /// - Returns: `nil` where there is nothing to be told.
  public mutating func look(isUnderPressure: Bool, created: UInt64, at now: Duration) -> News? {
    let rate = rate(created, now)
    last = (now, created)
    guard var flood else {
      guard isUnderPressure else { return nil }
      self.flood = Flood(beganAt: now, before: created, pressedAt: now, rate: rate)
      return .began(rate: rate)
    }
    flood.rate = max(flood.rate, rate)
    if isUnderPressure { flood.pressedAt = now }
    self.flood = flood
    guard now - flood.pressedAt >= FloodWatch.calm else { return nil }
    self.flood = nil
    return .ended(
      seconds: UInt64((flood.pressedAt - flood.beganAt).components.seconds),
      clients: created &- flood.before, rate: flood.rate)
  }

  /// New clients a second since the last look.
  private func rate(_ created: UInt64, _ now: Duration) -> UInt64 {
    guard let last, now > last.at, created > last.created else { return 0 }
    return UInt64(Double(created - last.created) / ((now - last.at) / .seconds(1)))
  }
}
