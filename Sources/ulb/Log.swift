// The daemon's log: its own messages and the packet path's events, as text or JSON.
import Glibc
import LoadBalancing

/// Writes lines to standard output. Never waits: what the reader does not take is counted.
final class Log {
  private let format: LogFormat
  private let family: AddressFamily
  private let output = Output(1)
  /// Events that were not written because the reader was slow.
  private(set) var droppedEvents: UInt64 = 0

  init(format: LogFormat, family: AddressFamily) {
    self.format = format
    self.family = family
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
    let line =
      switch format {
      case .text: text
      case .json: LogLine.json(time: Clock.now, level: level, message: message)
      }
    _ = output.write(line, spare: false)
    output.flush()
  }
}
