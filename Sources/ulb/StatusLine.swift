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

  var realServers: Int
  var virtualServer: IPAddress
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
    var text = "\(realServers) real server(s) behind \(virtualServer), \(interface) "
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
}
