// When the associations are restored and saved: at the start, each interval, at the end. A failure
// costs nothing else.
import AssociationFile
import DataPlane
import LoadBalancing

/// What is saved at one time.
struct AssociationSource {
  let preamble: Preamble
  /// The next associations, possibly none; `nil` at the end.
  let next: () throws -> [Association]?
}

/// Saves the state file again and again. The loop does no more than to read the associations, a
/// piece at a time; what waits for the disk is a thread of its own.
final class StateKeeper {
  private let file: StateFile
  private let interval: Duration
  private let patience: Duration
  private let log: Log
  private let wakeup: Wakeup
  private let saver: Saver
  private var nextSave: EventLoop.Timer?
  /// When a save that is not through is told of.
  private var lateness: EventLoop.Timer?
  /// How far a save is that is under way.
  private var phase: Phase?
  /// How the last save has failed; `nil` where it has not.
  private var failure: String?
  /// When the last save was complete.
  private var savedAt: Timestamp?
  private var saves: UInt64 = 0
  /// Called when ``report`` has changed.
  var onChange: () -> Void = {}

  /// What has become of the saves.
  struct Report: Sendable {
    let path: String
    /// When the last was complete; `nil` before the first.
    let savedAt: Timestamp?
    /// How many were.
    let saves: UInt64
    /// Why the last has failed; `nil` where it has not.
    let failure: String?
  }

  var report: Report { Report(path: file.path, savedAt: savedAt, saves: saves, failure: failure) }

  private enum Phase {
    case writing(AssociationSource)
    case committing
  }

  /// - Parameters:
  ///   - interval: from the end of a save to the beginning of the next.
  ///   - patience: how long a save may take before that is told.
  init(
    _ file: StateFile, interval: Duration, patience: Duration = .seconds(30), log: Log
  ) throws(WakeupError) {
    self.file = file
    self.interval = interval
    self.patience = patience
    self.log = log
    let wakeup = try Wakeup()
    self.wakeup = wakeup
    saver = Saver(file, onStep: wakeup.signal)
  }

  // MARK: The start

  /// What the control socket had set when the file was saved: nothing where it cannot be used, which
  /// is told when it is restored.
  func overrides(for configuration: Configuration) -> Overrides {
    (try? file.overrides(for: configuration.virtualServers)) ?? Overrides()
  }

  /// Restores what the file holds, and says what became of it. A file that cannot be used is kept
  /// aside; the start goes on without it.
  ///
  /// - Parameter progress: is told again and again how far it is, as it may take long.
  func restore(into dataPlane: DataPlane, progress: (String) -> Void) {
    do {
      guard var saved = try file.load(for: dataPlane.configuration.virtualServers) else { return }
      try dataPlane.setRoundPositions(of: saved.preamble.virtualServers)
      var restored = Restored()
      var done = 0
      while let associations = saved.next() {
        restored += dataPlane.restore(
          associations, rankedBy: saved.preamble.ranking, of: saved.preamble.virtualServers)
        done += associations.count
        progress("\(done) of \(saved.count) associations restored")
      }
      log.notice(restored.summary(of: file.path))
    } catch {
      keepAside("\(error)")
    }
  }

  /// Keeps a file aside that cannot be used, where what is in it is not needed: another process has
  /// handed on newer associations, which are going to be saved in its place.
  func keepUnusableAside(_ dataPlane: DataPlane) {
    do throws(Refusal) {
      try file.check(for: dataPlane.configuration.virtualServers)
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

  /// Saves in each interval from now on.
  ///
  /// - Parameter source: called at the beginning of each save.
  func start(on loop: EventLoop, source: @escaping () throws -> AssociationSource) {
    nextSave = loop.timer { [unowned self] in
      attempt { try begin(source()) }
    }
    lateness = loop.timer { [unowned self] in
      tell("they are not written after \(patience); the disk is slow or frozen")
    }
    nextSave?.set(after: interval)
    _ = loop.watch(self.wakeup.descriptor, for: .reading) { [unowned self] in
      wakeup.clear()
      attempt(proceed)
    }
  }

  private func begin(_ source: AssociationSource) {
    saver.begin(source.preamble)
    phase = .writing(source)
    lateness?.set(after: patience)
  }

  /// Goes on where the thread has done what it was given.
  private func proceed() throws {
    guard let phase, !saver.isBusy else { return }
    try saver.check()
    switch phase {
    case .writing(let source):
      if let associations = try source.next() {
        saver.write(associations)
      } else {
        saver.commit()
        self.phase = .committing
      }
    case .committing:
      if failure != nil { log.notice("The associations are saved again.") }
      failure = nil
      savedAt = Clock.now
      saves += 1
      end()
      onChange()
    }
  }

  private func attempt(_ step: () throws -> Void) {
    do {
      try step()
    } catch {
      saver.giveUp()
      tell("\(error)")
      end()
    }
  }

  private func end() {
    phase = nil
    lateness?.unset()
    nextSave?.set(after: interval)
  }

  /// Saves all at once, before the end. What is under way is given up, unless it is being put in
  /// place.
  func saveNow(_ source: () throws -> AssociationSource) {
    saver.giveUp()
    do {
      let source = try source()
      saver.begin(source.preamble)
      while let associations = try source.next() {
        try saver.finish()
        saver.write(associations)
      }
      saver.commit()
      try saver.finish()
    } catch {
      failure = nil
      tell("\(error)")
      saver.giveUp()
      try? saver.finish()
    }
  }

  private func tell(_ reason: String) {
    if failure == nil {
      log.error(
        "Unable to save the associations: \(reason); the last save stays, and it is tried again")
    }
    failure = reason
    onChange()
  }
}

extension Restored {
  /// What became of a file's associations, on one line.
  func summary(of path: String) -> String {
    var text = "Restored \(count) association(s) from \(path)"
    if unserved > 0 { text += "; \(unserved) of virtual servers that are no longer configured" }
    if unlisted > 0 { text += "; \(unlisted) of real servers that are no longer listed" }
    if unplaced > 0 { text += "; \(unplaced) that there was no room for" }
    return text
  }
}

extension DataPlane {
  /// What there is to be saved now.
  func associationSource() -> AssociationSource {
    let reader = readAssociations()
    return AssociationSource(
      preamble: Preamble(
        virtualServers: reader.virtualServers, overrides: configuration.overrides,
        ranking: reader.ranking),
      next: reader.next)
  }
}
