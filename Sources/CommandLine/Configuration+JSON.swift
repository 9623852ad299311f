// What --check prints of a configuration.
import LoadBalancing

extension Configuration {
  /// One JSON object on one line with what ``effective`` sets of ulb.py's options, by their names.
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
  }
}
