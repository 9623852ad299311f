// Where the control socket is, and its life beside the daemon's. Knows no resource.
import Glibc
import HTTP
import LoadBalancing

/// Serves the control socket, on threads of its own.
final class ControlServer {
  private let server: HTTPServer
  private var stopped: Wakeup?

  /// Listens.
  init(_ configuration: Configuration, _ api: ControlAPI) throws {
    var limits = HTTPServer.Limits()
    limits.bodyBytes = 1 << 20
    limits.longBodyDetail =
      "the request's body is longer than 1 MiB; `ulb --check` checks a config file that is longer"
    server = HTTPServer(limits) { request in await api.respond(to: request) }
    try server.start(
      on: .unix(path: configuration.controlPath ?? "", group: configuration.controlGroup))
  }

  /// Listens where the configuration says. A place that nobody has asked for may fail: who runs ulb
  /// without root, or without /run, has it as before.
  ///
  /// - Returns: `nil` for nowhere, and what is to be warned of.
  static func start(
    _ configuration: Configuration, _ api: ControlAPI
  ) throws -> (server: ControlServer?, warnings: [String]) {
    guard configuration.control != .nowhere else { return (nil, []) }
    do {
      return (try ControlServer(configuration, api), [])
    } catch {
      guard configuration.control == .ofInterface, configuration.controlGroup == nil else {
        throw error
      }
      return (nil, ["no control socket: \(error); or set another path with --control, or none"])
    }
  }

  /// Begins to end all connections.
  func beginStop() {
    guard stopped == nil, let wakeup = try? Wakeup() else { return }
    stopped = wakeup
    Task.detached { [server] in
      await server.stop()
      wakeup.signal()
    }
  }

  /// Waits until all connections have ended and the socket is gone, with patience of a second.
  func finishStop() {
    beginStop()
    guard let stopped else { return }
    var request = pollfd(fd: stopped.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
    poll(&request, 1, 1000)
  }
}

extension Configuration {
  /// The path of the control socket; `nil` for none.
  var controlPath: String? {
    switch control {
    case .ofInterface: "/run/ulb/\(interface)/control.sock"
    case .path(let path): path
    case .nowhere: nil
    }
  }
}
