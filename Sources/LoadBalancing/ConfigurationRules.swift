// The rules for what fits together in a configuration. Knows neither where it was read nor who
// applies it: whoever read it finds the line by the element that an error names.

/// Values that do not fit together. `message` is one line with the value and the mend.
public struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
  /// A virtual server by its index among ``Configuration/virtualServers``, or an element of one of
  /// its lists.
  public enum Element: Sendable, Hashable {
    case virtualServer(Int)
    case realServer(virtualServer: Int, index: Int)
    case port(virtualServer: Int, index: Int)
  }

  public let message: String
  /// What does not fit, where it is one element.
  public let element: Element?
  public var description: String { message }

  init(message: String, element: Element? = nil) {
    self.message = message
    self.element = element
  }

  /// A number that is no port, of the command line's virtual server.
  ///
  /// - Parameter text: the number as the operator wrote it.
  public static func noPort(_ text: String, index: Int) -> ConfigurationError {
    ConfigurationError(
      message: "port out of range, \(text) is not in 1 to 65535. See option -p.",
      element: .port(virtualServer: 0, index: index))
  }
}

extension Configuration {
  /// Checks what no single value shows: the counts against the maxima, the families, the ports, and
  /// what virtual servers have in common. Does so with ``configured``, and with the ports of the
  /// command line that it may hide.
  public func validate() throws(ConfigurationError) {
    try validateFirst(ports: ports)
    try validateFirst(ports: configured.ports)
    try configured.validateAll()
  }

  /// The command line's virtual server and the maxima.
  private func validateFirst(ports: [UInt16]) throws(ConfigurationError) {
    if ports.count > maxPorts {
      throw ConfigurationError(
        message: "too many ports, \(ports.count) ports configured, \(maxPorts) maximum allowed. "
          + "See option -mp.")
    }
    if realServers.count > maxRealServers {
      throw ConfigurationError(
        message: "too many real servers, \(realServers.count) real servers configured, "
          + "\(maxRealServers) maximum allowed. See option -mrs.",
        element: .realServer(virtualServer: 0, index: Int(maxRealServers)))
    }
    if let index = realServers.firstIndex(where: { $0.family != family }) {
      let stranger = realServers[index]
      throw ConfigurationError(
        message: "Real server ip \(stranger) seems to be \(stranger.family) address. "
          + "\(family) is expected, as the virtual server is \(virtualServer). "
          + "See options -vs and \(configFile == nil ? "-rs" : "-cfg").",
        element: .realServer(virtualServer: 0, index: index))
    }
    if let index = ports.firstIndex(of: 0) { throw .noPort("0", index: index) }
    let maxima = [("-mp", maxPorts), ("-mrs", maxRealServers), ("-ma", maxAssociations)]
    if let (option, _) = maxima.first(where: { $0.1 == 0 }) {
      throw ConfigurationError(
        message: "a maximum must be at least 1, 0 given. See option \(option).")
    }
    if maxRealServers > SlotPlan.mostSlots {
      throw ConfigurationError(
        message: "a maximum of real servers must be at most \(SlotPlan.mostSlots), "
          + "\(maxRealServers) given, as an association has 16 bits for its real server. "
          + "See option -mrs.")
    }
  }

  private func validateAll() throws(ConfigurationError) {
    if lists.isStrict, !lists.isAny {
      throw ConfigurationError(
        message: "a list of clients is to be asked for every packet, and there is none. "
          + "Add option --allow or --deny, or leave --strict out.")
    }
    guard virtualServers.count <= VirtualServer.most else {
      throw ConfigurationError(
        message: "too many virtual servers, \(grouped(virtualServers.count)) virtual servers "
          + "configured, \(VirtualServer.most) maximum allowed, the command line's among them. "
          + "Remove some.",
        element: .virtualServer(VirtualServer.most))
    }
    try validateNames()
    for index in virtualServers.indices {
      if index > 0 { try validateNamed(index) }
      try validateWeights(index)
    }
    try validateAddressesAndPorts()
    try validateSharedRealServers()
    try validateRealServersInAll()
  }

  private func validateNames() throws(ConfigurationError) {
    var owners = [String: Int]()
    for (index, server) in virtualServers.enumerated().dropFirst() {
      let name = server.name ?? ""
      func wrong(_ reason: String) -> ConfigurationError {
        ConfigurationError(message: reason, element: .virtualServer(index))
      }
      if name.isEmpty { throw wrong("a virtual server has no name. Give it one.") }
      let shown = "\"\(name.shortened(atMost: 80).withEscapedControls)\""
      let length = name.utf8.count
      if length > VirtualServer.longestName {
        throw wrong(
          "the name \(shown) of a virtual server is too long, it has \(grouped(length)) octets, "
            + "\(VirtualServer.longestName) maximum allowed. Give it a shorter one.")
      }
      if name.unicodeScalars.contains(where: \.isControl) {
        throw wrong(
          "the name \(shown) of a virtual server has a control character. Give it another one.")
      }
      if owners.updateValue(index, forKey: name) != nil {
        throw wrong("virtual server \(name) is there twice. Give one of them another name.")
      }
    }
  }

  /// What holds for a virtual server of the config file alone.
  private func validateNamed(_ number: Int) throws(ConfigurationError) {
    let server = virtualServers[number]
    func wrong(
      _ reason: String, _ element: ConfigurationError.Element? = nil
    ) -> ConfigurationError {
      ConfigurationError(
        message: server.prefixed(reason),
        element: element ?? .virtualServer(number))
    }
    let (family, ports, realServers) = (server.family, server.ports, server.realServers)
    if server.address.isUnspecified {
      throw wrong(
        "\(server.address) is the unspecified address, which no client can send to. "
          + "Give it another one.")
    }
    if ports.isEmpty { throw wrong("it has no port. Give it one or more.") }
    if ports.count > maxPorts {
      throw wrong(
        "too many ports, \(ports.count) ports configured, \(maxPorts) maximum allowed. "
          + "See option -mp.", .port(virtualServer: number, index: Int(maxPorts)))
    }
    if let index = ports.firstIndex(of: 0) {
      throw wrong(
        "port out of range, 0 is not in 1 to 65535. Give it another one.",
        .port(virtualServer: number, index: index))
    }
    if realServers.isEmpty { throw wrong("it has no real server. List one or more.") }
    if realServers.count > maxRealServers {
      throw wrong(
        "too many real servers, \(realServers.count) real servers configured, "
          + "\(maxRealServers) maximum allowed. See option -mrs.",
        .realServer(virtualServer: number, index: Int(maxRealServers)))
    }
    if let index = realServers.firstIndex(where: { $0.address.family != family }) {
      let stranger = realServers[index].address
      throw wrong(
        "real server \(stranger) is an \(stranger.family) address. \(family) is expected, as the "
          + "virtual server is \(server.address). Take it off the list.",
        .realServer(virtualServer: number, index: index))
    }
  }

  private func validateWeights(_ number: Int) throws(ConfigurationError) {
    let server = virtualServers[number]
    let range = 0...RealServer.mostWeight
    guard let index = server.realServers.firstIndex(where: { !range.contains($0.weight) }) else {
      return
    }
    let heavy = server.realServers[index]
    throw ConfigurationError(
      message: server.prefixed(
        "weight out of range, \(heavy.weight) of real server \(heavy.address) is not in 0 to "
          + "\(RealServer.mostWeight). Give it another one."),
      element: .realServer(virtualServer: number, index: index))
  }

  /// A packet to an address and a port is one virtual server's.
  private func validateAddressesAndPorts() throws(ConfigurationError) {
    struct Destination: Hashable {
      let address: IPAddress
      let port: UInt16
    }
    var owners = [Destination: Int]()
    for (number, server) in virtualServers.enumerated() {
      for (index, port) in server.ports.enumerated() {
        let destination = Destination(address: server.address, port: port)
        let owner = owners[destination, default: number]
        guard owner == number else {
          throw ConfigurationError(
            message: server.prefixed(
              "port \(port) of \(server.address) is virtual server "
                + "\(virtualServers[owner].label)'s already. Give one of them another port."),
            element: .port(virtualServer: number, index: index))
        }
        owners[destination] = number
      }
    }
  }

  /// An answer's address and port tell which virtual server it is of.
  private func validateSharedRealServers() throws(ConfigurationError) {
    let ports = virtualServers.map { Set($0.ports) }
    var owners = [IPAddress: [Int]]()
    for (number, server) in virtualServers.enumerated() {
      for (index, realServer) in server.realServers.enumerated() {
        let others = owners[realServer.address, default: []]
        if others.last == number { continue }
        if let other = others.first(where: { !ports[$0].isDisjoint(with: ports[number]) }) {
          let port = ports[number].intersection(ports[other]).min() ?? 0
          throw ConfigurationError(
            message: server.prefixed(
              "real server \(realServer.address) is behind virtual server "
                + "\(virtualServers[other].label) with port \(port) too, so that its answers could "
                + "not be told apart. Take it off one list, or give one of them another port."),
            element: .realServer(virtualServer: number, index: index))
        }
        owners[realServer.address, default: []].append(number)
      }
    }
  }

  /// All of a family share the slots that an association can tell.
  private func validateRealServersInAll() throws(ConfigurationError) {
    for family in AddressFamily.allCases {
      var count = 0
      for (number, server) in virtualServers.enumerated() where server.family == family {
        count += Set(server.realServers.map(\.address)).count
        if count > SlotPlan.mostSlots {
          throw ConfigurationError(
            message:
              "too many real servers, more than \(grouped(SlotPlan.mostSlots)) of \(family) "
              + "behind all virtual servers, as an association has 16 bits for its real server. "
              + "Remove some.",
            element: .virtualServer(number))
        }
      }
    }
  }
}
