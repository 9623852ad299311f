// When the associations are saved: each interval, and at the end. A failure costs nothing else.
import DataPlane
import LoadBalancing

/// Saves the state file again and again, a piece in each round of the main loop.
struct StateKeeper {
  private let path: String
  private let interval: Duration
  private let log: Log
  private var saver: StateSaver?
  private var nextSave: ContinuousClock.Instant
  private var hasFailed = false

  init(path: String, interval: Duration, log: Log, now: ContinuousClock.Instant) {
    self.path = path
    self.interval = interval
    self.log = log
    nextSave = now + interval
  }

  /// Does the next piece of work, if there is any.
  ///
  /// - Returns: whether there is more at once.
  mutating func work(_ dataPlane: DataPlane, now: ContinuousClock.Instant) -> Bool {
    guard saver != nil || now >= nextSave else { return false }
    do {
      let saver = try saver ?? StateSaver(dataPlane, to: path)
      self.saver = saver
      guard try saver.step() else { return true }
      if hasFailed { log.notice("The associations are saved again.") }
      hasFailed = false
    } catch {
      report(error)
    }
    saver = nil
    nextSave = now + interval
    return false
  }

  /// Saves all at once, before the end.
  mutating func saveNow(_ dataPlane: DataPlane) {
    saver = nil
    do {
      let saver = try StateSaver(dataPlane, to: path)
      while try !saver.step() {}
    } catch {
      hasFailed = false
      report(error)
    }
  }

  private mutating func report(_ error: any Error) {
    if !hasFailed {
      log.error(
        "Unable to save the associations: \(error); the last save stays, and it is tried again")
    }
    hasFailed = true
  }
}
