// How fast the tables are compared: soon, and for little of a CPU.
import Glibc

/// Rests between two looks, so that a pass begins each tenth of a second, or, where one costs more than
/// one and a half milliseconds, so seldom that they take 1.5 % of a CPU.
struct ChangePace {
  private static let interval = Duration.milliseconds(100)
  private static let cheap = Duration.microseconds(1_500)
  /// Of a CPU's time.
  private static let share = 0.015
  /// Of less rest than this a CPU has more trouble than of none.
  private static let shortest = Duration.milliseconds(20)

  /// Of the pass before.
  private var lastCost = Duration.zero
  private var cost = Duration.zero
  /// The rest that is still to be taken.
  private var due = Duration.zero
  private var began = ContinuousClock.now

  /// How much of a CPU this thread has had.
  static var processorTime: Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  /// How long to rest after a look.
  ///
  /// - Parameters:
  ///   - cost: of the look.
  ///   - isPass: whether all has been looked at with it.
  ///   - now: when it ended.
  mutating func pause(
    after cost: Duration, isPass: Bool, now: ContinuousClock.Instant = .now
  ) -> Duration {
    self.cost += cost
    let isCheap = lastCost <= Self.cheap && self.cost <= Self.cheap
    due = isCheap ? .zero : due + cost * (1 / Self.share - 1)
    var pause = due < Self.shortest && !isPass ? .zero : due
    due -= pause
    if isPass {
      pause = max(pause, Self.interval - (now - began))
      (lastCost, self.cost, began) = (self.cost, .zero, now + pause)
    }
    return pause
  }

  mutating func rest(after cost: Duration, isPass: Bool) async {
    let pause = pause(after: cost, isPass: isPass)
    // Each piece takes its time, and the threads are everybody's.
    if pause > .zero { try? await Task.sleep(for: pause) } else { await Task.yield() }
  }
}
