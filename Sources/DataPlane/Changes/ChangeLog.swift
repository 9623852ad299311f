// The last changes, for who reads them one after the other. Knows no table.
import LoadBalancing
import Synchronization

/// A ring of changes. Written by one thread at a time, read by any.
final class ChangeLog: Sendable {
  private struct State {
    var generation: UInt64 = 0
    /// The sequence number of the next change; that of the first is 1.
    var next: UInt64 = 1
    var changes: [AssociationChange] = []
  }

  /// How many are kept.
  private let capacity: Int
  private let state = Mutex(State())

  init(capacity: Int = 1 << 17) { self.capacity = capacity }

  /// Forgets all, for changes that are counted anew.
  func begin() {
    let generation = UInt64.random(in: 1...UInt64.max)
    state.withLock { $0 = State(generation: generation) }
  }

  /// Behind the last.
  var end: ChangeCursor {
    state.withLock { ChangeCursor(generation: $0.generation, sequence: $0.next) }
  }

  func append(_ changes: [AssociationChange]) {
    guard !changes.isEmpty else { return }
    state.withLock { state in
      for change in changes {
        if state.changes.count < capacity {
          state.changes.append(change)
        } else {
          state.changes[Int((state.next - 1) % UInt64(capacity))] = change
        }
        state.next += 1
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
      let first = state.next - UInt64(state.changes.count)
      guard cursor.generation == state.generation, cursor.sequence > 0,
        (first...state.next).contains(cursor.sequence)
      else { return nil }
      let end = min(state.next, cursor.sequence + UInt64(limit))
      let changes = (cursor.sequence..<end).map {
        state.changes[Int(($0 - 1) % UInt64(capacity))]
      }
      return (changes, ChangeCursor(generation: state.generation, sequence: end))
    }
  }
}
