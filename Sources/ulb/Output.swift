// Standard output that a slow or dead reader cannot stop the daemon with.
import Glibc

/// Buffers lines and writes what the reader takes; never waits for it.
final class Output {
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var start = 0

  /// How much may wait for the reader before lines that can be spared are.
  private static let spareLimit = 192 << 10
  private static let limit = 256 << 10
  /// A pipe that poll(2) calls writable takes this much without blocking.
  private static let chunk = Int(PIPE_BUF)

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
  }

  /// Takes a line, without its newline. A line that is `spare` is refused where the reader is slow.
  ///
  /// - Returns: whether the line was taken.
  func write(_ line: String, spare: Bool) -> Bool {
    let waiting = buffer.count - start
    guard waiting + line.utf8.count < (spare ? Output.spareLimit : Output.limit) else {
      flush()
      return buffer.isEmpty && write(line, spare: spare)
    }
    buffer += line.utf8
    buffer.append(UInt8(ascii: "\n"))
    return true
  }

  /// Writes what can be written now.
  func flush() {
    while start < buffer.count, isWritable() {
      let count = buffer[start...].withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress, min($0.count, Output.chunk))
      }
      if count < 0 {
        if errno == EINTR || errno == EAGAIN { break }
        // Nobody is there to read any more.
        start = buffer.count
        break
      }
      start += count
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
    var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    return poll(&request, 1, 0) == 1 && request.revents & Int16(POLLNVAL) == 0
  }
}
