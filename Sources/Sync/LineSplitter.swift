// A stream of bytes as lines. Knows nothing of what they say.

/// Makes lines of pieces as they come.
struct LineSplitter {
  private var rest: [UInt8] = []

  /// Calls `body` for each line that a piece completes.
  mutating func feed(_ piece: [UInt8], _ body: (ArraySlice<UInt8>) throws -> Void) rethrows {
    let bytes = rest.isEmpty ? piece : rest + piece
    var start = bytes.startIndex
    while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
      if end > start { try body(bytes[start..<end]) }
      start = end + 1
    }
    rest = Array(bytes[start...])
  }
}
