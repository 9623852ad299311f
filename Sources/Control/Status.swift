// How the daemon does, as a whole: GET /v1/status.

/// The daemon and what is in force.
public struct Status: Codable, Sendable, Equatable {
  /// That of `ulb --version`.
  public var version: String
  /// The network interface that is balanced.
  public var interface: String
  /// `native` or `generic`; nothing where the program is not attached.
  public var mode: String?
  public var pid: Int32
  /// When this process began: RFC 3339, UTC.
  public var startedAt: String
  public var uptimeSeconds: Double
  public var configuration: ConfigurationInForce
  /// The last reading of the config file, or of a list of clients, after the start: of a file that is
  /// refused, where one is; nothing before the first.
  public var reload: Reload?
  /// When the configuration was last read and good: at the start or at a reload. RFC 3339, UTC.
  public var lastGoodReloadAt: String
  /// Nothing where no state file is configured.
  public var stateFile: StateFileStatus?
  /// Events of packets that nobody could read in time, since counting began.
  public var eventsLost: UInt64
  /// Of each family that has a virtual server, IPv4 first.
  public var associations: [AssociationTableStatus]
  /// The command line's first, then the config file's in their order.
  public var virtualServers: [VirtualServerSummary]
  /// Clients whose packets are followed (`GET /v1/events?client=`): address and port.
  public var followedClients: [String]
  /// Nothing where ulb-sync has never told anything, or for an hour.
  public var sync: SyncStatus?
  public var health: Health

  public init(
    version: String, interface: String, mode: String?, pid: Int32, startedAt: String,
    uptimeSeconds: Double, configuration: ConfigurationInForce, reload: Reload?,
    lastGoodReloadAt: String, stateFile: StateFileStatus?, eventsLost: UInt64,
    associations: [AssociationTableStatus], virtualServers: [VirtualServerSummary],
    followedClients: [String], sync: SyncStatus? = nil, health: Health
  ) {
    self.version = version
    self.interface = interface
    self.mode = mode
    self.pid = pid
    self.startedAt = startedAt
    self.uptimeSeconds = uptimeSeconds
    self.configuration = configuration
    self.reload = reload
    self.lastGoodReloadAt = lastGoodReloadAt
    self.stateFile = stateFile
    self.eventsLost = eventsLost
    self.associations = associations
    self.virtualServers = virtualServers
    self.followedClients = followedClients
    self.sync = sync
    self.health = health
  }

  private enum CodingKeys: String, CodingKey {
    case version, interface, mode, pid, configuration, reload, associations, sync, health
    case startedAt = "started_at"
    case uptimeSeconds = "uptime_seconds"
    case lastGoodReloadAt = "last_good_reload_at"
    case stateFile = "state_file"
    case eventsLost = "events_lost"
    case virtualServers = "virtual_servers"
    case followedClients = "followed_clients"
  }
}

/// What of the options is in force, beside the virtual servers.
public struct ConfigurationInForce: Codable, Sendable, Equatable {
  /// As the operator gave it.
  public var configFile: String?
  /// `CRITICAL` to `TRACE`.
  public var logLevel: String
  /// libbcc's debug flag word, 0…4.
  public var debug: Int
  public var maxPorts: UInt32
  public var maxRealServers: UInt32
  public var maxAssociations: UInt32
  /// In seconds; 0 where there are no classes.
  public var probation: Int
  /// Nothing where no list of clients is configured.
  public var clientLists: ClientListsInForce?
  /// Nothing where gateways are not verified.
  public var gateways: GatewayVerification?

  public init(
    configFile: String?, logLevel: String, debug: Int, maxPorts: UInt32, maxRealServers: UInt32,
    maxAssociations: UInt32, probation: Int, clientLists: ClientListsInForce? = nil,
    gateways: GatewayVerification? = nil
  ) {
    self.configFile = configFile
    self.logLevel = logLevel
    self.debug = debug
    self.maxPorts = maxPorts
    self.maxRealServers = maxRealServers
    self.maxAssociations = maxAssociations
    self.probation = probation
    self.clientLists = clientLists
    self.gateways = gateways
  }

  private enum CodingKeys: String, CodingKey {
    case debug, gateways, probation
    case configFile = "config_file"
    case logLevel = "loglevel"
    case maxPorts = "max_ports"
    case maxRealServers = "max_realservers"
    case maxAssociations = "max_associations"
    case clientLists = "client_lists"
  }
}

/// Which clients are served.
public struct ClientListsInForce: Codable, Sendable, Equatable {
  /// With it, who is on no list is denied; nothing where there is none.
  public var allowed: NetworkListInForce?
  public var denied: NetworkListInForce?
  /// Whether residents are asked for, too.
  public var isStrict: Bool

  public init(allowed: NetworkListInForce?, denied: NetworkListInForce?, isStrict: Bool) {
    self.allowed = allowed
    self.denied = denied
    self.isStrict = isStrict
  }

  private enum CodingKeys: String, CodingKey {
    case allowed, denied
    case isStrict = "strict"
  }
}

/// Networks of clients that a file lists.
public struct NetworkListInForce: Codable, Sendable, Equatable {
  /// As the operator gave it.
  public var file: String
  /// How many.
  public var networks: Int

  public init(file: String, networks: Int) {
    self.file = file
    self.networks = networks
  }
}

/// From where packets of real servers are to come.
public struct GatewayVerification: Codable, Sendable, Equatable {
  /// The most next hops that are told of.
  public static let most = 64

  /// How many real servers there are of which a packet is believed from one MAC address alone.
  public var verifiedRealServers: Int
  /// How many there are of which packets are believed wherever they come from, as that address is not
  /// known, or there is no single one.
  public var believedRealServers: Int
  /// At most ``most`` of them.
  public var nextHops: [NextHopStatus]

  public init(verifiedRealServers: Int, believedRealServers: Int, nextHops: [NextHopStatus]) {
    self.verifiedRealServers = verifiedRealServers
    self.believedRealServers = believedRealServers
    self.nextHops = nextHops
  }

  private enum CodingKeys: String, CodingKey {
    case verifiedRealServers = "verified_real_servers"
    case believedRealServers = "believed_real_servers"
    case nextHops = "next_hops"
  }
}

/// A gateway on the way to real servers, or one of them on the link.
public struct NextHopStatus: Codable, Sendable, Equatable {
  public var address: String
  /// Its MAC address; nothing where that is not known yet.
  public var hardwareAddress: String?
  /// How many are behind it.
  public var realServers: Int

  public init(address: String, hardwareAddress: String?, realServers: Int) {
    self.address = address
    self.hardwareAddress = hardwareAddress
    self.realServers = realServers
  }

  private enum CodingKeys: String, CodingKey {
    case address
    case hardwareAddress = "mac"
    case realServers = "real_servers"
  }
}

/// What became of a reading of the config file, of a list of clients, or of all of them.
public struct Reload: Codable, Sendable, Equatable {
  public enum Result: String, Codable, Sendable, CaseIterable {
    /// What it says is in force now.
    case applied
    /// It says what was in force already.
    case unchanged
    /// What was in force stays.
    case refused
  }

  public var result: Result
  /// When: RFC 3339, UTC.
  public var at: String
  /// What has changed, a sentence each; none where nothing has.
  public var changes: [String]
  /// What the file says and hardly means, a sentence each; nothing where it was refused.
  public var warnings: [String]
  /// Why it was refused: file, line, reason and mend; nothing where it was not.
  public var reason: String?

  public init(
    result: Result, at: String, changes: [String] = [], warnings: [String] = [],
    reason: String? = nil
  ) {
    self.result = result
    self.at = at
    self.changes = changes
    self.warnings = warnings
    self.reason = reason
  }
}

/// What has become of the state file.
public struct StateFileStatus: Codable, Sendable, Equatable {
  public var path: String
  /// When the last save was complete; nothing before the first of this process.
  public var savedAt: String?
  public var ageSeconds: Double?
  /// Why the last save has failed; nothing where it has not.
  public var failure: String?

  public init(path: String, savedAt: String?, ageSeconds: Double?, failure: String?) {
    self.path = path
    self.savedAt = savedAt
    self.ageSeconds = ageSeconds
    self.failure = failure
  }

  private enum CodingKeys: String, CodingKey {
    case path, failure
    case savedAt = "saved_at"
    case ageSeconds = "age_seconds"
  }
}

/// How full the association table of a family is.
public struct AssociationTableStatus: Codable, Sendable, Equatable {
  /// `ipv4` or `ipv6`.
  public var family: String
  /// `max_associations`: there is room for that many.
  public var limit: UInt64
  /// How many can be remembered at most.
  public var places: UInt64
  /// How many there are, by class.
  public var clients: ClassCounts
  /// Whether new clients push each other out of the table within two seconds: a flood. They are given
  /// real servers by hash then.
  public var isUnderPressure: Bool
  /// Associations that were forgotten because another client needed their place, by class.
  public var forgotten: ClassCounts

  public init(
    family: String, limit: UInt64, places: UInt64, clients: ClassCounts,
    isUnderPressure: Bool = false, forgotten: ClassCounts
  ) {
    self.family = family
    self.limit = limit
    self.places = places
    self.clients = clients
    self.isUnderPressure = isUnderPressure
    self.forgotten = forgotten
  }

  private enum CodingKeys: String, CodingKey {
    case family, limit, places, clients, forgotten
    case isUnderPressure = "under_pressure"
  }
}

/// A number of associations of each class (see the README, "Newcomers and residents").
public struct ClassCounts: Codable, Sendable, Equatable {
  public var newcomer: UInt64
  public var answered: UInt64
  public var resident: UInt64

  public init(newcomer: UInt64 = 0, answered: UInt64 = 0, resident: UInt64 = 0) {
    self.newcomer = newcomer
    self.answered = answered
    self.resident = resident
  }

  public var total: UInt64 { newcomer + answered + resident }
}

/// What the daemon knows to be wrong with itself.
public struct Health: Codable, Sendable, Equatable {
  /// Whether nothing is wrong: the program is attached, the interface is up, the config file and the
  /// state file are good, and a real server of each virtual server takes new clients.
  public var isGood: Bool
  /// What is wrong, a sentence each, the gravest first.
  public var problems: [String]

  public init(problems: [String]) {
    isGood = problems.isEmpty
    self.problems = problems
  }

  private enum CodingKeys: String, CodingKey {
    case isGood = "good"
    case problems
  }
}

/// A virtual server without its real servers one by one.
public struct VirtualServerSummary: Codable, Sendable, Equatable {
  /// As the API calls it: its name; the command line's is called by its address.
  public var name: String
  public var address: String
  /// UDP ports.
  public var ports: [UInt16]
  public var scheduler: String
  /// How many of its real servers are in each state.
  public var up: Int
  public var draining: Int
  public var down: Int
  public var clients: UInt64

  public init(
    name: String, address: String, ports: [UInt16], scheduler: String, up: Int, draining: Int,
    down: Int, clients: UInt64
  ) {
    self.name = name
    self.address = address
    self.ports = ports
    self.scheduler = scheduler
    self.up = up
    self.draining = draining
    self.down = down
    self.clients = clients
  }
}
