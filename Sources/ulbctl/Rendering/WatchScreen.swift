// The status as it changes: what was read of late, and what is shown of it. Pure.
import Control

struct WatchScreen: Sendable {
  private var status: Status?
  private var reading: Reading?
  private var rates: Rates?
  /// Packets a second that came in for each real server, the newest last.
  private var curves: [RealServerKey: [Double?]] = [:]
  /// Why there is nothing new, and since when, in seconds since 1970.
  private var failure: (reason: String, since: Double)?
  private var firstLine = 0

  /// How many seconds a curve goes back at most.
  private static let mostValues = 60

  mutating func add(_ status: Status, _ reading: Reading) {
    let before = self.reading
    (self.status, self.reading, failure) = (status, reading, nil)
    guard let before else { return }
    let rates = Rates(from: before, to: reading)
    self.rates = rates
    // Who is gone has no curve.
    var curves: [RealServerKey: [Double?]] = [:]
    for virtualServer in reading.virtualServers {
      for server in virtualServer.realServers {
        let key = RealServerKey(virtualServer: virtualServer.name, realServer: server.address)
        let values = (self.curves[key] ?? []) + [rates.realServers[key]?.inPackets]
        curves[key] = values.suffix(Self.mostValues)
      }
    }
    self.curves = curves
  }

  /// What was read last stays.
  mutating func fail(_ reason: String, now: Double) {
    failure = (reason, failure?.since ?? now)
    rates = nil
  }

  /// Shows what is so many lines further down, where there is that much.
  mutating func scroll(by lines: Int) { firstLine = max(0, firstLine + lines) }

  /// As many lines as there are on the screen, none wider than it.
  mutating func lines(width: Int, height: Int, format: NumberFormat, now: Double) -> [Line] {
    let room = max(1, height - 1)
    let lines = top(width, now: now) + content(width, room, format, now: now)
    firstLine = min(firstLine, max(0, lines.count - room))
    let shown = lines[firstLine...].prefix(room)
    let below = lines.count - firstLine - shown.count
    let keys = (below > 0 || firstLine > 0 ? "↑↓ scroll  " : "") + "q quits"
    let more = below > 0 ? "  \(below) lines below" : ""
    let blank = [Line](repeating: Line(), count: room - shown.count)
    return (shown + blank + [Line(keys + more, .dim)]).map { $0.cut(at: width) }
  }

  private func top(_ width: Int, now: Double) -> [Line] {
    guard let failure else { return [] }
    let since = duration(now - failure.since)
    let shown = status == nil ? "" : "; shown is what was \(since) ago"
    return Line("✗ \(failure.reason)\(shown)", .alarm).wrapped(width, by: 2)
  }

  private func content(
    _ width: Int, _ height: Int, _ format: NumberFormat, now: Double
  ) -> [Line] {
    guard let status, let reading else {
      return failure == nil ? [Line("waiting for the daemon", .dim)] : []
    }
    return StatusScreen(
      status: status, virtualServers: reading.virtualServers, counters: reading.counters,
      columns: .curves(rates, curves), rates: rates,
      settings: ScreenSettings(width: width, height: height, format: format, now: now)
    ).lines()
  }
}
