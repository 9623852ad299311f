// Standard output that a slow or dead reader cannot stop the daemon with.
import Glibc
import SystemPackage

/// Buffers lines and writes what the reader takes; never waits for it.
final class Output {
  /// Lent for poll(2).
  let descriptor: FileDescriptor
  private var buffer: [UInt8] = []
  private var start = 0

  /// The most bytes of a line that are written; the rest of it is counted in a mark at its end.
  /// Short enough for the journal, which breaks lines at 48 KiB (`LineMax=`, journald.conf(5)).
  static let longestLine = 32 << 10
  /// How much may wait for the reader before lines that can be spared are.
  private static let spareLimit = 192 << 10
  private static let limit = 256 << 10
  /// A pipe that poll(2) calls writable takes this much without blocking.
  private static let chunk = Int(PIPE_BUF)

  init(_ descriptor: FileDescriptor) {
    self.descriptor = descriptor
  }

  /// Takes a line, without its newline. A line that is `spare` is refused where the reader is slow,
  /// any other where the reader has taken nothing for long.
  ///
  /// - Returns: whether the line was taken.
  func write(_ line: String, spare: Bool) -> Bool {
    let limit = spare ? Output.spareLimit : Output.limit
    let needed = min(line.utf8.count, Output.longestLine) + Output.roomForMark
    if waiting + needed > limit { flush() }
    guard waiting + needed <= limit else { return false }
    buffer += Output.cut(line, at: Output.longestLine).utf8
    buffer.append(UInt8(ascii: "\n"))
    return true
  }

  /// How many bytes the reader has not taken yet.
  var waiting: Int { buffer.count - start }

  /// For the mark of a line that was cut, and the newline.
  private static let roomForMark = 64

  /// The first `length` bytes of a text or a little less, so that no character is cut in two, and
  /// a mark that says how many are left out; the text itself where it is no longer.
  static func cut(_ text: String, at length: Int) -> String {
    guard text.utf8.count > length else { return text }
    let bound = text.utf8.index(text.startIndex, offsetBy: length)
    // A byte 10…… continues the character before it.
    let end = text.utf8[...bound].lastIndex { $0 & 0xc0 != 0x80 } ?? bound
    return "\(text[..<end])… (\(text.utf8.distance(from: end, to: text.endIndex)) bytes more)"
  }

  /// Writes what can be written now.
  func flush() {
    while start < buffer.count, isWritable() {
      do {
        start += try buffer[start...].prefix(Output.chunk).withUnsafeBytes {
          try descriptor.write($0, retryOnInterrupt: false)
        }
      } catch Errno.interrupted, Errno.resourceTemporarilyUnavailable {
        break
      } catch {
        // Nobody is there to read any more.
        start = buffer.count
      }
    }
    if start == buffer.count {
      buffer.removeAll(keepingCapacity: true)
      start = 0
    } else if start > Output.spareLimit {
      buffer.removeSubrange(..<start)
      start = 0
    }
  }

  /// Writes what is left before an end, with patience of a second.
  func drain() {
    for _ in 0..<20 where start < buffer.count {
      flush()
      if start < buffer.count { usleep(50_000) }
    }
  }

  private func isWritable() -> Bool {
    var request = pollfd(fd: descriptor.rawValue, events: Int16(POLLOUT), revents: 0)
    return poll(&request, 1, 0) == 1 && request.revents & Int16(POLLNVAL) == 0
  }
}
