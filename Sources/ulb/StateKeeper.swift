// When the associations are restored and saved: at the start, each interval, at the end. A failure
// costs nothing else.
import AssociationFile
import DataPlane
import LoadBalancing

/// Saves the state file again and again, a piece at a time.
struct StateKeeper {
  private let file: StateFile
  private let interval: Duration
  private let log: Log
  /// A save under way, and what it is made from.
  private var saving: (save: Save, reader: AssociationReader)?
  private var nextSave: ContinuousClock.Instant
  private var hasFailed = false

  init(_ file: StateFile, interval: Duration, log: Log, now: ContinuousClock.Instant) {
    self.file = file
    self.interval = interval
    self.log = log
    nextSave = now + interval
  }

  // MARK: The start

  /// Restores what the file holds, and says what became of it. A file that cannot be used is kept
  /// aside; the start goes on without it.
  ///
  /// - Parameter progress: is told again and again how far it is, as it may take long.
  func restore(into dataPlane: DataPlane, progress: (String) -> Void) {
    do {
      guard var saved = try file.load(dataPlane.configuration.family) else { return }
      try dataPlane.setRoundPosition(saved.preamble.roundPosition)
      var (restored, unlisted) = (0, 0)
      while let associations = saved.next() {
        let outcome = try dataPlane.restore(associations, of: saved.preamble.realServers)
        restored += outcome.restored
        unlisted += outcome.unlisted
        progress("\(restored + unlisted) of \(saved.count) associations restored")
      }
      let rest = unlisted == 0 ? "" : "; \(unlisted) of real servers that are no longer listed"
      log.notice("Restored \(restored) association(s) from \(file.path)\(rest)")
    } catch {
      keepAside("\(error)")
    }
  }

  /// Keeps a file aside that cannot be used, where what is in it is not needed: another process has
  /// handed on newer associations, which are going to be saved in its place.
  func keepUnusableAside(_ dataPlane: DataPlane) {
    do throws(Refusal) {
      try file.check(dataPlane.configuration.family)
    } catch {
      keepAside("\(error)")
    }
  }

  private func keepAside(_ reason: String) {
    var outcome: String
    do throws(StateFileError) {
      outcome = "kept aside as \(try file.keepAside())"
    } catch {
      outcome = "\(error), and nothing is saved until it can be kept aside"
    }
    log.error(
      "The state file \(file.path) is refused: \(reason); \(outcome); started without it")
  }

  // MARK: Saving

  /// When the next piece of work is due.
  var nextWork: ContinuousClock.Instant { saving == nil ? nextSave : .now }

  /// Does the next piece of work, if there is any.
  mutating func work(_ dataPlane: DataPlane, now: ContinuousClock.Instant) {
    guard saving != nil || now >= nextSave else { return }
    do {
      if saving == nil { saving = try begin(dataPlane) }
      guard try step() else { return }
      if hasFailed { log.notice("The associations are saved again.") }
      hasFailed = false
    } catch {
      report(error)
    }
    saving = nil
    nextSave = now + interval
  }

  /// Saves all at once, before the end.
  mutating func saveNow(_ dataPlane: DataPlane) {
    // What is under way is given up before another begins: both are written to one file.
    saving = nil
    do {
      saving = try begin(dataPlane)
      while try !step() {}
    } catch {
      hasFailed = false
      report(error)
    }
    saving = nil
  }

  private func begin(_ dataPlane: DataPlane) throws -> (Save, AssociationReader) {
    let reader = try dataPlane.readAssociations()
    let preamble = Preamble(
      family: dataPlane.configuration.family, roundPosition: dataPlane.roundPosition,
      realServers: reader.realServers)
    return (try Save(file, preamble), reader)
  }

  /// - Returns: whether all is saved and in place.
  private func step() throws -> Bool {
    guard let (save, reader) = saving else { return true }
    if let associations = try reader.next() {
      try save.write(associations)
      return false
    }
    try save.commit()
    return true
  }

  private mutating func report(_ error: any Error) {
    if !hasFailed {
      log.error(
        "Unable to save the associations: \(error); the last save stays, and it is tried again")
    }
    hasFailed = true
  }
}
