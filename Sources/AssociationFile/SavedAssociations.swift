// What a state file holds, taken out a piece at a time.
import Glibc
import LoadBalancing
import SystemPackage

/// The content of a whole state file.
public struct SavedAssociations {
  public let preamble: Preamble
  /// How many associations there are.
  public let count: Int
  private let content: WholeFile
  /// Those that were not taken out yet.
  private var records: [Records]

  /// How many associations are taken out at once.
  static let batch = 1 << 15

  /// - Parameters:
  ///   - content: its records are put in the order of their ranks.
  ///   - records: where they are in the file.
  init(preamble: Preamble, content: WholeFile, records: [Records]) {
    self.preamble = preamble
    self.content = content
    self.records = records
    count = records.reduce(0) { $0 + $1.count }
    for records in records {
      Record.sortByRank(
        UnsafeMutableRawBufferPointer(rebasing: content.buffer[records.place]), records.family)
    }
  }

  /// The next associations, of one family, those of it with the lowest ranks first; `nil` at the end.
  public mutating func next() -> [Association]? {
    while records.first?.count == 0 { records.removeFirst() }
    guard let next = records.first else { return nil }
    let piece = next.place.prefix(SavedAssociations.batch * Record.size(next.family))
    records[0].place = piece.upperBound..<next.place.upperBound
    return Record.decode(
      UnsafeRawBufferPointer(rebasing: content.bytes[piece]), next.family, version: next.version,
      rankedBy: next.ranking)
  }
}

/// A file's octets in memory of their own: what was checked is what is used, whatever happens to
/// the file meanwhile.
final class WholeFile {
  let buffer: UnsafeMutableRawBufferPointer
  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(buffer) }

  /// - Parameter size: more than 0. A file that has become shorter is read as far as it goes.
  init(_ file: OpenFile, size: Int) throws(StateFileError) {
    let start = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let start, start != MAP_FAILED else {
      throw .system(operation: "read", path: file.path, errno: Errno(rawValue: errno))
    }
    buffer = UnsafeMutableRawBufferPointer(start: start, count: size)
    _ = try file.read(into: buffer, at: 0)
  }

  deinit { munmap(buffer.baseAddress, buffer.count) }
}
