// Saves in a thread of its own, as a disk may be slow, full or frozen: nobody else waits for it.
import Dispatch
import LoadBalancing
import Synchronization

/// Saves a state file, one save after another, each in steps that are done in the order in which
/// they were given. Only ``finish()`` waits.
public final class Saver: Sendable {
  private let file: StateFile
  private let onStep: @Sendable () -> Void
  /// The thread.
  private let queue = DispatchQueue(label: "state file")
  /// The save under way: only the thread touches it.
  private let save = Mutex<Save?>(nil)
  private let progress = Mutex(Progress())

  private struct Progress {
    /// How many steps were given and are not done.
    var steps = 0
    /// Why the save that was begun last has failed.
    var failure: StateFileError?
  }

  /// - Parameter onStep: called by the thread when it has done a step, be it that it has failed.
  public init(_ file: StateFile, onStep: @escaping @Sendable () -> Void) {
    self.file = file
    self.onStep = onStep
  }

  // MARK: Steps

  /// Begins a save. The one before it must have been committed or given up, or have failed.
  public func begin(_ preamble: Preamble) {
    step { saver throws(StateFileError) in
      saver.progress.withLock { $0.failure = nil }
      try saver.save.withLock { save throws(StateFileError) in
        save = try Save(saver.file, preamble)
      }
    }
  }

  /// Saves some more; nothing where the save has failed.
  ///
  /// - Parameter associations: of one family, and of IPv4 before any of IPv6.
  public func write(_ associations: [Association]) {
    step { saver throws(StateFileError) in
      try saver.save.withLock { save throws(StateFileError) in try save?.write(associations) }
    }
  }

  /// All is there: puts the save in the file's place, once it is on the disk; nothing where the save
  /// has failed.
  public func commit() {
    step { saver throws(StateFileError) in
      try saver.save.withLock { save throws(StateFileError) in
        try save?.commit()
        save = nil
      }
    }
  }

  /// Gives the save up, if there is one. One that is being put in place is there first.
  public func giveUp() {
    step { $0.save.withLock { $0 = nil } }
  }

  private func step(
    _ work: @escaping @Sendable (Saver) throws(StateFileError) -> Void
  ) {
    progress.withLock { $0.steps += 1 }
    queue.async { [self] in
      var failure: StateFileError?
      do throws(StateFileError) {
        try work(self)
      } catch {
        failure = error
        save.withLock { $0 = nil }
      }
      progress.withLock { progress in
        progress.steps -= 1
        if let failure { progress.failure = failure }
      }
      onStep()
    }
  }

  // MARK: What became of them

  /// Whether a step that was given is not done yet.
  public var isBusy: Bool { progress.withLock { $0.steps > 0 } }

  /// Throws why the save that was begun last has failed, if it has.
  public func check() throws(StateFileError) {
    if let failure = progress.withLock({ $0.failure }) { throw failure }
  }

  /// Waits until all steps that were given are done, and throws as ``check()`` does.
  public func finish() throws(StateFileError) {
    queue.sync {}
    try check()
  }
}
