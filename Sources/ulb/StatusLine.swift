// What `systemctl status` shows of the daemon, in one line.
import Control
import LoadBalancing

/// How the daemon does.
struct StatusLine {
  /// Those in service, at least one.
  var virtualServers: [VirtualServer]
  var interface: String
  /// How the program is attached; `nil` where it is not.
  var mode: String?
  /// What is wrong with the interface, in words, and since when.
  var fault: (text: String, since: Timestamp)?
  /// The last reading of a file after the start, and what file that is.
  var reload: Reload?
  var file = WatchedFile.configuration

  /// The longest reason that is shown, in bytes; the log has all of it.
  private static let longestReason = 400

  var text: String {
    var text = "\(service), \(interface) "
    text += mode.map { "in \($0) mode" } ?? "without ulb's program"
    if let fault { text += "; \(fault.text) since \(fault.since.toTheSecond)" }
    if let reload {
      // Without the fraction of the second.
      text += "; \(file.title) \(reload.result.rawValue) at \(reload.at.prefix(19))Z"
      if let reason = reload.reason { text += ": \(Output.cut(reason, at: Self.longestReason))" }
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
