// The daemon's log: its own messages and the packet path's events, as text or JSON.
import Glibc
import LoadBalancing

/// Writes lines to standard output. Never waits: what the reader does not take is counted.
final class Log {
  private let format: LogFormat
  private let family: AddressFamily
  private let output: Output
  /// Events that were not written because the reader was slow.
  private(set) var droppedEvents: UInt64 = 0
  /// Lines of the daemon's own that were not written because the reader takes nothing.
  private var droppedLines = 0

  init(format: LogFormat, family: AddressFamily, output: Output = Output(1)) {
    self.format = format
    self.family = family
    self.output = output
  }

  /// Something the operator is told at every level, as ulb.py tells it.
  func notice(_ message: String) {
    for part in message.split(separator: "\n", omittingEmptySubsequences: format == .json) {
      line(.info, String(part), text: String(part))
    }
  }

  /// Something that needs the operator.
  func error(_ message: String) {
    line(.error, message, text: "ERROR: \(message)")
  }

  /// Something that is worth to know but was dealt with.
  func warning(_ message: String) {
    line(.warning, message, text: "WARNING: \(message)")
  }

  func event(_ record: EventRecord) {
    let text =
      switch format {
      case .text: record.line(family: family)
      case .json: record.json(time: Clock.now)
      }
    if !output.write(text, spare: true) { droppedEvents += 1 }
  }

  func flush() { output.flush() }

  /// Writes what is left before the process ends.
  func drain() { output.drain() }

  private func line(_ level: LogLevel, _ message: String, text: String) {
    if droppedLines > 0, write(.warning, "\(droppedLines) line(s) of this log were lost here") {
      droppedLines = 0
    }
    if !write(level, message, text: text) { droppedLines += 1 }
    output.flush()
  }

  private func write(_ level: LogLevel, _ message: String, text: String? = nil) -> Bool {
    let line =
      switch format {
      case .text: text ?? "\(level.name): \(message)"
      case .json: Log.json(level, message)
      }
    return output.write(line, spare: false)
  }

  /// One object on one line. A message that makes it too long is cut, as half an object is none.
  private static func json(_ level: LogLevel, _ message: String) -> String {
    let time = Clock.now
    var length = message.utf8.count
    while true {
      let line = LogLine.json(
        time: time, level: level, message: Output.cut(message, at: length))
      if line.utf8.count <= Output.longestLine { return line }
      // What is escaped takes up to six times its own room.
      length = min(length, Output.longestLine) / 2
    }
  }
}
