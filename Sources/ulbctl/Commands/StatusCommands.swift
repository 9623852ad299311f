// What the daemon does: status, servers, counters, health.
import ArgumentParser
import Control
import JSONCoding

struct ShowStatus: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "One screen: virtual servers, real servers, states, rates, and what is wrong.",
    discussion: """
      Share is a real server's part of the clients, Due the one that its weight gives it. PPS are \
      packets, BPS bytes a second (whole frames), from clients (In) and to them (Out), of half a \
      second in which the command waits.
      """)

  @OptionGroup var daemon: DaemonOptions
  @OptionGroup var screen: ScreenOptions
  @Flag(help: "Shows no rates, and does not wait for them.") var noRate = false

  func run() async throws {
    let api = try daemon.connect()
    guard !daemon.json else {
      return try Terminal.write(json: await api.octets("GET", .status))
    }
    let (reading, rates) =
      noRate ? (try await api.reading(), nil) : try await api.rates(over: .milliseconds(500))
    let status: Status = try await api.get(.status)
    var settings = screen.settings
    // The shell's prompt takes a line.
    settings.height = Terminal.size.map { $0.height - 1 }
    let screen = StatusScreen(
      status: status, virtualServers: reading.virtualServers, counters: reading.counters,
      columns: rates.map { .traffic($0) } ?? .overview, rates: rates, settings: settings)
    try Terminal.write(screen.lines())
  }
}

struct ShowServers: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "servers",
    abstract: "All virtual servers and their real servers, as ipvsadm -Ln shows them.",
    discussion: """
      --stats shows what was counted: clients that came by themselves (ByClient), to whom the real \
      server wrote first (ByServer), that were taken over from a server that left (Taken). --rate \
      shows what a second brings: new clients (CPS), packets (PPS), bytes (BPS).
      """)

  @OptionGroup var daemon: DaemonOptions
  @OptionGroup var screen: ScreenOptions
  @Flag(help: "What a second brings, of one in which the command waits.") var rate = false
  @Flag(help: "What was counted.") var stats = false

  func validate() throws {
    if rate, stats { throw ValidationError("choose one of --rate and --stats") }
  }

  func run() async throws {
    let api = try daemon.connect()
    guard !daemon.json else {
      return try Terminal.write(json: await api.octets("GET", .virtualServers))
    }
    let virtualServers: [VirtualServerDetail]
    let columns: RealServerColumns
    if rate {
      let (reading, rates) = try await api.rates(over: .seconds(1))
      (virtualServers, columns) = (reading.virtualServers, .rate(rates))
    } else {
      let list: VirtualServerList = try await api.get(.virtualServers)
      (virtualServers, columns) = (list.virtualServers, stats ? .stats : .overview)
    }
    let screen = ServersScreen(
      virtualServers: virtualServers, columns: columns, settings: screen.settings)
    try Terminal.write(screen.lines())
  }
}

struct ShowCounters: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "counters",
    abstract: "What was counted of each event, as nstat and ip -s show it.",
    discussion: "Bytes are those of whole frames. Counts survive a restart of the daemon.")

  @OptionGroup var daemon: DaemonOptions
  @OptionGroup var screen: ScreenOptions
  @Flag(help: "What a second brings, of one in which the command waits.") var rate = false
  @Flag(help: "Shows what never happened as well.") var all = false

  func run() async throws {
    let api = try daemon.connect()
    guard !daemon.json else {
      return try Terminal.write(json: await api.octets("GET", .counters))
    }
    var screen: CountersScreen
    if rate {
      let (reading, rates) = try await api.rates(over: .seconds(1))
      screen = CountersScreen(
        counters: reading.counters, rates: rates, settings: self.screen.settings)
    } else {
      screen = CountersScreen(
        counters: try await api.get(.counters), settings: self.screen.settings)
    }
    screen.showsAll = all
    try Terminal.write(screen.lines())
  }
}

struct CheckHealth: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "health",
    abstract: "Whether all is well, for scripts.",
    discussion: """
      Prints what is wrong, a line each. Exit status: 0 where nothing is wrong, 1 where something \
      is, 3 where no daemon answers.
      """)

  @OptionGroup var daemon: DaemonOptions

  func run() async throws {
    let status: Status = try await daemon.connect(timeout: .seconds(5)).get(.status)
    if daemon.json {
      try Terminal.write(json: JSON.encode(status.health))
    } else {
      let problems = status.health.problems.map { Line($0, .red) }
      try Terminal.write(problems.isEmpty ? [Line("good", .green)] : problems)
    }
    if !status.health.isGood { throw ExitCode(Failure.Kind.refused.rawValue) }
  }
}

extension ControlAPI {
  func reading() async throws(Failure) -> Reading {
    let list: VirtualServerList = try await get(.virtualServers)
    let time = ContinuousClock.now
    return Reading(
      time: time, virtualServers: list.virtualServers, counters: try await get(.counters))
  }

  /// Reads twice.
  func rates(over time: Duration) async throws -> (Reading, Rates) {
    let before = try await reading()
    try await Task.sleep(until: before.time + time)
    let after = try await reading()
    return (after, Rates(from: before, to: after))
  }
}
