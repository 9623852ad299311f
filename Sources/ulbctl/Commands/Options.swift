// What several commands have in common: which daemon, and how it is shown.
import ArgumentParser
import Control
import LoadBalancing

/// The daemon that is meant.
struct DaemonOptions: ParsableArguments {
  @Option(
    name: [.short, .long],
    help: "The network interface whose daemon is meant; not needed where there is one.",
    completion: .custom { _, _, _ in DaemonFinder().all().compactMap(\.interface) })
  var interface: String?

  @Option(
    help: "The daemon's control socket, where it is not in /run/ulb.",
    completion: .file(extensions: ["sock"]))
  var socket: String?

  @Flag(help: "Prints the daemon's answer as it came.") var json = false

  /// - Parameter timeout: how long an answer may take to begin.
  func connect(timeout: Duration? = .seconds(30)) throws -> ControlAPI {
    let finder = DaemonFinder()
    let daemon = try finder.daemon(interface: interface, socket: socket)
    return ControlAPI(daemon, finder: finder, timeout: timeout)
  }
}

/// How numbers are shown.
struct ScreenOptions: ParsableArguments {
  @Flag(help: "All digits of numbers, instead of three and K, M, G.") var exact = false

  var settings: ScreenSettings {
    ScreenSettings(
      width: Terminal.size?.width, height: nil, format: exact ? .exact : .compact)
  }
}

/// The real server that is meant.
struct RealServerArgument: ParsableArguments {
  @Argument(
    help: ArgumentHelp("Address of a real server.", valueName: "server"),
    completion: Completions.realServers)
  var server: String

  @Option(
    help: "The virtual server that is meant, where several have this real server; else all.",
    completion: Completions.virtualServers)
  var virtualServer: String?

  func select(from api: ControlAPI) async throws -> [SelectedRealServer] {
    let list: VirtualServerList = try await api.get(.virtualServers)
    return try list.realServers(server, ofVirtualServer: virtualServer)
  }
}

/// Which clients are meant.
struct ClientFilter: ParsableArguments {
  @Option(
    help: ArgumentHelp("Clients of this real server alone.", valueName: "address"),
    completion: Completions.realServers)
  var server: String?

  @Option(help: ArgumentHelp("Clients of this network alone.", valueName: "cidr"))
  var network: String?

  @Option(
    help: ArgumentHelp("Clients of this virtual server alone.", valueName: "name"),
    completion: Completions.virtualServers)
  var virtualServer: String?

  @Option(
    name: .customLong("class"),
    help: ArgumentHelp("Clients of this class alone.", valueName: "class"),
    completion: .list(AssociationClass.allCases.map(\.rawValue)))
  var associationClass: AssociationClass?

  var query: [(String, String?)] {
    [
      ("real_server", server.map { IPAddress($0)?.description ?? $0 }), ("network", network),
      ("virtual_server", virtualServer), ("class", associationClass?.rawValue),
    ]
  }

  var isEmpty: Bool { query.allSatisfy { $0.1 == nil } }

  /// What it lets through, in words: ` on 10.0.0.2 in 10.50.0.0/16`.
  var words: String {
    [
      associationClass.map { " that are \($0.rawValue)" }, server.map { " on \($0)" },
      network.map { " in \($0)" }, virtualServer.map { " of \($0)" },
    ].compactMap { $0 }.joined()
  }

  /// Sees to it that a real server or a virtual server that is not there is not taken for one without
  /// clients.
  func check(with api: ControlAPI) async throws {
    guard server != nil || virtualServer != nil else { return }
    let list: VirtualServerList = try await api.get(.virtualServers)
    if let server {
      _ = try list.realServers(server, ofVirtualServer: virtualServer)
    } else if let virtualServer {
      _ = try list.virtualServers(named: virtualServer)
    }
  }
}

extension AssociationClass: ExpressibleByArgument {}

/// What a shell offers, asked from the daemon.
enum Completions {
  static let realServers = CompletionKind.custom { words, _, _ in
    offered(await virtualServers(words).flatMap(\.realServers).map(\.address))
  }

  static let virtualServers = CompletionKind.custom { words, _, _ in
    offered(await virtualServers(words).map(\.name))
  }

  /// zsh has descriptions behind colons.
  private static func offered(_ words: [String]) -> [String] {
    guard CompletionShell.requesting == .zsh else { return words }
    return words.map { $0.map { $0 == ":" ? #"\:"# : String($0) }.joined() }
  }

  /// None where no daemon answers at once.
  private static func virtualServers(_ words: [String]) async -> [VirtualServerDetail] {
    func value(_ names: Set<String>) -> String? {
      Array(zip(words, words.dropFirst())).last { names.contains($0.0) }?.1
    }
    let finder = DaemonFinder()
    guard
      let daemon = try? finder.daemon(
        interface: value(["-i", "--interface"]), socket: value(["--socket"]))
    else { return [] }
    let api = ControlAPI(daemon, finder: finder, timeout: .seconds(1))
    let list: VirtualServerList? = try? await api.get(.virtualServers)
    return list?.virtualServers ?? []
  }
}
