// The daemon, its virtual servers and what is wrong, on one screen. Pure.
import Control

struct StatusScreen: Sendable {
  let status: Status
  let virtualServers: [VirtualServerDetail]
  let counters: Counters
  /// What is shown of each real server.
  let columns: RealServerColumns
  /// What of the drops a second brings, where it is known.
  let rates: Rates?
  let settings: ScreenSettings

  /// The fewest real servers that are shown of each virtual server, however small the screen is.
  private static let fewestRealServers = 3
  /// What stands to the left of what is not a table.
  private static let labelWidth = 14

  func lines() -> [Line] {
    let below = tables + drops + configuration
    var lines = heading
    let tables = RealServerTable.tables(of: virtualServers, columns, settings)
    let legend = RealServerTable.legend(tables)
    let most = mostRealServers(besides: lines.count + legend.count + below.count + 2)
    for (virtualServer, table) in zip(virtualServers, tables) {
      lines += [Line(), virtualServer.heading(settings)]
      let count = virtualServer.realServers.count
      guard count > 0 else {
        lines.append(Line("  no real server", .alarm))
        continue
      }
      let shown = table.mostTelling(most)
      lines += table.lines(of: shown)
      if shown.count < count {
        lines.append(
          Line("  … and \(count - shown.count) more: ulbctl servers", .dim))
      }
    }
    return lines + legend + [Line()] + below
  }

  /// How many real servers of each virtual server there is room for.
  private func mostRealServers(besides lines: Int) -> Int {
    guard let height = settings.height, !virtualServers.isEmpty else { return .max }
    // Each virtual server takes a blank, two headings, and a line for those that are left out.
    let left = height - lines - 4 * virtualServers.count
    var (most, counts) = (Self.fewestRealServers, virtualServers.map(\.realServers.count))
    counts.sort()
    // As many as fit, the same for all but those that have fewer.
    while counts.reduce(0, { $0 + min($1, most + 1) }) <= left, most < counts.last! { most += 1 }
    return most
  }

  private var heading: [Line] {
    let mode = status.mode.map { "\($0) mode" } ?? "not attached"
    var first = [
      Span("ulb \(status.version)", .bold), Span(" on "), Span(status.interface, .bold), Span(", "),
      Span(mode, status.mode == nil ? .alarm : .plain),
      Span(", up \(duration(status.uptimeSeconds)), pid \(status.pid)"),
    ]
    if status.health.isGood { first += [Span("  "), Span("good", .green)] }
    return [Line(first)]
      + status.health.problems.flatMap { Line("✗ \($0)", .alarm).wrapped(settings.width, by: 2) }
  }

  private var tables: [Line] {
    status.associations.flatMap { table in
      let (clients, limit) = (table.clients.total, table.limit)
      let part = limit > 0 ? Double(clients) / Double(limit) : 0
      let tint: Tint = part >= 0.95 ? .red : part >= 0.8 ? .yellow : .green
      let number = settings.format
      let forgotten = table.forgotten.total
      let room = "\(percent(part)) \(number.text(clients)) of \(counted(limit, "client", number))"
      var lines = labelled(
        "Table \(table.family)",
        [
          Span(bar(part, width: 20), tint), Span(" \(room), "),
          Span("\(number.text(forgotten)) forgotten", forgotten > 0 ? .yellow : .plain),
        ])
      let classes = table.clients.nonZero.map { "\(number.text($0.count)) \($0.name)" }
      if classes.count > 1 { lines += labelled("", classes.joined(separator: ", ")) }
      if table.isUnderPressure {
        lines += labelled(
          "", [Span("a flood: new clients push each other out within two seconds", .alarm)])
      }
      if let history = history(of: table.family) { lines += labelled("", history) }
      return lines
    }
  }

  /// How clients came to be where they are.
  private func history(of family: String) -> String? {
    guard let counts = counters.associations.first(where: { $0.family == family }) else {
      return nil
    }
    let parts: [(UInt64, String)] = [
      (counts.created.byClient &+ counts.created.byRealServer, "created"),
      (counts.created.takenOver, "moved from servers that left"),
      (counts.movedByRequest, "moved by request"),
      (counts.forgottenByRequest, "forgotten by request"),
      (counts.withoutPlace, "served without a place"),
    ]
    let words = parts.filter { $0.0 > 0 }.map { "\(settings.format.text($0.0)) \($0.1)" }
    return words.isEmpty ? nil : words.joined(separator: ", ")
  }

  private var drops: [Line] {
    let dropped = counters.events.filter { $0.verdict == .drop && $0.packets > 0 }
      .sorted { $0.packets > $1.packets }
    guard !dropped.isEmpty else { return labelled("Dropped", "nothing") }
    return dropped.enumerated().flatMap { index, event in
      let rate = (rates?.events[event.event]?.packets).map {
        $0 > 0 ? ", \(settings.format.text(perSecond: $0)) a second" : ""
      }
      let words = "\(counted(event.packets, "packet", settings.format)) \(event.event)"
      return labelled(index == 0 ? "Dropped" : "", [Span(words), Span(rate ?? "", .yellow)])
    }
  }

  private var configuration: [Line] {
    let force = status.configuration
    let debug = force.debug > 0 ? ", debug \(force.debug)" : ""
    let since = ago(status.lastGoodReloadAt, now: settings.now)
    var lines = labelled("Events lost", [lost])
    lines += labelled(
      "Config",
      "\(force.configFile ?? "no config file"), log level \(force.logLevel)\(debug), "
        + "put in force \(since)")
    if let lists = force.clientLists { lines += labelled("Clients", words(of: lists)) }
    if let gateways = force.gateways { lines += self.lines(of: gateways) }
    if let reload = status.reload { lines += self.lines(of: reload) }
    if let sync = status.sync { lines += self.lines(of: sync) }
    if let file = status.stateFile { lines += labelled("State file", words(of: file)) }
    if !status.followedClients.isEmpty {
      lines += labelled("Following", status.followedClients.joined(separator: " "))
    }
    return lines
  }

  /// Which clients are served.
  private func words(of lists: ClientListsInForce) -> String {
    let words = [("allowed", lists.allowed), ("denied", lists.denied)].compactMap { verb, list in
      list.map {
        "\(counted(UInt64($0.networks), "network", settings.format)) \(verb) by \($0.file)"
      }
    }
    return words.joined(separator: ", ") + (lists.isStrict ? ", asked for residents too" : "")
  }

  /// The most other directors that are shown one by one.
  private static let mostPeers = 8

  /// How associations are shared with other directors.
  private func lines(of sync: SyncStatus) -> [Line] {
    let (report, number) = (sync.report, settings.format)
    guard !sync.isStale else {
      return labelled(
        "Sharing", [Span("ulb-sync of \(report.director) tells nothing any more", .alarm)])
    }
    let redis = report.redis
    let time = RFC3339.seconds(redis.since).map {
      " for \(duration(max(0, settings.now - $0)))"
    }
    var rows: [[Span]] = [
      [
        Span("as \(report.director) by Redis \(redis.server), "),
        Span(redis.state.rawValue, redis.state == .connected ? .plain : .alarm), Span(time ?? ""),
      ]
    ]
    if let error = redis.error { rows.append([Span(error, .red)]) }
    let lag = report.lagMilliseconds.map { ", \(Int($0.rounded())) ms behind" } ?? ""
    rows.append(
      [Span("sent \(number.text(report.sent))\(lag), received \(number.text(report.received))")])
    rows += report.peers.prefix(Self.mostPeers).map { peer in
      let lag = peer.lagMilliseconds.map { ", \(Int($0.rounded())) ms behind" } ?? ""
      return [Span("with \(peer.director)\(lag), seen \(ago(peer.seen, now: settings.now))")]
    }
    if report.peers.isEmpty { rows.append([Span("with no other director", .yellow)]) }
    if report.peers.count > Self.mostPeers {
      rows.append([Span("with \(report.peers.count - Self.mostPeers) more")])
    }
    return rows.enumerated().flatMap { labelled($0.offset == 0 ? "Sharing" : "", $0.element) }
  }

  /// The most next hops that are shown one by one.
  private static let mostNextHops = 4

  /// From where packets of real servers are to come.
  private func lines(of gateways: GatewayVerification) -> [Line] {
    func servers(_ count: Int) -> String { counted(UInt64(count), "real server", settings.format) }
    var rows = gateways.nextHops.prefix(Self.mostNextHops).map { hop in
      [
        Span("\(hop.address) "),
        hop.hardwareAddress.map { Span("at \($0)") } ?? Span("not known", .yellow),
        Span(", \(servers(hop.realServers))"),
      ]
    }
    if gateways.nextHops.count > Self.mostNextHops {
      rows.append([Span("and others; \(servers(gateways.verifiedRealServers)) verified")])
    }
    if gateways.believedRealServers > 0 {
      rows.append(
        [Span("\(servers(gateways.believedRealServers)) believed from anywhere", .yellow)])
    }
    return rows.enumerated().flatMap { labelled($0.offset == 0 ? "Next hops" : "", $0.element) }
  }

  private var lost: Span {
    let lost = status.eventsLost
    return Span(lost == 0 ? "none" : settings.format.text(lost), lost == 0 ? .plain : .yellow)
  }

  private func lines(of reload: Reload) -> [Line] {
    let time = ago(reload.at, now: settings.now)
    let tint: Tint = reload.result == .refused ? .alarm : .plain
    return labelled("Reload", [Span(reload.result.rawValue, tint), Span(" \(time)")])
      + (reload.reason.map { labelled("", [Span($0, .red)]) } ?? [])
      + reload.changes.flatMap { labelled("", $0) }
  }

  private func words(of file: StateFileStatus) -> [Span] {
    let saved = file.ageSeconds.map { "saved \(duration($0)) ago" } ?? "not saved yet"
    return [Span("\(file.path), \(saved)")]
      + (file.failure.map { [Span("; failed: \($0)", .alarm)] } ?? [])
  }

  private func labelled(_ label: String, _ text: String) -> [Line] { labelled(label, [Span(text)]) }

  private func labelled(_ label: String, _ spans: [Span]) -> [Line] {
    Line([Span(label.padded(to: Self.labelWidth), .bold)] + spans)
      .wrapped(settings.width, by: Self.labelWidth)
  }
}

extension ClassCounts {
  /// Those that there are some of.
  var nonZero: [(name: String, count: UInt64)] {
    [
      (AssociationClass.newcomer.rawValue, newcomer),
      (AssociationClass.answered.rawValue, answered),
      (AssociationClass.resident.rawValue, resident),
    ].filter { $0.1 > 0 }
  }
}
