// The real servers of a virtual server as a table. Pure.
import Control

/// What is shown of each real server.
enum RealServerColumns: Sendable {
  /// State, weight, clients and their share.
  case overview
  /// The same, and what a second brings.
  case traffic(Rates)
  /// The same, and how many packets came in each second of late, as a curve.
  case curves(Rates?, [RealServerKey: [Double?]])
  /// Counts since they began: `ipvsadm -Ln --stats`.
  case stats
  /// What a second brings: `ipvsadm -Ln --rate`.
  case rate(Rates)

  fileprivate var rates: Rates? {
    switch self {
    case .overview, .stats: nil
    case .traffic(let rates), .rate(let rates): rates
    case .curves(let rates, _): rates
    }
  }

  /// Whether states and shares of the clients are shown.
  fileprivate var areStatesShown: Bool {
    switch self {
    case .overview, .traffic, .curves: true
    case .stats, .rate: false
    }
  }
}

struct RealServerTable: Sendable {
  private let virtualServer: VirtualServerDetail
  private let columns: RealServerColumns
  private let settings: ScreenSettings
  private let clients: Shares
  private let packets: Shares?
  /// How wide the addresses of all tables of a screen are.
  private let addressWidth: Int

  /// What stands behind a state that is not the configuration's, and before what is too much.
  private static let (overridden, tooMuch) = ("*", "▲")

  /// Tables whose columns are below each other.
  static func tables(
    of virtualServers: [VirtualServerDetail], _ columns: RealServerColumns,
    _ settings: ScreenSettings
  ) -> [RealServerTable] {
    let addresses = virtualServers.lazy.flatMap(\.realServers).map(\.address.count)
    let width = addresses.reduce(13, max)
    return virtualServers.map {
      RealServerTable($0, columns, settings, addressWidth: width)
    }
  }

  private init(
    _ virtualServer: VirtualServerDetail, _ columns: RealServerColumns, _ settings: ScreenSettings,
    addressWidth: Int
  ) {
    self.addressWidth = addressWidth
    self.virtualServer = virtualServer
    self.columns = columns
    self.settings = settings
    let servers = virtualServer.realServers
    clients = Shares(servers.map { Double($0.clients) }, of: servers)
    packets = columns.rates.map { rates in
      let amounts = servers.map { server in
        let key = RealServerKey(virtualServer: virtualServer.name, realServer: server.address)
        return (rates.realServers[key]?.inPackets ?? 0) * rates.seconds
      }
      return Shares(amounts, of: servers)
    }
  }

  /// - Parameter shown: which of them, by their place in the list; nothing for all.
  func lines(of shown: [Int]? = nil) -> [Line] {
    var table = TextTable(titles, indentation: 2)
    for index in shown ?? Array(servers.indices) { table.add(row(index)) }
    return table.lines(width: settings.width)
  }

  /// Those that are to be shown where there is room for so many: first who does not serve as
  /// configured or has too much, then who has most.
  func mostTelling(_ count: Int) -> [Int] {
    guard servers.count > count else { return Array(servers.indices) }
    func isTelling(_ index: Int) -> Bool {
      servers[index].state != .up || servers[index].isOverridden || hasTooManyClients(index)
        || hasTooManyPackets(index)
    }
    let ordered = servers.indices.sorted { left, right in
      let (first, second) = (isTelling(left), isTelling(right))
      if first != second { return first }
      if servers[left].clients != servers[right].clients {
        return servers[left].clients > servers[right].clients
      }
      return left < right
    }
    return ordered.prefix(count).sorted()
  }

  /// What the marks mean that are in these tables.
  static func legend(_ tables: [RealServerTable]) -> [Line] {
    var lines: [Line] = []
    let isStateShown = tables.contains { $0.columns.areStatesShown }
    if isStateShown, tables.contains(where: { $0.servers.contains(where: \.isOverridden) }) {
      lines.append(Line("  \(overridden) set by ulbctl, not by the configuration", .dim))
    }
    let isAnyTooMuch = tables.contains { table in
      table.servers.indices.contains {
        table.columns.areStatesShown && table.hasTooManyClients($0) || table.hasTooManyPackets($0)
      }
    }
    if isAnyTooMuch { lines.append(Line("  \(tooMuch) more than its weight gives it", .dim)) }
    return lines
  }

  private var servers: [RealServerDetail] { virtualServer.realServers }

  private var titles: [TextTable.Column] {
    let address = TextTable.Column("Real server", .left, width: addressWidth)
    switch columns {
    case .overview:
      return [address] + clientTitles + [.init("Configured", .left)]
    case .traffic:
      return [address] + clientTitles + rateTitles
    case .curves:
      return [address] + clientTitles + rateTitles
        + [.init("Packets in", .left, rank: 3, width: curveWidth)]
    case .stats:
      return [
        address,
        .init("Clients"), .init("ByClient", rank: 3), .init("ByServer", rank: 2),
        .init("Taken", rank: 1), .init("InPkts", width: 6), .init("OutPkts"), .init("InBytes"),
        .init("OutBytes"),
      ]
    case .rate:
      return [address, .init("CPS", width: 5)] + rateTitles
    }
  }

  private var clientTitles: [TextTable.Column] {
    [
      .init("State", .left, width: 9), .init("Weight"), .init("Clients"), .init("Share", rank: 1),
      .init("Due", rank: 2, width: 4),
    ]
  }

  private var rateTitles: [TextTable.Column] {
    [
      .init("InPPS", width: 6), .init("OutPPS"), .init("InBPS", rank: 4),
      .init("OutBPS", rank: 5),
    ]
  }

  /// What a line of 80 columns has left without the bytes, or what a longer one has with them.
  private var curveWidth: Int {
    guard let width = settings.width, width < 141 else { return 60 }
    return width >= 93 ? width - 81 : 12
  }

  private func row(_ index: Int) -> [Span] {
    let server = servers[index]
    let address = [Span(server.address)]
    let format = settings.format
    switch columns {
    case .overview:
      let (setting, isOverridden) = (server.configured, server.isOverridden)
      let words = "\(setting.state.rawValue), weight \(setting.weight)"
      return address + clientCells(index) + [Span(isOverridden ? words : "", .dim)]
    case .traffic:
      return address + clientCells(index) + rateCells(index)
    case .curves(_, let curves):
      let top = curves.values.joined().reduce(0) { max($0, $1 ?? 0) }
      let curve = sparkline(curves[key(index)] ?? [], width: curveWidth, top: top)
      return address + clientCells(index) + rateCells(index) + [Span(curve, .cyan)]
    case .stats:
      let created = server.associationsCreated
      let counts = [
        server.clients, created.byClient, created.byRealServer, created.takenOver,
        server.ingress.packets, server.egress.packets, server.ingress.bytes, server.egress.bytes,
      ]
      return address + counts.map { Span(format.text($0)) }
    case .rate(let rates):
      let associations = rates.realServers[key(index)]?.associations
      return address + [Span(format.text(perSecond: associations))] + rateCells(index)
    }
  }

  private func clientCells(_ index: Int) -> [Span] {
    let isTooMuch = hasTooManyClients(index)
    return [
      state(servers[index]), Span("\(servers[index].weight)"),
      marked(settings.format.text(servers[index].clients), isTooMuch),
      Span(percent(clients.part[index]), isTooMuch ? .yellow : .plain),
      Span(percent(clients.due[index]), .dim),
    ]
  }

  private func rateCells(_ index: Int) -> [Span] {
    let rate = columns.rates?.realServers[key(index)]
    func text(_ rate: Double?) -> String { settings.format.text(perSecond: rate) }
    return [
      marked(text(rate?.inPackets), hasTooManyPackets(index)), Span(text(rate?.outPackets)),
      Span(text(rate?.inBytes)), Span(text(rate?.outBytes)),
    ]
  }

  private func marked(_ text: String, _ isTooMuch: Bool) -> Span {
    isTooMuch ? Span(Self.tooMuch + text, .yellow) : Span(text)
  }

  private func state(_ server: RealServerDetail) -> Span {
    let tint: Tint =
      switch server.state {
      case .up: .green
      case .draining: .yellow
      case .down: .red
      }
    return Span(server.state.rawValue + (server.isOverridden ? Self.overridden : ""), tint)
  }

  private func key(_ index: Int) -> RealServerKey {
    RealServerKey(virtualServer: virtualServer.name, realServer: servers[index].address)
  }

  private func hasTooManyClients(_ index: Int) -> Bool {
    clients.isTooMuch(index, tolerance: Shares.toleranceOfClients)
  }

  private func hasTooManyPackets(_ index: Int) -> Bool {
    packets?.isTooMuch(index, tolerance: Shares.toleranceOfPackets) ?? false
  }
}

extension VirtualServerDetail {
  /// What it is called, where it is, and how it chooses.
  func heading(_ settings: ScreenSettings) -> Line {
    let place = name == address ? "" : "  \(address)"
    let list = ports.prefix(8).map(String.init).joined(separator: " ")
    let ports =
      ports.count > 8
      ? "\(ports.count) UDP ports" : "UDP port\(ports.count == 1 ? "" : "s") \(list)"
    let clients = realServers.reduce(0) { $0 &+ $1.clients }
    let words = "\(place)  \(ports)  \(scheduler)  \(counted(clients, "client", settings.format))"
    return Line([Span(name, .bold), Span(words)])
  }
}
