// What has changed, for one who reads it one after the other: the whole first, where it cannot go on.
import LoadBalancing

/// Changes as JSON lines, as they come.
public struct ChangeReading: Sendable {
  /// Counts who listens.
  private final class Listener: Sendable {
    let changes: AssociationChanges

    init(_ changes: AssociationChanges) {
      self.changes = changes
      changes.join()
    }

    deinit { changes.leave() }
  }

  private enum Position {
    case beginning(since: ChangeCursor?)
    case whole(BucketWalk, behind: ChangeCursor)
    case changes(ChangeCursor)
  }

  private let listener: Listener
  private var position: Position
  private var writer = AssociationChangeWriter()

  /// The most changes of a piece.
  private static let atOnce = 500
  /// Buckets of a piece of the whole.
  private static let bucketsAtOnce = 1 << 8
  /// How many pieces with nothing in them are looked at in a millisecond.
  private static let piecesAtOnce = 1 << 6

  init(_ changes: AssociationChanges, since cursor: ChangeCursor?) {
    listener = Listener(changes)
    position = .beginning(since: cursor)
  }

  /// What tells where it is, while nothing changes.
  public var heartbeat: [UInt8] {
    switch position {
    case .beginning: []
    // From there, the whole begins anew.
    case .whole(_, let end):
      AssociationChangeWriter.line(ChangeCursor(generation: end.generation, sequence: 0))
    case .changes(let cursor): AssociationChangeWriter.line(cursor)
    }
  }

  /// The next lines, none of them where there is nothing new; `nil` where it cannot go on: changes were
  /// lost, or are counted anew. Takes a millisecond or two.
  public mutating func next() -> [UInt8]? {
    let changes = listener.changes
    switch position {
    case .beginning(let cursor):
      if let cursor, changes.log.read(from: cursor, limit: 0) != nil {
        position = .changes(cursor)
        return heartbeat
      }
      let end = changes.beginWhole()
      position = .whole(BucketWalk(atOnce: Self.bucketsAtOnce), behind: end)
      let start = ChangeCursor(generation: end.generation, sequence: 0)
      return AssociationChangeWriter.line(start, isReset: true)
        + lines(changes.overrides.present.map { .override($0) })
    case .whole(var walk, let end):
      for _ in 0..<Self.piecesAtOnce {
        guard let found = changes.associations(&walk, of: end.generation) else {
          position = .changes(end)
          return changes.log.read(from: end, limit: 0).map { _ in heartbeat }
        }
        position = .whole(walk, behind: end)
        if !found.isEmpty { return lines(found) }
      }
      // A table may be empty, and there is more than nothing to come.
      return heartbeat
    case .changes(let cursor):
      guard let (found, next) = changes.log.read(from: cursor, limit: Self.atOnce) else {
        return nil
      }
      guard !found.isEmpty else { return [] }
      position = .changes(next)
      return lines(found) + heartbeat
    }
  }

  private mutating func lines(_ changes: [AssociationChange]) -> [UInt8] {
    var text: [UInt8] = []
    for change in changes { writer.append(change, to: &text) }
    return text
  }
}
