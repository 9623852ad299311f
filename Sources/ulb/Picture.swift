// What is balanced, drawn as ulb.py draws it.
import DataPlane
import LoadBalancing

enum Picture {
  /// The most real servers that are drawn one by one.
  private static let most = 32

  static func draw(_ configuration: Configuration) -> String {
    let virtual = configuration.virtualServer.description
    let width = configuration.family == .ipv4 ? 15 : 39
    let blank = String(repeating: " ", count: width)
    let padded = String(repeating: " ", count: max(0, width - virtual.count)) + virtual
    let ports = configuration.effective.ports.map(String.init).joined(separator: ", ")
    var lines = [
      "Load balancing UDP traffic over \(configuration.interface) interface for port(s) [\(ports)] :",
      String(repeating: " ", count: width - 14) + "Virtual Server           Real Server(s)",
    ]
    var servers = configuration.realServers.map(\.description)
    if servers.count > most {
      servers = servers.prefix(most - 1) + ["and \(servers.count - most + 1) more"]
    }
    for (index, server) in servers.enumerated() {
      let isLast = index == servers.count - 1
      switch index {
      case 0 where isLast: lines.append("\(padded) <───────> \(server)")
      case 0: lines.append("\(padded) <───┬───> \(server)")
      default: lines.append("\(blank)     \(isLast ? "└" : "├")───> \(server)")
      }
    }
    return lines.joined(separator: "\n")
  }

  /// What of a configuration can change while the daemon runs, in words.
  static func describe(_ configuration: Configuration) -> String {
    let ports = configuration.ports.map(String.init).joined(separator: ", ")
    return "port(s) [\(ports)], log level \(configuration.logLevel.name), "
      + "debug \(configuration.debug)"
  }

  /// How long the steps of the start took.
  static func describe(_ times: DataPlane.Times, attach: Duration) -> String {
    [
      ("render", times.render), ("compile", times.compile), ("load", times.load),
      ("fill", times.fill), ("attach", attach),
    ].map { "\($0) \(milliseconds($1)) ms" }.joined(separator: ", ")
  }

  static func milliseconds(_ time: Duration) -> String {
    "\((time / .milliseconds(1) * 100).rounded() / 100)"
  }

  /// What a new list changes, in words.
  static func describe(_ change: ServerTable.Change) -> String {
    func words(_ what: String, _ addresses: [IPAddress]) -> String? {
      guard !addresses.isEmpty else { return nil }
      guard addresses.count <= 8 else { return "\(what) \(addresses.count) servers" }
      return "\(what) \(addresses.map(\.description).joined(separator: ", "))"
    }
    let parts = [words("added", change.added), words("removed", change.removed)].compactMap { $0 }
    return parts.isEmpty ? "no server came or went" : parts.joined(separator: "; ")
  }
}
