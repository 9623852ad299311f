// Whom real servers serve: drain, up, down, weight.
import ArgumentParser
import Control
import LoadBalancing

struct Drain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "No new client for a real server; its clients stay.",
    discussion: lasting)

  @OptionGroup var realServer: RealServerArgument
  @OptionGroup var daemon: DaemonOptions

  func run() async throws { try await realServer.set(.state(.draining), daemon) }
}

struct BringUp: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "up", abstract: "New clients for a real server again.", discussion: lasting)

  @OptionGroup var realServer: RealServerArgument
  @OptionGroup var daemon: DaemonOptions

  func run() async throws { try await realServer.set(.state(.up), daemon) }
}

struct TakeDown: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "down",
    abstract: "No client for a real server; its clients go to others as their next packets come.",
    discussion: lasting)

  @OptionGroup var realServer: RealServerArgument
  @OptionGroup var daemon: DaemonOptions

  func run() async throws { try await realServer.set(.state(.down), daemon) }
}

struct SetWeight: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "weight",
    abstract: "How many of the new clients a real server gets, against the others.",
    discussion: lasting)

  @OptionGroup var realServer: RealServerArgument
  @Argument(help: "0 to 256; with 0 it gets no new client.") var weight: Int
  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    guard (0...256).contains(weight) else {
      throw ValidationError("a weight is 0 to 256, not \(weight)")
    }
  }

  func run() async throws { try await realServer.set(.weight(weight), daemon) }
}

private let lasting = """
  Lasts, over restarts of the daemon too, until the real server's line in the config file changes. \
  Applies to each virtual server that has the real server, unless --virtual-server says which.
  """

/// What is to become of a real server.
enum RealServerOrder: Sendable, Equatable {
  case state(RealServerState)
  case weight(Int)

  /// What of it is no different from the configuration is left to the configuration.
  func patch(for server: RealServerDetail) -> RealServerPatch {
    switch self {
    case .state(let state):
      RealServerPatch(state: server.configured.state == state ? .asConfigured : .set(state))
    case .weight(let weight):
      RealServerPatch(weight: server.configured.weight == weight ? .asConfigured : .set(weight))
    }
  }

  /// What was done, on one line.
  func words(
    _ selected: SelectedRealServer, now server: RealServerDetail, _ format: NumberFormat = .compact
  ) -> String {
    let before = selected.realServer
    let place = "\(server.address) of \(selected.virtualServer.name)"
    switch self {
    case .state:
      guard server.state != before.state else {
        return "\(place): \(server.state.rawValue), as before"
      }
      let change = "\(place): \(server.state.rawValue), was \(before.state.rawValue)"
      let clients = counted(server.clients, "client", format)
      return switch server.state {
      case .up where server.weight == 0: "\(change); no new client, as its weight is 0"
      case .up: change
      case .draining: "\(change); \(clients) \(server.clients == 1 ? "stays" : "stay")"
      case .down:
        "\(change); \(clients) \(server.clients == 1 ? "goes" : "go") to others with the next packet"
      }
    case .weight:
      guard server.weight != before.weight else {
        return "\(place): weight \(server.weight), as before"
      }
      let change = "\(place): weight \(server.weight), was \(before.weight)"
      return server.state == .up ? change : "\(change); it is \(server.state.rawValue)"
    }
  }
}

extension RealServerArgument {
  fileprivate func set(_ order: RealServerOrder, _ options: DaemonOptions) async throws {
    let api = try options.connect()
    for selected in try await select(from: api) {
      let target = Target.realServer(
        selected.realServer.address, of: selected.virtualServer.name)
      let answer = try await api.octets(
        "PATCH", target, body: order.patch(for: selected.realServer))
      guard !options.json else {
        try Terminal.write(json: answer)
        continue
      }
      let server: RealServerDetail = try api.decode(answer)
      try Terminal.write([Line(order.words(selected, now: server))])
      if selected.isLast(now: server) {
        Terminal.note(
          "ulbctl: warning: no real server of \(selected.virtualServer.name) takes new clients now")
      }
    }
  }
}

extension SelectedRealServer {
  /// Whether nobody is left for new clients, where there was somebody before.
  func isLast(now changed: RealServerDetail) -> Bool {
    func takesNewClients(_ server: RealServerDetail) -> Bool {
      server.state == .up && server.weight > 0
    }
    return takesNewClients(realServer)
      && !virtualServer.realServers.contains {
        takesNewClients($0.address == changed.address ? changed : $0)
      }
  }
}
