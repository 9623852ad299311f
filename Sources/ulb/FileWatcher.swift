// Sees that a file of the configuration has changed, and waits until whoever writes it has finished.
import CommandLine

/// Looks at a file each second. A change is handed over when two reads 100 ms apart agree.
struct FileWatcher {
  /// What a look has found.
  enum Finding {
    case nothing
    /// A new content, settled.
    case content([UInt8])
    /// The file cannot be read; said once for each reason.
    case failure(FileError)
  }

  let path: String
  private var known: FileFingerprint?
  private var settling: (bytes: [UInt8], state: FileFingerprint)?
  private var lastFailure: FileError?
  private(set) var nextLook: ContinuousClock.Instant
  private var isForced = false

  private static let interval = Duration.seconds(1)
  private static let settleTime = Duration.milliseconds(100)

  /// - Parameter known: the state that the content in service was read in.
  init(path: String, known: FileFingerprint?, now: ContinuousClock.Instant) {
    self.path = path
    self.known = known
    nextLook = now + Self.interval
  }

  /// Looks at once, and hands the content over even if it has not changed.
  mutating func lookNow(_ now: ContinuousClock.Instant) {
    isForced = true
    if settling == nil { nextLook = now }
  }

  mutating func look(_ now: ContinuousClock.Instant) -> Finding {
    guard now >= nextLook else { return .nothing }
    if settling == nil, !isForced, let state = FileFingerprint(path: path), state == known {
      nextLook = now + Self.interval
      return .nothing
    }
    switch FileReader.read(path) {
    case .failure(let error):
      settling = nil
      nextLook = now + Self.interval
      // A file that comes back is news even if it comes back as it was.
      known = nil
      defer { (lastFailure, isForced) = (error, false) }
      return error != lastFailure || isForced ? .failure(error) : .nothing
    case .success(let (bytes, state)):
      guard let before = settling, before.state == state, before.bytes == bytes else {
        settling = (bytes, state)
        nextLook = now + Self.settleTime
        return .nothing
      }
      (settling, lastFailure, known, isForced) = (nil, nil, state, false)
      nextLook = now + Self.interval
      return .content(bytes)
    }
  }
}
