// Everything an operator can set, and the rules for what fits together.
// Knows neither where it was read nor who applies it.

/// How the program is attached to the interface.
public enum AttachMode: String, Sendable, CaseIterable {
  /// Native where the driver has it, else generic.
  case auto
  /// In the driver (XDP_FLAGS_DRV_MODE).
  case native
  /// In the kernel's stack, for drivers without XDP (XDP_FLAGS_SKB_MODE).
  case generic
}

/// How a line of the log looks.
public enum LogFormat: String, Sendable, CaseIterable {
  /// ulb.py's lines.
  case text
  /// One JSON object a line.
  case json
}

/// The kernel headers that libbcc compiles against.
public enum KernelHeaders: Sendable, Hashable {
  /// The small tree that ulb carries.
  case own
  /// Those of the running kernel's package, found by libbcc.
  case system
  /// Those in a directory.
  case directory(String)
}

/// Where the daemon is asked and told things.
public enum ControlSocket: Sendable, Hashable {
  /// Where a client looks for it by the interface's name.
  case ofInterface
  case path(String)
  case nowhere
}

/// What a running daemon can change without a restart: settings of the config file that stand over
/// the command line's. `nil`: not set there.
public struct LiveSettings: Sendable, Hashable {
  public var logLevel: LogLevel?
  /// libbcc's debug flag word, 0…4.
  public var debug: Int?
  /// UDP ports in host order, at least one if set: of the command line's virtual server.
  public var ports: [UInt16]?
  /// Of the command line's virtual server.
  public var scheduler: Scheduler?
  public var verifiesGateway: Bool?

  public init(
    logLevel: LogLevel? = nil, debug: Int? = nil, ports: [UInt16]? = nil,
    scheduler: Scheduler? = nil, verifiesGateway: Bool? = nil
  ) {
    self.logLevel = logLevel
    self.debug = debug
    self.ports = ports
    self.scheduler = scheduler
    self.verifiesGateway = verifiesGateway
  }
}

/// A configuration of the daemon: the command line and the content of the config file. What is set
/// here is the default.
public struct Configuration: Sendable, Equatable {
  /// Name of the network interface (`eth0`).
  public var interface: String
  /// The command line's, then the config file's in their order; never empty.
  public var virtualServers: [VirtualServer]
  /// Path of the config file as given, if the real servers come from one.
  public var configFile: String?
  /// libbcc's debug flag word, 0…4.
  public var debug = 0
  public var logLevel = LogLevel.error
  public var maxPorts: UInt32 = 16
  public var maxRealServers: UInt32 = 32
  public var maxAssociations: UInt32 = 1_048_576
  /// How long after it was answered a client has to send again to be a resident, in seconds, 0…15. 0:
  /// there are no classes.
  public var probation = 1
  /// Which clients are denied.
  public var lists = ClientLists()
  /// Whether packets of real servers are believed from the next hop on the way to them alone.
  public var verifiesGateway = false
  public var mode = AttachMode.auto
  /// Take the interface over from another XDP program.
  public var replace = false
  public var logFormat = LogFormat.text
  public var kernelHeaders = KernelHeaders.own
  /// Where the associations are saved, `nil` for nowhere.
  public var stateFile: String?
  /// Seconds between two saves, 1…86400.
  public var stateInterval = 60
  /// Seconds to wait for an interface that went away to come back, 0…86400.
  public var interfaceWait = 5
  public var control = ControlSocket.ofInterface
  /// The group whose members may use the control socket; `nil` for that of the process.
  public var controlGroup: String?
  /// What the config file's section [ulb] sets over the values above.
  public var liveSettings = LiveSettings()
  /// What the control socket has set over all that.
  public var overrides = Overrides()

  /// The defaults but for what has none.
  ///
  /// - Parameter adjust: sets what else is to differ from the defaults.
  public init(
    interface: String, virtualServer: IPAddress, realServers: [IPAddress], ports: [UInt16],
    adjust: (inout Configuration) -> Void = { _ in }
  ) {
    self.interface = interface
    virtualServers = [
      VirtualServer(
        address: virtualServer, ports: ports, realServers: realServers.map { RealServer($0) })
    ]
    adjust(&self)
  }

  /// Whether its association tables have classes: not where one is a single bucket.
  public var hasClasses: Bool { probation > 0 && maxAssociations > 7 }

  // MARK: The command line's virtual server

  /// Its address.
  public var virtualServer: IPAddress {
    get { virtualServers[0].address }
    set { virtualServers[0].address = newValue }
  }

  /// The addresses of its real servers. To set them forgets weights and states.
  public var realServers: [IPAddress] {
    get { virtualServers[0].realServers.map(\.address) }
    set { virtualServers[0].realServers = newValue.map { RealServer($0) } }
  }

  /// Its balanced UDP ports in host order, as the operator wrote them. 0 is none.
  public var ports: [UInt16] {
    get { virtualServers[0].ports }
    set { virtualServers[0].ports = newValue }
  }

  /// Its family.
  public var family: AddressFamily { virtualServer.family }

  // MARK: What is in force

  /// The configuration with ``liveSettings`` put in: what the command line and the config file say.
  public var configured: Configuration {
    var result = self
    if let ports = liveSettings.ports { result.ports = ports }
    if let debug = liveSettings.debug { result.debug = debug }
    if let logLevel = liveSettings.logLevel { result.logLevel = logLevel }
    if let scheduler = liveSettings.scheduler { result.virtualServers[0].scheduler = scheduler }
    if let verifies = liveSettings.verifiesGateway { result.verifiesGateway = verifies }
    return result
  }

  /// The configuration with ``liveSettings`` and ``overrides`` put in: what the program is rendered
  /// from. It keeps both, so that asking twice changes nothing.
  public var effective: Configuration {
    var result = configured
    result.virtualServers = overrides.applied(to: result.virtualServers)
    return result
  }

  /// Whether another program is to be compiled to go from `other` to this configuration while the
  /// daemon runs: where anything of the virtual servers differs but who their real servers are, with
  /// what weight and in what state; or of the lists of clients but what they list; or whether gateways are
  /// verified.
  public func isRendered(differentlyFrom other: Configuration) -> Bool {
    debug != other.debug || logLevel != other.logLevel
      || lists.isCompiled(differentlyFrom: other.lists)
      || verifiesGateway != other.verifiesGateway
      || virtualServers.count != other.virtualServers.count
      || zip(virtualServers, other.virtualServers).contains { $0.isCompiled(differentlyFrom: $1) }
  }
}
