// The daemon's log: its own messages and the packet path's events, as text or JSON.
import Glibc
import LoadBalancing
import SystemPackage
import Systemd

/// Writes lines to standard output. Never waits: what the reader does not take is counted.
///
/// Where the journal reads them, each line begins with its priority.
final class Log {
  private let format: LogFormat
  private let output: Output
  private let clock = ContinuousClock()
  /// What the journal is given; `nil` for any other reader.
  private var allowance: EventAllowance?
  /// Events since the last report that were not written because the reader was slow.
  private var droppedEvents: UInt64 = 0
  /// Events since the last report that were beyond the allowance.
  private var withheldEvents: UInt64 = 0
  /// Lines of the daemon's own that were not written because the reader takes nothing.
  private var droppedLines = 0
  /// Hears each line of the daemon's own, written or not.
  var onLine: (LogLevel, _ message: String, _ virtualServer: String?) -> Void = { _, _, _ in }

  init(
    format: LogFormat, output: Output = Output(.standardOutput),
    isJournal: Bool = Journal.reads(.standardOutput)
  ) {
    self.format = format
    self.output = output
    allowance = isJournal ? EventAllowance() : nil
  }

  /// Something the operator is told at every level, as ulb.py tells it.
  func notice(_ message: String) { notice(message, virtualServer: nil) }

  /// The same about one virtual server.
  ///
  /// - Parameter virtualServer: what it is called, for JSON; the message is to say it too.
  func notice(_ message: String, virtualServer: String?) {
    for part in message.split(separator: "\n", omittingEmptySubsequences: format == .json) {
      line(.info, .notice, String(part), text: String(part), virtualServer: virtualServer)
    }
  }

  /// Something that needs the operator.
  func error(_ message: String) {
    line(.error, .error, message, text: "ERROR: \(message)")
  }

  /// Something that is worth to know but was dealt with.
  func warning(_ message: String) {
    line(.warning, .warning, message, text: "WARNING: \(message)")
  }

  /// Something for who looks into the daemon.
  func debug(_ message: String) {
    line(.debug, .debug, message, text: message)
  }

  func event(_ record: EventRecord) {
    let level = record.event.level
    guard allowance?.take(level, now: clock.now) != false else {
      withheldEvents += 1
      return
    }
    let text =
      switch format {
      case .text: record.line
      case .json: record.json(time: Clock.now)
      }
    if !output.write(marked(text, level.priority), spare: true) { droppedEvents += 1 }
  }

  /// Says how many events are missing since the last report, and why, if any are.
  ///
  /// - Parameter unread: those that the packet path could not hand over.
  func reportLostEvents(unread: UInt64) {
    if unread + droppedEvents > 0 {
      warning(
        "\(unread + droppedEvents) events lost: they came faster than they could be read and written"
      )
    }
    if withheldEvents > 0 {
      warning(
        """
        \(withheldEvents) events not logged: the journal gets at most \(EventAllowance.burst) of a \
        level in \(EventAllowance.interval.components.seconds) s
        """)
    }
    (droppedEvents, withheldEvents) = (0, 0)
  }

  func flush() { output.flush() }

  /// What to wait for until more can be written; `nil` where nothing waits for the reader.
  var descriptorToWaitFor: FileDescriptor? { output.waiting > 0 ? output.descriptor : nil }

  /// Writes what is left before the process ends.
  func drain() { output.drain() }

  private func line(
    _ level: LogLevel, _ priority: Journal.Priority, _ message: String, text: String,
    virtualServer: String? = nil
  ) {
    onLine(level, message, virtualServer)
    if droppedLines > 0 {
      let loss = "\(droppedLines) line(s) of this log were lost here"
      if write(.warning, .warning, loss, text: "WARNING: \(loss)") { droppedLines = 0 }
    }
    if !write(level, priority, message, text: text, virtualServer: virtualServer) {
      droppedLines += 1
    }
    output.flush()
  }

  private func write(
    _ level: LogLevel, _ priority: Journal.Priority, _ message: String, text: String,
    virtualServer: String? = nil
  ) -> Bool {
    let line =
      switch format {
      case .text: text
      case .json: json(level, message, virtualServer)
      }
    return output.write(marked(line, priority), spare: false)
  }

  private func marked(_ text: String, _ priority: Journal.Priority) -> String {
    allowance == nil ? text : Journal.marked(text, priority)
  }

  /// One object on one line. A message that makes it too long is cut, as half an object is none.
  private func json(_ level: LogLevel, _ message: String, _ virtualServer: String?) -> String {
    let time = Clock.now
    var length = message.utf8.count
    while true {
      let line = LogLine.json(
        time: time, level: level, message: Output.cut(message, at: length),
        virtualServer: virtualServer)
      if line.utf8.count <= Output.longestLine - Log.roomForPriority { return line }
      // What is escaped takes up to six times its own room.
      length = min(length, Output.longestLine) / 2
    }
  }

  private static let roomForPriority = 8
}

extension LogLevel {
  /// How grave a line of this level is for the journal.
  var priority: Journal.Priority {
    switch self {
    case .critical: .critical
    case .error: .error
    case .warning: .warning
    case .info: .info
    case .debug, .trace: .debug
    }
  }
}
