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

/// Values that do not fit together. `message` is one line with the value and the mend.
public struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
  /// An element of one of the lists.
  public enum Element: Sendable, Hashable {
    case realServer(index: Int)
    case port(index: Int)
  }

  public let message: String
  /// What does not fit, where it is one element.
  public let element: Element?
  public var description: String { message }

  init(message: String, element: Element? = nil) {
    self.message = message
    self.element = element
  }

  /// A number that is no port.
  ///
  /// - Parameter text: the number as the operator wrote it.
  public static func noPort(_ text: String, index: Int) -> ConfigurationError {
    ConfigurationError(
      message: "port out of range, \(text) is not in 1 to 65535. See option -p.",
      element: .port(index: index))
  }
}

/// What a running daemon can change without a restart: settings of the config file that stand over
/// the command line's. `nil`: not set there.
public struct LiveSettings: Sendable, Hashable {
  public var logLevel: LogLevel?
  /// libbcc's debug flag word, 0…4.
  public var debug: Int?
  /// UDP ports in host order, at least one if set.
  public var ports: [UInt16]?

  public init(logLevel: LogLevel? = nil, debug: Int? = nil, ports: [UInt16]? = nil) {
    self.logLevel = logLevel
    self.debug = debug
    self.ports = ports
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
  /// What the config file's section [ulb] sets over the values above.
  public var liveSettings = LiveSettings()

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

  /// The family of the virtual server.
  public var family: AddressFamily { virtualServer.family }

  /// The configuration with ``liveSettings`` put in: what the program is rendered from. It keeps
  /// ``liveSettings``, so that asking twice changes nothing.
  public var effective: Configuration {
    var result = self
    if let ports = liveSettings.ports { result.ports = ports }
    if let debug = liveSettings.debug { result.debug = debug }
    if let logLevel = liveSettings.logLevel { result.logLevel = logLevel }
    return result
  }

  /// Whether another program is to be compiled to go from `other` to this configuration while the
  /// daemon runs.
  public func isRendered(differentlyFrom other: Configuration) -> Bool {
    ports != other.ports || debug != other.debug || logLevel != other.logLevel
  }

  /// Checks what no single value shows: the counts against the maxima, the families, the ports.
  /// Does so with the command line's own values and with ``effective``.
  public func validate() throws(ConfigurationError) {
    try validate(ports: ports)
    try validate(ports: effective.ports)
  }

  private func validate(ports: [UInt16]) throws(ConfigurationError) {
    if ports.count > maxPorts {
      throw ConfigurationError(
        message: "too many ports, \(ports.count) ports configured, \(maxPorts) maximum allowed. "
          + "See option -mp.")
    }
    if realServers.count > maxRealServers {
      throw ConfigurationError(
        message: "too many real servers, \(realServers.count) real servers configured, "
          + "\(maxRealServers) maximum allowed. See option -mrs.",
        element: .realServer(index: Int(maxRealServers)))
    }
    if let index = realServers.firstIndex(where: { $0.family != family }) {
      let stranger = realServers[index]
      throw ConfigurationError(
        message: "Real server ip \(stranger) seems to be \(stranger.family) address. "
          + "\(family) is expected, as the virtual server is \(virtualServer). "
          + "See options -vs and \(configFile == nil ? "-rs" : "-cfg").",
        element: .realServer(index: index))
    }
    if let index = ports.firstIndex(of: 0) { throw .noPort("0", index: index) }
    let maxima = [("-mp", maxPorts), ("-mrs", maxRealServers), ("-ma", maxAssociations)]
    if let (option, _) = maxima.first(where: { $0.1 == 0 }) {
      throw ConfigurationError(
        message: "a maximum must be at least 1, 0 given. See option \(option).")
    }
    if maxRealServers > ServerPlan.mostSlots {
      throw ConfigurationError(
        message: "a maximum of real servers must be at most \(ServerPlan.mostSlots), "
          + "\(maxRealServers) given, as an association has 16 bits for its real server. "
          + "See option -mrs.")
    }
  }
}
