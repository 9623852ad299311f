// Changes of associations as the body of an answer that does not end by itself.
import Control
import DataPlane
import LoadBalancing
import Synchronization

/// Those who are told of changes. Who stops the daemon ends all of them.
final class ChangeStreams: Sendable {
  /// The most at once: each has all of it read for itself.
  static let most = 4
  private let state = Mutex((count: 0, isClosed: false))
  private let heartbeat: Duration

  /// - Parameter heartbeat: how often one is told where it is, while nothing changes.
  init(heartbeat: Duration = .milliseconds(800)) { self.heartbeat = heartbeat }

  /// - Throws: where too many are told already, or the daemon stops.
  func begin(
    _ changes: AssociationChanges, since cursor: ChangeCursor?
  ) throws(Problem) -> ChangeStream {
    let refusal = state.withLock { state -> Problem? in
      guard !state.isClosed else {
        return .unavailable("the daemon is stopping; ask again when it has started")
      }
      guard state.count < Self.most else {
        return .tooMany("\(Self.most) connections are told of changes, which is the most; end one")
      }
      state.count += 1
      return nil
    }
    if let refusal { throw refusal }
    return ChangeStream(
      reading: changes.read(since: cursor), place: Place(streams: self), heartbeat: heartbeat)
  }

  func close() { state.withLock { $0.isClosed = true } }

  fileprivate var isClosed: Bool { state.withLock { $0.isClosed } }

  fileprivate func leave() { state.withLock { $0.count -= 1 } }

  /// That of one who is told, as long as somebody holds the stream, asked for or not.
  fileprivate final class Place: Sendable {
    let streams: ChangeStreams

    init(streams: ChangeStreams) { self.streams = streams }
    deinit { streams.leave() }
  }
}

/// The lines of a reading, in pieces as they are asked for. Ends where the reading cannot go on.
struct ChangeStream: AsyncSequence, Sendable {
  fileprivate let reading: ChangeReading
  fileprivate let place: ChangeStreams.Place
  fileprivate let heartbeat: Duration

  struct Iterator: AsyncIteratorProtocol {
    fileprivate var reading: ChangeReading
    fileprivate let place: ChangeStreams.Place
    fileprivate let heartbeat: Duration

    /// How often it is looked whether there is something new.
    private static let interval = Duration.milliseconds(50)
    /// The most bytes of a piece, but for what comes at once.
    private static let enough = 128 << 10

    mutating func next() async -> [UInt8]? {
      let began = ContinuousClock.now
      var text: [UInt8] = []
      while !place.streams.isClosed, !Task.isCancelled {
        guard let lines = reading.next() else { return text.isEmpty ? nil : text }
        text += lines
        if text.count >= Self.enough || lines.isEmpty && !text.isEmpty { return text }
        if lines.isEmpty {
          guard ContinuousClock.now - began < heartbeat else { return reading.heartbeat }
          try? await Task.sleep(for: Self.interval)
        } else {
          // Each piece takes milliseconds, and the threads are everybody's.
          await Task.yield()
        }
      }
      return nil
    }
  }

  func makeAsyncIterator() -> Iterator {
    Iterator(reading: reading, place: place, heartbeat: heartbeat)
  }
}
