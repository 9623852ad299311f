// What was counted, as nstat(8) and `ip -s` show it. Pure.
import Control

struct CountersScreen: Sendable {
  let counters: Counters
  /// What a second brings instead of what was counted.
  var rates: Rates?
  /// Whether what never happened is shown as well.
  var showsAll = false
  let settings: ScreenSettings

  func lines() -> [Line] {
    guard let rates else { return events + associations + daemon }
    return table("Event", ["Packets/s", "Bytes/s"]) { event in
      let rate = rates.events[event.event]
      guard showsAll || rate.map({ $0.packets > 0 }) ?? true else { return nil }
      return [rate?.packets, rate?.bytes].map { settings.format.text(perSecond: $0) }
    }
  }

  private var events: [Line] {
    table("Event", ["Packets", "Bytes"]) { event in
      guard showsAll || event.packets > 0 else { return nil }
      return [event.packets, event.bytes].map(settings.format.text)
    }
  }

  private func table(
    _ title: String, _ titles: [String], _ cells: (EventCounter) -> [String]?
  ) -> [Line] {
    var table = TextTable(
      [.init(title, .left, width: 34), .init("Verdict", .left)]
        + titles.map { .init($0, width: 10) })
    for event in counters.events {
      guard let cells = cells(event) else { continue }
      let tint: Tint = event.verdict == .drop ? .yellow : .plain
      table.add(
        [Span(event.event), Span(event.verdict.rawValue, tint)] + cells.map { Span($0) })
    }
    let lines = table.lines(width: settings.width)
    return lines.count > 1 ? lines : [Line("no packet")]
  }

  private var associations: [Line] {
    guard !counters.associations.isEmpty else { return [] }
    var table = TextTable(
      [.init("Associations", .left, width: 34)]
        + counters.associations.map { .init($0.family, width: 10) })
    let rows: [(String, (AssociationCounters) -> UInt64)] = [
      ("created by clients", \.created.byClient),
      ("created by real servers", \.created.byRealServer),
      ("taken over from servers that left", \.created.takenOver),
      ("forgotten newcomers", \.forgotten.newcomer),
      ("forgotten answered", \.forgotten.answered),
      ("forgotten residents", \.forgotten.resident),
      ("forgotten by request", \.forgottenByRequest),
      ("moved by request", \.movedByRequest),
      ("served without a place", \.withoutPlace),
    ]
    for (name, count) in rows { add(name, counters.associations.map(count), to: &table) }
    return section(table)
  }

  private var daemon: [Line] {
    var table = TextTable([.init("Daemon", .left, width: 34), .init("", width: 10)])
    let counts = counters.daemon
    let rows: [(String, UInt64)] = [
      ("events lost", counts.eventsLost), ("reloads applied", counts.reloadsApplied),
      ("reloads unchanged", counts.reloadsUnchanged), ("reloads refused", counts.reloadsRefused),
      ("compilations", counts.compilations), ("swaps", counts.swaps), ("saves", counts.saves),
    ]
    for (name, count) in rows { add(name, [count], to: &table) }
    return section(table)
  }

  private func add(_ name: String, _ counts: [UInt64], to table: inout TextTable) {
    guard showsAll || counts.contains(where: { $0 > 0 }) else { return }
    table.add([Span(name)] + counts.map { Span(settings.format.text($0)) })
  }

  private func section(_ table: TextTable) -> [Line] {
    table.rows.isEmpty ? [] : [Line()] + table.lines(width: settings.width)
  }
}
