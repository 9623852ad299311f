// What is balanced, in words for the log: drawn as ulb.py draws it, and on one line.

extension Configuration {
  /// The most real servers of the command line's virtual server that are drawn one by one, the most
  /// of all others together, and the fewest of each of them.
  private static let (mostRealServers, mostOfOthers, fewestOfEach) = (32, 256, 4)

  /// The virtual servers and their real servers as ``effective`` has them, on several lines. The
  /// command line's is first, as ulb.py draws it; what ulb.py does not know is told where it differs
  /// from the default.
  public var picture: String {
    let all = effective.virtualServers
    let (first, others) = (all[0], all.dropFirst())
    let most = max(Self.fewestOfEach, Self.mostOfOthers / max(1, others.count))
    let lines =
      ["Load balancing UDP traffic over \(interface) interface for \(first.service) :"]
      + first.drawing(atMost: Self.mostRealServers)
      + others.flatMap { other in
        ["Virtual server \(other.label) for \(other.service) :"]
          + other.drawing(atMost: min(most, Self.mostRealServers))
      }
    return lines.joined(separator: "\n")
  }

  /// What can change while the daemon runs, besides the real servers and the further virtual
  /// servers.
  public var liveSummary: String {
    "\(virtualServers[0].service), log level \(logLevel.name), debug \(debug)"
      + (verifiesGateway ? ", gateways verified" : "")
  }
}

extension VirtualServer {
  /// The most ports that are listed one by one.
  private static let mostPorts = 32

  /// Its ports, and its scheduler where that is not the default.
  fileprivate var service: String {
    portSummary + (scheduler == .roundRobin ? "" : ", scheduler \(scheduler.rawValue)")
  }

  fileprivate var portSummary: String {
    let ports = ports.summary(atMost: Self.mostPorts, of: "ports")
    return self.ports.count > Self.mostPorts ? ports : "port(s) [\(ports)]"
  }

  /// A heading, and a line for each real server.
  fileprivate func drawing(atMost most: Int) -> [String] {
    let virtual = address.description
    let width = family == .ipv4 ? 15 : 39
    let blank = String(repeating: " ", count: width)
    let padded = String(repeating: " ", count: max(0, width - virtual.count)) + virtual
    var lines = [
      String(repeating: " ", count: width - 14) + "Virtual Server           Real Server(s)"
    ]
    var servers = realServers.prefix(most).map(\.drawing)
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
    return lines
  }
}

extension RealServer {
  /// Its address, and behind it what is not the default, in the config file's words.
  fileprivate var drawing: String {
    var words = [String]()
    if weight > 1 { words.append("weight \(weight)") }
    switch service {
    case .up: break
    case .draining: words.append("drain")
    case .down: words.append("down")
    }
    return words.isEmpty ? "\(address)" : "\(address) (\(words.joined(separator: ", ")))"
  }

  /// Whom it serves, and its share.
  fileprivate var words: String {
    let share = weight == 0 || service != .up && weight == 1 ? "" : " with weight \(weight)"
    return "\(service.rawValue)\(share)"
  }
}

extension VirtualServerChange {
  /// The most real servers that are named one by one.
  private static let most = 8

  /// What has changed, on one line without the virtual server's name.
  public var summary: String {
    switch self {
    case .came(let server):
      return "came with address \(server.address), \(server.service), "
        + "\(grouped(server.realServers.count)) real server(s)"
    case .went:
      return "went, and its associations with it"
    case .changed(let before, let after):
      var parts = [String]()
      if after.address != before.address {
        parts.append("address \(after.address), was \(before.address)")
      }
      if after.ports != before.ports {
        parts.append("\(after.portSummary), was \(before.portSummary)")
      }
      if after.scheduler != before.scheduler {
        parts.append("scheduler \(after.scheduler.rawValue), was \(before.scheduler.rawValue)")
      }
      if let realServerSummary { parts.append(realServerSummary) }
      return parts.joined(separator: "; ")
    }
  }

  /// Which real servers came, went, or have another weight or state; `nil` where the list is the
  /// same, or is the first or the last that there is.
  public var realServerSummary: String? {
    guard case .changed(let before, let after) = self, before.realServers != after.realServers
    else { return nil }
    func words(_ what: String, _ addresses: [IPAddress]) -> String? {
      addresses.isEmpty ? nil : "\(what) \(addresses.summary(atMost: Self.most, of: "servers"))"
    }
    var parts = [words("added", added), words("removed", removed)].compactMap { $0 }
    let reset = reset
    if reset.count > Self.most {
      parts.append("\(grouped(reset.count)) servers with another weight or state")
    } else if !reset.isEmpty {
      parts.append(reset.map { "\($0.address) now \($0.words)" }.joined(separator: ", "))
    }
    return parts.isEmpty ? "no server came or went" : parts.joined(separator: "; ")
  }
}
