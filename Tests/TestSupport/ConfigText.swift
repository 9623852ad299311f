// The text of a config file with several virtual servers. Knows nothing of who reads it.

/// What a config file says, line by line.
public struct ConfigText: Sendable, Equatable, CustomStringConvertible {
  /// A virtual server beside the command line's.
  public struct VirtualServer: Sendable, Equatable {
    public var name: String
    public var address: String?
    public var ports: [UInt16]
    public var scheduler: String?
    /// Lines with an address each, and what is set of it.
    public var realServers: [String]

    public init(
      _ name: String, at address: String?, ports: [UInt16], scheduler: String? = nil,
      realServers: [String]
    ) {
      self.name = name
      self.address = address
      self.ports = ports
      self.scheduler = scheduler
      self.realServers = realServers
    }

    fileprivate var lines: [String] {
      ["[Virtual Server \(name)]"]
        + (address.map { ["address = " + $0] } ?? [])
        + ["port = " + ports.map(String.init).joined(separator: " ")]
        + (scheduler.map { ["scheduler = " + $0] } ?? [])
        + ["[Real Servers \(name)]"] + realServers
    }
  }

  /// Those of the command line's virtual server.
  public var realServers: [String]
  /// What stands in `[ulb]`.
  public var settings: [String] = []
  public var virtualServers: [VirtualServer]

  public init(realServers: [String], virtualServers: [VirtualServer] = []) {
    self.realServers = realServers
    self.virtualServers = virtualServers
  }

  public var description: String {
    let lines =
      ["[Real Servers]"] + realServers + (settings.isEmpty ? [] : ["[ulb]"] + settings)
      + virtualServers.flatMap(\.lines)
    return lines.joined(separator: "\n") + "\n"
  }

  /// One of the further virtual servers.
  public subscript(_ name: String) -> VirtualServer {
    get { virtualServers[index(of: name)] }
    set { virtualServers[index(of: name)] = newValue }
  }

  /// Puts a virtual server behind all others.
  public mutating func add(_ virtualServer: VirtualServer) {
    virtualServers.append(virtualServer)
  }

  public mutating func remove(_ name: String) { virtualServers.remove(at: index(of: name)) }

  private func index(of name: String) -> Int {
    guard let index = virtualServers.firstIndex(where: { $0.name == name }) else {
      preconditionFailure("the file has no virtual server \(name)")
    }
    return index
  }
}

extension Network {
  /// The addresses of those that listen, in their order.
  public var serverAddresses: [String] { servers.map(\.endpoint.address) }

  /// This virtual server as the config file has it.
  ///
  /// - Parameter realServers: what is listed; all that listen if nil.
  public func section(
    _ name: String, scheduler: String? = nil, realServers: [String]? = nil
  ) -> ConfigText.VirtualServer {
    ConfigText.VirtualServer(
      name, at: virtualServer.address, ports: [virtualServer.port], scheduler: scheduler,
      realServers: realServers ?? serverAddresses)
  }
}
