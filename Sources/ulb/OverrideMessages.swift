// What the log says of what the control socket has set, where nobody asks for it now: at the start,
// and when it ends.
import LoadBalancing

/// A message that is about a virtual server.
struct VirtualServerMessage: Equatable {
  let text: String
  /// The virtual server's label.
  let virtualServer: String
}

extension Overrides {
  /// The most real servers that are named one by one.
  private static let most = 8

  /// What is in force of it, of each real server a line; of many how many more there are.
  ///
  /// - Parameter configuration: that they stand over.
  func messages(in configuration: Configuration) -> [VirtualServerMessage] {
    let lines = configuration.virtualServers.flatMap { virtualServer in
      var seen = Set<IPAddress>()
      return virtualServer.realServers.compactMap { line -> VirtualServerMessage? in
        guard let override = self[line.address, behind: virtualServer],
          seen.insert(line.address).inserted
        else { return nil }
        return VirtualServerMessage(
          text: "Real server \(line.address) of \(virtualServer.label): \(override.words), "
            + "as the control socket has set it.",
          virtualServer: virtualServer.label)
      }
    }
    guard lines.count > Self.most else { return lines }
    let rest = VirtualServerMessage(
      text: "\(lines.count - Self.most) more real servers are as the control socket has set them.",
      virtualServer: configuration.virtualServers[0].label)
    return lines.prefix(Self.most) + [rest]
  }
}

extension Overrides.Ended {
  /// What is in force now, and why.
  ///
  /// - Parameter configuration: that has ended it.
  func message(in configuration: Configuration) -> VirtualServerMessage {
    let label = target.name ?? configuration.virtualServers[0].label
    let reason =
      configured.map { "\($0.words), as the configuration says again: it has changed there" }
      ?? "what the control socket had set has ended: it is no longer listed"
    return VirtualServerMessage(
      text: "Real server \(target.address) of \(label): \(reason).", virtualServer: label)
  }
}

extension RealServer.Override {
  fileprivate var words: String {
    [state?.rawValue, weight.map { "with weight \($0)" }].compactMap(\.self)
      .joined(separator: " ")
  }
}

extension RealServer.Setting {
  fileprivate var words: String { "\(state.rawValue) with weight \(weight)" }
}
