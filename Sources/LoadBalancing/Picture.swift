// What is balanced, in words for the log: drawn as ulb.py draws it, and on one line.

extension Configuration {
  /// The most ports that are listed one by one.
  private static let mostPorts = 32
  /// The most real servers that are drawn one by one.
  private static let mostRealServers = 32

  /// The virtual server and its real servers as ``effective`` has them, on several lines.
  public var picture: String {
    let virtual = virtualServer.description
    let width = family == .ipv4 ? 15 : 39
    let blank = String(repeating: " ", count: width)
    let padded = String(repeating: " ", count: max(0, width - virtual.count)) + virtual
    let ports = effective.portSummary
    var lines = [
      "Load balancing UDP traffic over \(interface) interface for \(ports) :",
      String(repeating: " ", count: width - 14) + "Virtual Server           Real Server(s)",
    ]
    let most = Self.mostRealServers
    var servers = realServers.prefix(most).map(\.description)
    if realServers.count > most {
      servers[most - 1] = "and \(grouped(realServers.count - most + 1)) more"
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

  /// What can change while the daemon runs, besides the real servers.
  public var liveSummary: String {
    "\(portSummary), log level \(logLevel.name), debug \(debug)"
  }

  private var portSummary: String {
    let ports = ports.summary(atMost: Self.mostPorts, of: "ports")
    return self.ports.count > Self.mostPorts ? ports : "port(s) [\(ports)]"
  }
}

extension ServerPlan.Change {
  /// The most servers that are named one by one.
  private static let most = 8

  /// What a new list changes, on one line.
  public var summary: String {
    func words(_ what: String, _ addresses: [IPAddress]) -> String? {
      addresses.isEmpty ? nil : "\(what) \(addresses.summary(atMost: Self.most, of: "servers"))"
    }
    let parts = [words("added", added), words("removed", removed)].compactMap { $0 }
    return parts.isEmpty ? "no server came or went" : parts.joined(separator: "; ")
  }
}
