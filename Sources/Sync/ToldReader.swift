// What a daemon's stream of changes says, a piece of its text at a time.
import Control
import LoadBalancing

struct ToldReader {
  /// What a piece has told.
  struct Piece {
    var changes: [AssociationChange] = []
    /// Where to go on when Redis has all of this piece.
    var cursor: ChangeCursor?
    /// What follows is the whole, from there on.
    var reset: ChangeCursor?
    /// A line that is neither a change nor a cursor.
    var unreadable: ArraySlice<UInt8>?
  }

  private var lines = LineSplitter()
  private var reader = AssociationChangeReader(unknownMembers: .ignored)
  private let start = currentMilliseconds()
  private var isFirst = true
  private var isEmpty = true
  /// The last batch was empty, or has what was found since: all that the log had has come.
  private(set) var isAtEnd = false

  mutating func read(_ bytes: [UInt8]) -> Piece {
    var piece = Piece()
    var lines = LineSplitter()
    swap(&lines, &self.lines)
    lines.feed(bytes) { line in
      switch reader.read(line: line) {
      case .change(let change)?:
        piece.changes.append(change)
        isEmpty = false
        if change.at >= start { isAtEnd = true }
      case .cursor(let place, let isReset)?:
        if isReset {
          piece.reset = place
        } else if !isFirst, place.sequence > 0 {
          // From 0, as in the whole's midst, nobody can go on.
          piece.cursor = place
          if isEmpty { isAtEnd = true }
        }
        (isFirst, isEmpty) = (false, true)
      case nil: piece.unreadable = line
      }
    }
    swap(&lines, &self.lines)
    return piece
  }
}
