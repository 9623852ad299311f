// A pipe whose reader is the test.
import Glibc
import SystemPackage
import Testing

/// Its writing end is the daemon's output.
final class Pipe {
  let writing: FileDescriptor
  let reading: FileDescriptor
  private var isReaderGone = false

  init() throws {
    (reading, writing) = try FileDescriptor.pipe(options: .closeOnExec)
    try #require(fcntl(reading.rawValue, F_SETFL, O_NONBLOCK) == 0)
  }

  deinit {
    try? writing.close()
    closeReading()
  }

  func closeReading() {
    if !isReaderGone { try? reading.close() }
    isReaderGone = true
  }

  /// What the other side writes.
  func put(_ bytes: [UInt8]) { _ = try? writing.writeAll(bytes) }

  /// At most `count` bytes of what is there.
  func take(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let taken = try? bytes.withUnsafeMutableBytes { try reading.read(into: $0) }
    return Array(bytes.prefix(taken ?? 0))
  }

  /// The lines that are there, with those that come while the writer goes on.
  func read(while write: () -> Void) -> [String] {
    var bytes: [UInt8] = []
    while true {
      write()
      let more = take(65_536)
      if more.isEmpty { break }
      bytes += more
    }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }
}
