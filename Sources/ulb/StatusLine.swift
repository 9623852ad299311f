// What `systemctl status` shows of the daemon, in one line.
import LoadBalancing

/// How the daemon does.
struct StatusLine {
  /// What became of the last reading of the config file.
  enum Reload: Equatable {
    case applied
    /// Nothing has changed.
    case unchanged
    /// Why the servers of before stay in service.
    case refused(String)
  }

  /// Those in service, at least one.
  var virtualServers: [VirtualServer]
  var interface: String
  /// How the program is attached; `nil` where it is not.
  var mode: String?
  /// What is wrong with the interface, in words, and since when.
  var fault: (text: String, since: Timestamp)?
  /// The last reading of the config file after the start, and when that was.
  var reload: (outcome: Reload, at: Timestamp)?

  /// The longest reason that is shown, in bytes; the log has all of it.
  private static let longestReason = 400

  var text: String {
    var text = "\(service), \(interface) "
    text += mode.map { "in \($0) mode" } ?? "without ulb's program"
    if let fault { text += "; \(fault.text) since \(fault.since.toTheSecond)" }
    if let (outcome, at) = reload {
      text += "; config file "
      switch outcome {
      case .applied: text += "applied at \(at.toTheSecond)"
      case .unchanged: text += "unchanged at \(at.toTheSecond)"
      case .refused(let reason):
        text += "refused at \(at.toTheSecond): \(Output.cut(reason, at: Self.longestReason))"
      }
    }
    return text
  }

  /// What is served.
  private var service: String {
    let servers = virtualServers.flatMap(\.realServers)
    let states = [RealServer.State.draining, .down].compactMap { state in
      let count = servers.count { $0.service == state }
      return count > 0 ? "\(count) \(state.rawValue)" : nil
    }
    var counted = "\(servers.count) real server(s)"
    if !states.isEmpty { counted += " (\(states.joined(separator: ", ")))" }
    return virtualServers.count == 1
      ? "\(counted) behind \(virtualServers[0].address)"
      : "\(virtualServers.count) virtual servers, \(counted)"
  }
}
