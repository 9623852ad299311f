// What the log says of the virtual servers: of a change, and of those that stay.
import LoadBalancing

extension [VirtualServer] {
  /// How many are in service. A single one goes without saying.
  var counted: String {
    let realServers = "\(map(\.realServers.count).reduce(0, +)) real server(s)"
    return count == 1 ? realServers : "\(count) virtual servers with \(realServers)"
  }
}

extension VirtualServerChange {
  /// What has become of the virtual server, on one line; `nil` where the line that tells of another
  /// program says it. The command line's is not named, as ulb.py knows no other.
  var message: String? {
    let server = virtualServer
    guard let name = server.name else {
      return realServerSummary.map {
        "New config applied: \(server.realServers.count) real server(s); \($0)."
      }
    }
    return switch self {
    case .came, .went: "Virtual server \(name) \(summary)."
    case .changed: "Virtual server \(name): \(summary)."
    }
  }
}
