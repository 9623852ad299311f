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
  case unspecified
  case loopback
  case multicast
  case director
  case broadcast

  /// What is wrong with an address behind a virtual server; `nil` where nothing is.
  init?(of address: IPAddress, behind virtualServer: IPAddress, on director: DirectorAddresses) {
    if address == virtualServer {
      self = .virtualServer
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
    case .unspecified: "the unspecified address"
    case .loopback: "a loopback address"
    case .multicast: "a multicast address"
    case .broadcast: "a broadcast address"
    case .director: "an address of the director itself"
    }
  }
}

extension Configuration {
  /// The most real servers that are named one by one.
  private static let most = 8

  /// The configuration without the real servers that cannot be any: what is served.
  ///
  /// - Throws: where no real server is left.
  public func served(on director: DirectorAddresses) throws(ConfigurationError) -> Configuration {
    var result = self
    result.realServers.removeAll { fault($0, director) != nil }
    guard result.realServers.isEmpty, !realServers.isEmpty else { return result }
    let faults = faults(director)
    let reasons = faults.prefix(Self.most).map { "\($0.address) is \($0.fault.what)" }
      .joined(separator: ", ")
    let more = faults.count > Self.most ? ", and so on" : ""
    throw ConfigurationError(
      message: "no real server can be given a client: \(reasons)\(more). "
        + "See options -vs and \(configFile == nil ? "-rs" : "-cfg").",
      element: .realServer(index: 0))
  }

  /// What is said of the real servers that cannot be any, each once, a line each; where none is
  /// left also that ulb would not start.
  public func warnings(on director: DirectorAddresses) -> [String] {
    let faults = faults(director)
    var result = faults.prefix(Self.most).map {
      "real server \($0.address) is given no client: it is \($0.fault.what); take it off the list"
    }
    if faults.count > Self.most {
      result.append("\(grouped(faults.count - Self.most)) more real servers are given no client")
    }
    do throws(ConfigurationError) {
      _ = try served(on: director)
    } catch {
      result.append("a start would be refused: \(error.message)")
    }
    return result
  }

  private func fault(_ address: IPAddress, _ director: DirectorAddresses) -> RealServerFault? {
    RealServerFault(of: address, behind: virtualServer, on: director)
  }

  /// Each address once, in the order of the list.
  private func faults(
    _ director: DirectorAddresses
  ) -> [(address: IPAddress, fault: RealServerFault)] {
    var seen = Set<IPAddress>()
    return realServers.compactMap { address in
      guard let fault = fault(address, director), seen.insert(address).inserted else { return nil }
      return (address, fault)
    }
  }
}
