// The last changes, for who reads them one after the other. Knows no table.
import LoadBalancing
import Synchronization

/// The last changes. Written by one thread at a time, read by any.
///
/// Who has missed some reads all that is shared anew, which tells nobody who was forgotten: so these are
/// kept for a while, however many they are.
final class ChangeLog: Sendable {
  private struct State {
    var generation: UInt64 = 0
    /// The sequence number of the next change; that of the first is 1.
    var next: UInt64 = 1
    /// That of the first that is kept.
    var first: UInt64 = 1
    /// What is kept: all of them full but the last.
    var pieces: [[AssociationChange]] = []
    /// Those before that number are kept until then.
    var kept = (before: UInt64(0), until: Timestamp(seconds: 0))

    var count: Int { Int(next - first) }
  }

  /// How many are kept at least.
  private let capacity: Int
  /// How many of them go at once.
  private let pieceSize: Int
  private let state = Mutex(State())

  /// How many at most.
  private let most: Int

  /// How long it is kept who was forgotten, in seconds.
  private static let patience: Int64 = 60

  init(capacity: Int = 1 << 17, most: Int = 1 << 21) {
    (self.capacity, self.most) = (capacity, most)
    pieceSize = max(1, min(1 << 12, capacity / 4))
  }

  /// Forgets all, for changes that are counted anew.
  func begin() {
    let generation = UInt64.random(in: 1...UInt64.max)
    state.withLock { $0 = State(generation: generation) }
  }

  /// Behind the last.
  var end: ChangeCursor {
    state.withLock { ChangeCursor(generation: $0.generation, sequence: $0.next) }
  }

  /// Adds changes, possibly none, and lets go of those whose time is over.
  func append(_ changes: [AssociationChange], at now: Timestamp) {
    state.withLock { state in
      for change in changes {
        if state.count % pieceSize == 0 {
          state.pieces.append([])
          state.pieces[state.pieces.count - 1].reserveCapacity(pieceSize)
        }
        state.pieces[state.pieces.count - 1].append(change)
        state.next += 1
        guard case .gone(let gone) = change, gone.reason == .forgotten else { continue }
        state.kept = (
          state.next,
          Timestamp(seconds: now.seconds + Self.patience, nanoseconds: now.nanoseconds)
        )
      }
      while state.count >= capacity + pieceSize {
        let isKept = state.first < state.kept.before && now < state.kept.until
        guard !isKept || state.count > most else { break }
        state.pieces.removeFirst()
        state.first += UInt64(pieceSize)
      }
    }
  }

  /// The changes from there on, and where to go on.
  ///
  /// - Returns: `nil` where some of them are not there any more, or never were.
  func read(
    from cursor: ChangeCursor, limit: Int
  ) -> (changes: [AssociationChange], next: ChangeCursor)? {
    state.withLock { state in
      guard cursor.generation == state.generation, cursor.sequence > 0,
        (state.first...state.next).contains(cursor.sequence)
      else { return nil }
      let end = min(state.next, cursor.sequence + UInt64(limit))
      let changes = (cursor.sequence..<end).map { sequence in
        let index = Int(sequence - state.first)
        return state.pieces[index / pieceSize][index % pieceSize]
      }
      return (changes, ChangeCursor(generation: state.generation, sequence: end))
    }
  }
}
