// Who is on which real server, and who shall be: clients, client, forget, move.
import ArgumentParser
import Control
import JSONCoding
import LoadBalancing

struct ListClients: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "clients",
    abstract: "Which clients are on which real server, as conntrack -L shows it.",
    discussion: """
      Lists all unless --limit says how many. Age, 0 to 32, tells how long ago a client was used: of \
      a newcomer by how many have come since, of a resident by how many have become residents, in \
      sixteenths of --max_associations; of one that was answered, how many half seconds ago that \
      was. With --probation 0 it is 0 to 128, in sixty-fourths. With --json a client is an object on \
      a line of its own.
      """)

  enum Order: String, CaseIterable, ExpressibleByArgument {
    case table, idle
  }

  @OptionGroup var filter: ClientFilter
  @Option(help: ArgumentHelp("At most that many.", valueName: "n")) var limit: Int?
  @Flag(help: "How many there are, and no list.") var count = false
  @Option(help: "As they stand in the table, or the least recently used (idle) first.")
  var order = Order.table
  @OptionGroup var daemon: DaemonOptions

  /// The most that a page can have.
  private static let mostOnPage = 1000
  private static let jsonLines = "application/jsonl"
  /// How many octets of JSON lines are taken apart at once.
  private static let octetsAtOnce = 256 << 10

  func validate() throws {
    if let limit, limit < 1 { throw ValidationError("--limit is 1 or more, not \(limit)") }
  }

  func run() async throws {
    let api = try daemon.connect()
    try await filter.check(with: api)
    if count {
      let octets = try await api.octets("GET", Target.associations(filter.countQuery))
      guard !daemon.json else { return try Terminal.write(json: octets) }
      let page: AssociationPage = try api.decode(octets)
      return try Terminal.write("\(page.count ?? 0)\n")
    }
    var list = ClientList(isJSON: daemon.json)
    if let limit {
      try await pages(of: api, limit: limit, to: &list)
    } else {
      try await whole(of: api, to: &list)
    }
    if Terminal.isOutput, !daemon.json {
      // Who was used meanwhile may stand in the list again.
      let isExact = order == .table || limit != nil
      Terminal.note((isExact ? "" : "up to ") + counted(list.count, "client", .exact))
    }
  }

  private var query: [(String, String?)] { filter.query + [("order", order.rawValue)] }

  private func pages(of api: ControlAPI, limit: Int, to list: inout ClientList) async throws {
    var (left, cursor) = (limit, String?.none)
    repeat {
      let number = String(min(left, Self.mostOnPage))
      let page: AssociationPage = try await api.get(
        .associations(query + [("limit", number), ("cursor", cursor)]))
      try list.add(page.associations)
      (left, cursor) = (left - page.associations.count, page.next)
    } while left > 0 && cursor != nil
  }

  private func whole(of api: ControlAPI, to list: inout ClientList) async throws {
    let target = Target.associations(query)
    if daemon.json {
      try await api.forEachPiece(of: target, accept: Self.jsonLines) { try Terminal.write($0) }
      return
    }
    var lines: [UInt8] = []
    func takeLines(_ end: Int) throws {
      // As an array: what is decoded at once is decoded fastest.
      var array = [UInt8(ascii: "[")]
      for line in lines[..<end].split(separator: UInt8(ascii: "\n")) {
        if array.count > 1 { array.append(UInt8(ascii: ",")) }
        array += line
      }
      array.append(UInt8(ascii: "]"))
      try list.add(try api.decode(array))
      lines.removeFirst(end)
    }
    try await api.forEachPiece(of: target, accept: Self.jsonLines) { piece in
      lines += piece
      guard lines.count >= Self.octetsAtOnce || list.count == 0,
        let end = lines.lastIndex(of: UInt8(ascii: "\n"))
      else { return }
      try takeLines(end + 1)
    }
    try takeLines(lines.count)
  }
}

/// Clients on standard output, as they come.
struct ClientList {
  let isJSON: Bool
  private(set) var count: UInt64 = 0
  private var lines = ClientLines(now: secondsSince1970())

  init(isJSON: Bool) { self.isJSON = isJSON }

  mutating func add(_ entries: [AssociationEntry]) throws {
    guard !isJSON else {
      for entry in entries { try Terminal.write(json: JSON.encode(entry)) }
      return
    }
    lines.widen(for: entries)
    let heading = count == 0 && !entries.isEmpty ? [lines.heading] : []
    count += UInt64(entries.count)
    try Terminal.write(heading + entries.map { lines.line($0) })
  }
}

struct ShowClient: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "client",
    abstract: "Where one client is, with each virtual server that it speaks with.")

  @OptionGroup var client: ClientArgument
  @OptionGroup var daemon: DaemonOptions
  @OptionGroup var screen: ScreenOptions

  func run() async throws {
    let api = try daemon.connect()
    let octets = try await api.octets("GET", .client(client.canonical))
    guard !daemon.json else { return try Terminal.write(json: octets) }
    let list: VirtualServerList = try await api.get(.virtualServers)
    let screen = ClientScreen(
      client: try api.decode(octets), virtualServers: list.virtualServers,
      settings: self.screen.settings)
    try Terminal.write(screen.lines())
  }
}

struct Forget: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Forgets which real server a client, or many, are on: the next packet is a new client's.",
    discussion: """
      Says how many there are and asks, where more than one client is meant and --yes is not given.
      """)

  @Argument(help: ArgumentHelp("Address and port: 10.50.0.2:5683, [fd50::2]:5683."))
  var client: String?
  @OptionGroup var filter: ClientFilter
  @Flag(name: [.short, .long], help: "Does not ask.") var yes = false
  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    if let client {
      try ClientArgument.check(client)
      guard filter.server == nil, filter.network == nil, filter.associationClass == nil else {
        throw ValidationError("name a client, or say which are meant: not both")
      }
    } else if filter.isEmpty {
      throw ValidationError(
        "say who is to be forgotten: a client, --server, --network, --virtual-server or --class")
    }
  }

  func run() async throws {
    let api = try daemon.connect()
    try await filter.check(with: api)
    let target: Target
    if let client {
      target = .client(ClientArgument.canonical(client), virtualServer: filter.virtualServer)
    } else {
      guard try await isWanted(api) else { return }
      target = .associations(filter.query)
    }
    let octets = try await api.octets("DELETE", target)
    guard !daemon.json else { return try Terminal.write(json: octets) }
    let forgotten: Forgotten = try api.decode(octets)
    try Terminal.write("\(counted(forgotten.forgotten, "association", .exact)) forgotten\n")
  }

  /// Says how many there are, and asks where nobody has answered yet.
  private func isWanted(_ api: ControlAPI) async throws -> Bool {
    let page: AssociationPage = try await api.get(.associations(filter.countQuery))
    let count = page.count ?? 0
    let words = "\(counted(count, "association", .exact))\(filter.words)"
    guard count > 0, !yes else { return true }
    guard Terminal.isInput else {
      throw Failure(.refused, "\(words) would be forgotten: say --yes where nobody can be asked")
    }
    guard Terminal.asks("Forget \(words)?") else {
      throw Failure(.refused, "nothing was forgotten")
    }
    return true
  }
}

struct Move: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Leads a client to another real server, from its next packet on.")

  @OptionGroup var client: ClientArgument
  @OptionGroup var realServer: RealServerArgument
  @OptionGroup var daemon: DaemonOptions

  func run() async throws {
    let api = try daemon.connect()
    let selected = try await realServer.select(from: api)
    let target = AssociationTarget(
      realServer: selected[0].realServer.address, virtualServer: realServer.virtualServer)
    let octets = try await api.octets("PUT", .client(client.canonical), body: target)
    guard !daemon.json else { return try Terminal.write(json: octets) }
    let answer: ClientAssociations = try api.decode(octets)
    let moved = answer.associations.filter {
      $0.realServer == target.realServer
        && (target.virtualServer == nil || $0.virtualServer == target.virtualServer)
    }
    try Terminal.write(
      moved.map { Line("\(answer.client) is on \($0.realServer) of \($0.virtualServer) now") })
  }
}

/// The client that is meant.
struct ClientArgument: ParsableArguments {
  // Nothing completes it: but in fish only arguments count that something does.
  @Argument(
    help: ArgumentHelp("Address and port: 10.50.0.2:5683, [fd50::2]:5683."), completion: .list([]))
  var client: String

  func validate() throws { try Self.check(client) }

  var canonical: String { Self.canonical(client) }

  /// As the daemon writes it.
  static func canonical(_ text: String) -> String { Client(text)?.description ?? text }

  static func check(_ text: String) throws {
    guard Client(text) == nil else { return }
    throw ValidationError(
      "'\(text.shortened())' is no client: an address and a port, such as 10.50.0.2:5683 or "
        + "[fd50::2]:5683")
  }
}

extension ClientFilter {
  /// For how many there are, and no list.
  var countQuery: [(String, String?)] { query + [("limit", "0"), ("count", "true")] }
}
