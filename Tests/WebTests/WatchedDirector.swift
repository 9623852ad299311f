// ulb with traffic, and the web gateway in front of its control socket. Knows nothing of who looks at it.
import Foundation
import HTTP
import TestSupport

/// A director that a gateway tells of, in the director's namespace, so that its port is free.
final class WatchedDirector {
  static let address = "127.0.0.1:9273"

  let network: Network
  private let directory: TemporaryDirectory
  /// The daemon's control socket.
  let socket: String
  private(set) var daemon: Daemon
  private(set) var gateway: ChildProcess
  private let traffic: SteadyTraffic

  init(realServers count: Int = 3) throws {
    network = try Network(Topology(realServers: count))
    directory = try TemporaryDirectory()
    socket = directory.path(of: "control.sock")
    daemon = try Self.startDaemon(network, socket)
    traffic = SteadyTraffic(try network.newClients(2 * count), to: network.virtualServer)
    gateway = try Self.startGateway(network, socket)
  }

  private static func startDaemon(_ network: Network, _ socket: String) throws -> Daemon {
    try Daemon.start(
      ["lb0", "-vs", network.virtualServer.address, "--control", socket, "-rs"]
        + network.addresses(Array(network.servers.indices)) + [
          "-p", "\(network.virtualServer.port)",
        ], in: network.topology.director)
  }

  private static func startGateway(_ network: Network, _ socket: String) throws -> ChildProcess {
    try ChildProcess(
      [Package.operatorCommand, "serve", "--listen", address, "--socket", socket],
      in: network.topology.director)
  }

  /// Starts the daemon again, after it was stopped.
  func startDaemon() throws { daemon = try Self.startDaemon(network, socket) }

  /// Starts the gateway again, after it was stopped.
  func startGateway() throws { gateway = try Self.startGateway(network, socket) }

  /// Drains a real server, as `ulbctl drain` does.
  func drain(_ server: String) async throws {
    let answer = try await HTTPClient(unixSocket: socket).send(
      "PATCH", "/v1/virtual-servers/\(network.virtualServer.address)/real-servers/\(server)",
      headers: [("Content-Type", "application/merge-patch+json")],
      body: Array(#"{"state":"draining"}"#.utf8))
    let body = String(decoding: try await answer.collect(), as: UTF8.self)
    guard answer.status == 200 else { throw BrowserFailed("drain \(server): \(body)") }
  }
}

/// Clients that ask, one after the other, some hundred times a second.
private final class SteadyTraffic: Sendable {
  /// They stop when nobody holds this any more.
  init(_ clients: [UDPSocket], to virtualServer: Endpoint) {
    Thread.detachNewThread { [weak self] in
      var number = 0
      while self != nil {
        _ = try? clients[number % clients.count]
          .exchange("\(number)", with: virtualServer, timeout: .milliseconds(500))
        number += 1
        usleep(5000)
      }
    }
  }
}
