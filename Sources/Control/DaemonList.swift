// Which daemons the web gateway knows of.

/// Answer of the gateway's `/api/daemons`.
public struct DaemonList: Codable, Sendable, Equatable {
  public var daemons: [Daemon]

  public init(daemons: [Daemon]) { self.daemons = daemons }

  public struct Daemon: Codable, Sendable, Equatable {
    /// The interface's name; the control socket's path while nothing better is known.
    public var interface: String
    /// Whether it answers.
    public var up: Bool
    /// Why it does not: one line.
    public var error: String?

    public init(interface: String, up: Bool, error: String?) {
      self.interface = interface
      self.up = up
      self.error = error
    }
  }
}
