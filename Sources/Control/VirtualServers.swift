// Virtual servers and their real servers: /v1/virtual-servers and what is below.

/// Answer of `GET /v1/virtual-servers`.
public struct VirtualServerList: Codable, Sendable, Equatable {
  /// The command line's first, then the config file's in their order.
  public var virtualServers: [VirtualServerDetail]

  public init(virtualServers: [VirtualServerDetail]) { self.virtualServers = virtualServers }

  private enum CodingKeys: String, CodingKey {
    case virtualServers = "virtual_servers"
  }
}

/// A virtual server: `GET /v1/virtual-servers/{name}`.
public struct VirtualServerDetail: Codable, Sendable, Equatable {
  /// As the API calls it: its name; the command line's is called by its address.
  public var name: String
  public var address: String
  /// UDP ports.
  public var ports: [UInt16]
  /// `round-robin` or `maglev`.
  public var scheduler: String
  /// Each address once, in the order of the configuration.
  public var realServers: [RealServerDetail]

  public init(
    name: String, address: String, ports: [UInt16], scheduler: String,
    realServers: [RealServerDetail]
  ) {
    self.name = name
    self.address = address
    self.ports = ports
    self.scheduler = scheduler
    self.realServers = realServers
  }

  private enum CodingKeys: String, CodingKey {
    case name, address, ports, scheduler
    case realServers = "real_servers"
  }
}

/// Answer of `GET /v1/virtual-servers/{name}/real-servers`.
public struct RealServerList: Codable, Sendable, Equatable {
  public var realServers: [RealServerDetail]

  public init(realServers: [RealServerDetail]) { self.realServers = realServers }

  private enum CodingKeys: String, CodingKey {
    case realServers = "real_servers"
  }
}

/// Whom a real server serves.
public enum RealServerState: String, Codable, Sendable, CaseIterable {
  case up
  /// No new client; its clients stay.
  case draining
  /// No new client; its clients go to others as their next packets come in.
  case down
}

/// State and weight of a real server.
public struct RealServerSetting: Codable, Sendable, Equatable {
  public var state: RealServerState
  /// 0…256; with 0 no new client is given to it.
  public var weight: Int

  public init(state: RealServerState, weight: Int) {
    self.state = state
    self.weight = weight
  }
}

/// A real server of a virtual server: `GET …/real-servers/{address}`.
public struct RealServerDetail: Codable, Sendable, Equatable {
  public var address: String
  /// What is in force.
  public var state: RealServerState
  public var weight: Int
  /// What the command line or the config file says.
  public var configured: RealServerSetting
  /// Whether the control socket has set something that is in force.
  public var isOverridden: Bool
  /// Its associations.
  public var clients: UInt64
  /// From clients to it.
  public var ingress: Traffic
  /// From it to clients.
  public var egress: Traffic
  public var associationsCreated: AssociationsCreated

  public init(
    address: String, state: RealServerState, weight: Int, configured: RealServerSetting,
    isOverridden: Bool, clients: UInt64, ingress: Traffic, egress: Traffic,
    associationsCreated: AssociationsCreated
  ) {
    self.address = address
    self.state = state
    self.weight = weight
    self.configured = configured
    self.isOverridden = isOverridden
    self.clients = clients
    self.ingress = ingress
    self.egress = egress
    self.associationsCreated = associationsCreated
  }

  private enum CodingKeys: String, CodingKey {
    case address, state, weight, configured, clients, ingress, egress
    case isOverridden = "overridden"
    case associationsCreated = "associations_created"
  }
}

/// What has gone one way.
public struct Traffic: Codable, Sendable, Equatable {
  public var packets: UInt64
  /// Of whole frames, the Ethernet header included.
  public var bytes: UInt64

  public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
    self.packets = packets
    self.bytes = bytes
  }
}

/// How a real server came to its clients.
public struct AssociationsCreated: Codable, Sendable, Equatable {
  /// A client wrote first.
  public var byClient: UInt64
  /// The real server wrote first.
  public var byRealServer: UInt64
  /// The client's real server before was no longer in service.
  public var takenOver: UInt64

  public init(byClient: UInt64 = 0, byRealServer: UInt64 = 0, takenOver: UInt64 = 0) {
    self.byClient = byClient
    self.byRealServer = byRealServer
    self.takenOver = takenOver
  }

  private enum CodingKeys: String, CodingKey {
    case byClient = "by_client"
    case byRealServer = "by_real_server"
    case takenOver = "taken_over"
  }
}

/// Body of `PATCH …/real-servers/{address}` (RFC 7396): what is not there stays; `null` is what the
/// configuration says.
public struct RealServerPatch: Sendable, Equatable {
  /// What becomes of a member.
  public enum Change<Value: Sendable & Equatable>: Sendable, Equatable {
    case stay
    case asConfigured
    case set(Value)
  }

  public var state: Change<RealServerState>
  public var weight: Change<Int>

  public init(state: Change<RealServerState> = .stay, weight: Change<Int> = .stay) {
    self.state = state
    self.weight = weight
  }
}

extension RealServerPatch: Codable {
  private enum CodingKeys: String, CodingKey {
    case state, weight
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    func change<Value: Decodable>(_ key: CodingKeys) throws -> Change<Value> {
      guard members.contains(key) else { return .stay }
      return try members.decodeNil(forKey: key)
        ? .asConfigured : .set(members.decode(Value.self, forKey: key))
    }
    self.init(state: try change(.state), weight: try change(.weight))
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    func encode<Value: Encodable>(_ change: Change<Value>, _ key: CodingKeys) throws {
      switch change {
      case .stay: break
      case .asConfigured: try members.encodeNil(forKey: key)
      case .set(let value): try members.encode(value, forKey: key)
      }
    }
    try encode(state, .state)
    try encode(weight, .weight)
  }
}
