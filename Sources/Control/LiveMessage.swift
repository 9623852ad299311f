// What the web gateway tells of all daemons of the machine, each second.

/// Data of an event of the gateway's `/api/stream`.
public struct LiveMessage: Codable, Sendable, Equatable {
  public var daemons: [Daemon]

  public init(daemons: [Daemon]) { self.daemons = daemons }

  /// What a daemon has answered, or why it has not.
  public struct Daemon: Codable, Sendable, Equatable {
    /// The interface's name; the control socket's path while nothing better is known.
    public var interface: String
    /// Whether it has answered.
    public var up: Bool
    public var status: Status?
    public var virtualServers: [VirtualServerDetail]
    public var counters: Counters?
    /// Why it has not: one line.
    public var error: String?

    /// One that has answered.
    public init(
      interface: String, status: Status, virtualServers: [VirtualServerDetail], counters: Counters
    ) {
      self.interface = interface
      up = true
      self.status = status
      self.virtualServers = virtualServers
      self.counters = counters
    }

    /// One that has not.
    public init(interface: String, error: String) {
      self.interface = interface
      up = false
      virtualServers = []
      self.error = error
    }

    private enum CodingKeys: String, CodingKey {
      case interface, up, status, counters, error
      case virtualServers = "virtual_servers"
    }
  }
}
