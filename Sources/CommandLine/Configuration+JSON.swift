// What --check prints of a configuration.
import LoadBalancing

extension Configuration {
  /// One JSON object on one line with what ``effective`` sets of ulb.py's options, by their names.
  /// What ulb.py does not know stands there only where it is not the default: how the command line's
  /// virtual server chooses, what is set of its real servers, the further virtual servers, the lists
  /// of clients, and whether gateways are verified.
  public func json() -> String { JSONLine.text(Checked(effective)) }
}

private struct Checked: Encodable {
  let configuration: Configuration

  init(_ configuration: Configuration) { self.configuration = configuration }

  private enum Key: String, CodingKey {
    case interface = "ifnet"
    case virtualServer = "virtual_server"
    case realServers = "real_servers"
    case configFile = "config_file"
    case ports
    case debug
    case logLevel = "loglevel"
    case maxPorts = "max_ports"
    case maxRealServers = "max_realservers"
    case maxAssociations = "max_associations"
    case scheduler
    case realServerSettings = "real_server_settings"
    case virtualServers = "virtual_servers"
    case allow, deny, strict
    case verifiesGateway = "verify_gateway"
  }

  func encode(to encoder: any Encoder) throws {
    var keys = encoder.container(keyedBy: Key.self)
    try keys.encode(configuration.interface, forKey: .interface)
    try keys.encode(configuration.virtualServer.description, forKey: .virtualServer)
    try keys.encode(configuration.realServers.map(\.description), forKey: .realServers)
    try keys.encode(configuration.configFile, forKey: .configFile)
    try keys.encode(configuration.ports, forKey: .ports)
    try keys.encode(configuration.debug, forKey: .debug)
    try keys.encode(configuration.logLevel.name, forKey: .logLevel)
    try keys.encode(configuration.maxPorts, forKey: .maxPorts)
    try keys.encode(configuration.maxRealServers, forKey: .maxRealServers)
    try keys.encode(configuration.maxAssociations, forKey: .maxAssociations)
    let own = configuration.virtualServers[0]
    if own.scheduler != .roundRobin {
      try keys.encode(own.scheduler.rawValue, forKey: .scheduler)
    }
    if own.realServers.contains(where: { $0 != RealServer($0.address) }) {
      try keys.encode(own.realServers.map(CheckedRealServer.init), forKey: .realServerSettings)
    }
    let further = configuration.virtualServers.dropFirst()
    if !further.isEmpty {
      try keys.encode(further.map(CheckedVirtualServer.init), forKey: .virtualServers)
    }
    let lists = configuration.lists
    if let list = lists.allowed { try keys.encode(CheckedList(list), forKey: .allow) }
    if let list = lists.denied { try keys.encode(CheckedList(list), forKey: .deny) }
    if lists.isStrict { try keys.encode(true, forKey: .strict) }
    if configuration.verifiesGateway { try keys.encode(true, forKey: .verifiesGateway) }
  }
}

private struct CheckedList: Encodable {
  let file: String
  /// How many.
  let networks: Int

  init(_ list: NetworkList) { (file, networks) = (list.file, list.networks.count) }
}

private struct CheckedVirtualServer: Encodable {
  let name: String?
  let address: String
  let ports: [UInt16]
  let scheduler: String
  let realServers: [CheckedRealServer]

  init(_ server: VirtualServer) {
    name = server.name
    address = server.address.description
    ports = server.ports
    scheduler = server.scheduler.rawValue
    realServers = server.realServers.map(CheckedRealServer.init)
  }

  private enum CodingKeys: String, CodingKey {
    case name, address, ports, scheduler
    case realServers = "real_servers"
  }
}

private struct CheckedRealServer: Encodable {
  let address: String
  let weight: Int
  let state: String

  init(_ server: RealServer) {
    address = server.address.description
    weight = server.weight
    state = server.state.rawValue
  }
}
