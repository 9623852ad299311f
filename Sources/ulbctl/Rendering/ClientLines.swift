// Who is on which real server, a line each, as conntrack -L shows it. Pure.
import Control

/// A table that is written while it is read: its columns are as wide as what came first needs, and
/// wider where a later line has more.
struct ClientLines: Sendable {
  private var widths: [Int]
  /// In seconds since 1970.
  private let now: Double
  /// Many clients were used last at the same time, and a time takes long to read.
  private var timeTexts: [String: String] = [:]
  private static let titles = [
    "Client", "Virtual server", "Real server", "Class", "Age", "Last used",
  ]
  /// Of an IPv4 client and server.
  private static let leastWidths = [21, 15, 15, 8, 3, 0]

  init(now: Double) {
    self.now = now
    widths = zip(Self.titles, Self.leastWidths).map { max($0.count, $1) }
  }

  var heading: Line { Line(joined(Self.titles), .dim) }

  /// Makes room for these.
  mutating func widen(for entries: some Sequence<AssociationEntry>) {
    for entry in entries {
      for (index, cell) in columns(entry).enumerated() {
        widths[index] = max(widths[index], cell.count)
      }
    }
  }

  mutating func line(_ entry: AssociationEntry) -> Line {
    Line(joined(columns(entry) + [timeText(entry.lastUsed)]))
  }

  /// All but the last, whose width nothing depends on.
  private func columns(_ entry: AssociationEntry) -> [String] {
    [entry.client, entry.virtualServer, entry.realServer, entry.class.rawValue, "\(entry.age)"]
  }

  private mutating func timeText(_ span: TimeSpan?) -> String {
    let key = "\(span?.after ?? "") \(span?.before ?? "")"
    if let text = timeTexts[key] { return text }
    if timeTexts.count >= 1000 { timeTexts.removeAll() }
    let text = lastUsed(span, now: now)
    timeTexts[key] = text
    return text
  }

  private func joined(_ cells: [String]) -> String {
    zip(cells, widths).enumerated().map { index, cell in
      index == 4 ? cell.0.leftPadded(to: cell.1) : cell.0.padded(to: cell.1)
    }.joined(separator: " ")
  }
}

/// What is said of who may be sending now.
private let inUse = "in use"

/// Since when something is idle, as far as it is known: `2 min to 3 min ago`.
func lastUsed(_ span: TimeSpan?, now: Double) -> String {
  func age(_ time: String?) -> Double? {
    time.flatMap(RFC3339.seconds).map { max(0, now - $0) }
  }
  switch (age(span?.after), age(span?.before)) {
  case (nil, nil): return "unknown"
  case (let most?, nil): return "less than \(duration(max(1, most.rounded(.up)))) ago"
  // Up to now: of the epoch that lasts, whose beginning the daemon has not seen.
  case (nil, let least?): return least < 1 ? inUse : "over \(duration(least)) ago"
  case (let most?, let least?):
    let (from, to) = (duration(least), duration(most.rounded(.up)))
    return from == to ? "\(to) ago" : "\(from) to \(to) ago"
  }
}

/// All that is known of one client.
struct ClientScreen: Sendable {
  let client: ClientAssociations
  /// The real servers that it is on, as the daemon lists them.
  let virtualServers: [VirtualServerDetail]
  let settings: ScreenSettings

  func lines() -> [Line] {
    guard !client.associations.isEmpty else {
      return [Line([Span(client.client, .bold), Span(" is no client of any virtual server")])]
    }
    return [Line(client.client, .bold)] + client.associations.flatMap(lines)
  }

  private func lines(of entry: AssociationEntry) -> [Line] {
    let virtualServer = virtualServers.first { $0.name == entry.virtualServer }
    let realServer = virtualServer?.realServers.first { $0.address == entry.realServer }
    var lines = [
      Line([
        Span("  \(entry.virtualServer) ─> "), Span(entry.realServer, .bold),
        Span(realServer.map { " (\($0.state.rawValue), weight \($0.weight))" } ?? ""),
      ])
    ]
    let use = lastUsed(entry.lastUsed, now: settings.now)
    lines.append(
      Line(
        "    \(entry.class.rawValue), \(use == inUse ? use : "last used " + use), "
          + "age \(entry.age) of 128"))
    if let realServer {
      let format = settings.format
      let (ingress, egress) = (realServer.ingress, realServer.egress)
      lines.append(
        Line(
          "    its real server has \(counted(realServer.clients, "client", format)); "
            + "in \(counted(ingress.packets, "packet", format)), "
            + "\(counted(ingress.bytes, "byte", format)); "
            + "out \(counted(egress.packets, "packet", format)), "
            + "\(counted(egress.bytes, "byte", format))",
          .dim))
    }
    return lines
  }
}
