// Which addresses cannot be a real server's, though they are accepted as ulb.py accepts them.
// Asks no interface: the director's own addresses are handed in.

/// The addresses by which the director's machine is reached.
public struct DirectorAddresses: Sendable, Equatable {
  /// Those of its interfaces.
  public var own: Set<IPAddress>
  /// The broadcast addresses of its networks.
  public var broadcast: Set<IPAddress>

  public init(own: Set<IPAddress> = [], broadcast: Set<IPAddress> = []) {
    self.own = own
    self.broadcast = broadcast
  }
}

/// Why an address cannot be a real server's: what is sent there comes back to the director, goes to
/// several machines, or to none.
enum RealServerFault: Sendable, Hashable, CaseIterable {
  case virtualServer
  case anotherVirtualServer
  case unspecified
  case loopback
  case multicast
  case director
  case broadcast

  /// What is wrong with an address behind a virtual server; `nil` where nothing is.
  ///
  /// - Parameter all: the addresses of all virtual servers.
  init?(
    of address: IPAddress, behind virtualServer: IPAddress, among all: Set<IPAddress>,
    on director: DirectorAddresses
  ) {
    if address == virtualServer {
      self = .virtualServer
    } else if all.contains(address) {
      self = .anotherVirtualServer
    } else if address.isUnspecified {
      self = .unspecified
    } else if address.isLoopback {
      self = .loopback
    } else if address.isMulticast {
      self = .multicast
    } else if director.own.contains(address) {
      self = .director
    } else if address.isLimitedBroadcast || director.broadcast.contains(address) {
      self = .broadcast
    } else {
      return nil
    }
  }

  /// What the address is, as messages say it.
  var what: String {
    switch self {
    case .virtualServer: "the virtual server's own address"
    case .anotherVirtualServer: "the address of another virtual server"
    case .unspecified: "the unspecified address"
    case .loopback: "a loopback address"
    case .multicast: "a multicast address"
    case .broadcast: "a broadcast address"
    case .director: "an address of the director itself"
    }
  }
}

extension Configuration {
  /// The most real servers of a virtual server that are named one by one.
  private static let most = 8

  /// The configuration without the real servers that cannot be any: what is served.
  ///
  /// - Throws: where a virtual server has some, and none is left.
  public func served(on director: DirectorAddresses) throws(ConfigurationError) -> Configuration {
    var result = self
    let all = addresses
    for (number, server) in virtualServers.enumerated() {
      result.virtualServers[number].realServers.removeAll {
        RealServerFault(
          of: $0.address, behind: server.address, among: all, on: director) != nil
      }
      if result.virtualServers[number].realServers.isEmpty, !server.realServers.isEmpty {
        throw noRealServer(number, server.faults(among: all, on: director))
      }
    }
    return result
  }

  /// What is said of the real servers that cannot be any, of each virtual server each once, a line
  /// each; where none is left also that ulb would not start.
  public func warnings(on director: DirectorAddresses) -> [String] {
    var result = [String]()
    let all = addresses
    for server in virtualServers {
      let faults = server.faults(among: all, on: director)
      result += faults.prefix(Self.most).map {
        server.prefixed(
          "real server \($0.address) is given no client: it is \($0.fault.what); "
            + "take it off the list")
      }
      if faults.count > Self.most {
        result.append(
          server.prefixed(
            "\(grouped(faults.count - Self.most)) more real servers are given no client"))
      }
    }
    do throws(ConfigurationError) {
      _ = try served(on: director)
    } catch {
      result.append("a start would be refused: \(error.message)")
    }
    return result
  }

  private var addresses: Set<IPAddress> {
    Set(virtualServers.map(\.address).filter { !$0.isUnspecified })
  }

  private func noRealServer(
    _ number: Int, _ faults: [VirtualServer.Fault]
  ) -> ConfigurationError {
    let reasons = faults.prefix(Self.most).map { "\($0.address) is \($0.fault.what)" }
      .joined(separator: ", ")
    let more = faults.count > Self.most ? ", and so on" : ""
    let server = virtualServers[number]
    let mend =
      server.name == nil
      ? "See options -vs and \(configFile == nil ? "-rs" : "-cfg")."
      : "List one that can."
    return ConfigurationError(
      message: server.prefixed("no real server can be given a client: \(reasons)\(more). \(mend)"),
      element: .realServer(virtualServer: number, index: 0))
  }
}

extension VirtualServer {
  fileprivate typealias Fault = (address: IPAddress, fault: RealServerFault)

  /// Its real servers that cannot be any, each address once, in the order of the list.
  fileprivate func faults(
    among all: Set<IPAddress>, on director: DirectorAddresses
  ) -> [Fault] {
    var seen = Set<IPAddress>()
    return realServers.compactMap { server in
      guard
        let fault = RealServerFault(
          of: server.address, behind: address, among: all, on: director),
        seen.insert(server.address).inserted
      else { return nil }
      return (server.address, fault)
    }
  }

  /// A message that is about it: of the command line's as it is, else with its name in front.
  func prefixed(_ message: String) -> String {
    name.map { "virtual server \($0): \(message)" } ?? message
  }
}
