// Measures how long steps take that follow one another.

/// Runs from its creation on.
struct Stopwatch {
  private var start = ContinuousClock.now

  /// The time since the last call, or since the creation.
  mutating func lap() -> Duration {
    let now = ContinuousClock.now
    defer { start = now }
    return now - start
  }
}
