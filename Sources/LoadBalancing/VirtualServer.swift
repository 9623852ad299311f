// A virtual server, and the real servers behind it: what an operator says of them.

/// How a virtual server chooses the real server of a new client.
public enum Scheduler: String, Sendable, CaseIterable {
  /// In turn, by weight.
  case roundRobin = "round-robin"
  /// By the client's address and port: consistent hashing, by weight (Eisenbud et al.: Maglev, 2016,
  /// section 3.4). Directors with the same real servers choose alike.
  case maglev
}

/// An address that clients send to, with its UDP ports and the real servers behind it.
public struct VirtualServer: Sendable, Hashable {
  /// As the config file calls it; `nil` for the command line's.
  public var name: String?
  /// Its family is that of its real servers. Unspecified: none is configured.
  public var address: IPAddress
  /// Balanced UDP ports in host order, as the operator wrote them. 0 is none.
  public var ports: [UInt16]
  public var scheduler: Scheduler
  /// In the order of their turns, as the operator wrote them: one that stands there twice gets two.
  public var realServers: [RealServer]

  /// The most that there can be.
  public static let most = 64
  /// The most octets of a name.
  public static let longestName = 63

  public init(
    name: String? = nil, address: IPAddress, ports: [UInt16],
    scheduler: Scheduler = .roundRobin, realServers: [RealServer]
  ) {
    self.name = name
    self.address = address
    self.ports = ports
    self.scheduler = scheduler
    self.realServers = realServers
  }

  public var family: AddressFamily { address.family }

  /// What an operator is told of it: its name, or of the command line's its address.
  public var label: String { name ?? address.description }

  /// Whether it differs from `other` in what is compiled into the program: in all but its real
  /// servers.
  func isCompiled(differentlyFrom other: VirtualServer) -> Bool {
    name != other.name || address != other.address || ports != other.ports
      || scheduler != other.scheduler
  }
}

/// A real server of one virtual server.
public struct RealServer: Sendable, Hashable {
  /// Whom it serves: the more, the greater.
  public enum State: String, Sendable, CaseIterable, Comparable {
    /// All that it is given.
    case up
    /// Those that it has: no new client is given to it.
    case draining
    /// Nobody: its clients go to others as their next packets come in.
    case down

    public static func < (left: State, right: State) -> Bool { left.rank < right.rank }

    private var rank: Int {
      switch self {
      case .up: 2
      case .draining: 1
      case .down: 0
      }
    }
  }

  public var address: IPAddress
  /// Its share of new clients, 0 to 256, beside the others'. 0 is as draining.
  public var weight: Int
  /// What the operator has asked for.
  public var state: State

  /// The heaviest weight.
  public static let mostWeight = 256

  public init(_ address: IPAddress, weight: Int = 1, state: State = .up) {
    self.address = address
    self.weight = weight
    self.state = state
  }

  /// Whether new clients are given to it.
  public var takesNewClients: Bool { state == .up && weight > 0 }

  /// Whether its clients stay with it.
  public var keepsClients: Bool { state != .down }

  /// Whom it serves in fact: with a weight of 0 nobody new.
  public var service: State { Setting(state: state, weight: weight).service }
}
