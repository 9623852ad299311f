// What the control socket has set of real servers, over what the configuration says. Knows neither
// who asks for it nor where it is kept.

extension RealServer {
  /// What a real server is to do.
  public struct Setting: Sendable, Hashable {
    public var state: State
    /// Its share of new clients beside the others'. An address that is listed several times has that of
    /// all its lines, so that it may be more than ``RealServer/mostWeight``.
    public var weight: Int

    public init(state: State, weight: Int) {
      self.state = state
      self.weight = weight
    }

    /// Whom it serves in fact: with a weight of 0 nobody new.
    public var service: State { min(state, weight > 0 ? .up : .draining) }
  }

  /// What of a real server's setting is another than the configuration's.
  public struct Override: Sendable, Hashable {
    /// `nil`: as configured.
    public let state: State?
    /// 0…``RealServer/mostWeight``; `nil`: as configured.
    public let weight: Int?
    /// What the configuration said when this was set: with another one it ends.
    public let configured: Setting

    public init(state: State?, weight: Int?, configured: Setting) {
      self.state = state
      self.weight = weight
      self.configured = configured
    }
  }
}

extension VirtualServer {
  /// What each real server is to do, all its lines taken together: the state in which it serves most,
  /// and the weights of the lines that are in that state.
  public var settings: [IPAddress: RealServer.Setting] {
    var settings: [IPAddress: RealServer.Setting] = [:]
    settings.reserveCapacity(realServers.count)
    for line in realServers {
      let own = RealServer.Setting(state: line.state, weight: line.weight)
      let before = settings[line.address] ?? RealServer.Setting(state: .down, weight: 0)
      if own.state > before.state {
        settings[line.address] = own
      } else if own.state == before.state {
        settings[line.address] = RealServer.Setting(
          state: own.state, weight: own.weight + before.weight)
      }
    }
    return settings
  }
}

/// What the control socket has set. It lasts until the configuration says something else of that real
/// server than it said then.
public struct Overrides: Sendable, Hashable {
  /// A real server of a virtual server.
  public struct Target: Sendable, Hashable {
    /// The virtual server's; `nil` for the command line's.
    public let name: String?
    /// The real server's.
    public let address: IPAddress

    public init(name: String?, address: IPAddress) {
      self.name = name
      self.address = address
    }
  }

  public private(set) var all: [Target: RealServer.Override]

  public init(_ all: [Target: RealServer.Override] = [:]) { self.all = all }

  public var isEmpty: Bool { all.isEmpty }

  /// What is set of a real server; `nil` for nothing.
  public subscript(address: IPAddress, behind virtualServer: VirtualServer) -> RealServer.Override?
  {
    all[Target(name: virtualServer.name, address: address)]
  }

  /// Sets what a real server is to do, in the place of what was set before. Nothing is set of one that
  /// is not listed.
  ///
  /// - Parameters:
  ///   - state: `nil`: as configured.
  ///   - weight: 0…``RealServer/mostWeight``; `nil`: as configured. With neither nothing is set any
  ///     more.
  ///   - virtualServer: as configured (``Configuration/configured``).
  public mutating func set(
    state: RealServer.State?, weight: Int?, of address: IPAddress,
    behind virtualServer: VirtualServer
  ) {
    let target = Target(name: virtualServer.name, address: address)
    guard state != nil || weight != nil, let configured = virtualServer.settings[address]
    else {
      all[target] = nil
      return
    }
    all[target] = RealServer.Override(state: state, weight: weight, configured: configured)
  }

  // MARK: With a configuration

  /// The virtual servers with what is set put in. To do it twice changes nothing.
  ///
  /// One whose weight is set has one line with it, where its first was.
  public func applied(to virtualServers: [VirtualServer]) -> [VirtualServer] {
    let names = Set(all.keys.map(\.name))
    return virtualServers.map { virtualServer in
      guard names.contains(virtualServer.name) else { return virtualServer }
      let configured = virtualServer.settings
      var result = virtualServer
      var seen = Set<IPAddress>()
      result.realServers = virtualServer.realServers.compactMap { line in
        var line = line
        guard let override = self[line.address, behind: virtualServer] else { return line }
        if let weight = override.weight {
          guard seen.insert(line.address).inserted else { return nil }
          line.weight = weight
          line.state = configured[line.address]?.state ?? line.state
        }
        if let state = override.state { line.state = state }
        return line
      }
      return result
    }
  }

  /// Something that is not set any more.
  public struct Ended: Sendable, Hashable {
    public let target: Target
    /// What the configuration says; `nil` where the real server is not listed any more.
    public let configured: RealServer.Setting?

    public init(target: Target, configured: RealServer.Setting?) {
      self.target = target
      self.configured = configured
    }
  }

  /// Ends what a new configuration puts an end to: what is set of real servers of which it says
  /// something else than it did then, or which it does not list.
  ///
  /// - Parameter virtualServers: as configured.
  /// - Returns: what has ended, by name and address.
  public mutating func reconcile(with virtualServers: [VirtualServer]) -> [Ended] {
    let names = Set(all.keys.map(\.name))
    let settings = Dictionary(
      virtualServers.filter { names.contains($0.name) }.map { ($0.name, $0.settings) }
    ) { first, _ in first }
    var ended = [Ended]()
    for (target, override) in all {
      let configured = settings[target.name]?[target.address]
      guard configured != override.configured else { continue }
      all[target] = nil
      ended.append(Ended(target: target, configured: configured))
    }
    return ended.sorted { left, right in
      (left.target.name ?? "", left.target.address.description)
        < (right.target.name ?? "", right.target.address.description)
    }
  }
}
