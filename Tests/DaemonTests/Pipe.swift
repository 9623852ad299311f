// A pipe whose reader is the test.
import Glibc
import Testing

/// Its writing end is the daemon's output.
final class Pipe {
  let writing: Int32
  private(set) var reading: Int32

  init() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    (reading, writing) = (ends[0], ends[1])
    try #require(fcntl(reading, F_SETFL, O_NONBLOCK) == 0)
  }

  deinit {
    close(writing)
    closeReading()
  }

  func closeReading() {
    if reading >= 0 { close(reading) }
    reading = -1
  }

  /// At most `count` bytes of what is there.
  func take(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let taken = Glibc.read(reading, &bytes, count)
    return Array(bytes.prefix(max(0, taken)))
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
