// The network of scripts/topology, one of its own for each test: client, gateway, director, real servers.
import Foundation
import LoadBalancing
import Synchronization

/// A network that is removed when nobody holds it any more.
public final class Topology: Sendable {
  public let client: NetworkNamespace
  public let gateway: NetworkNamespace
  /// The only director, or the first of a fleet.
  public var director: NetworkNamespace { directors[0] }
  public let directors: [NetworkNamespace]
  /// The machine for Redis of a fleet.
  public let redis: NetworkNamespace
  public let realServers: [NetworkNamespace]
  private let prefix: String
  private let removed = Mutex(false)
  private let clientPorts = Atomic<UInt16>(10_000)

  private static let script = Package.path("scripts/topology")
  private static let count = Atomic<Int>(0)

  /// What tests left behind that did not live to clean up. Their process's id is in the name.
  private static let removeStaleNetworks: Void = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
    for match in names.compactMap({ $0.wholeMatch(of: /(ulbtest([0-9]+)x[0-9]+)-gw/) }) {
      if kill(pid_t(match.2)!, 0) < 0 && errno == ESRCH {
        _ = try? runSuccessfully([script, "down", String(match.1)])
      }
    }
  }()

  /// - Parameter directors: of a fleet, whose directors have no virtual server's address yet; `nil` for
  ///   the one director that has.
  public init(realServers count: Int = 3, directors: Int? = nil) throws {
    Self.removeStaleNetworks
    let number = Self.count.add(1, ordering: .relaxed).newValue
    prefix = "ulbtest\(getpid())x\(number)"
    let build = directors.map { ["fleet", String($0)] } ?? ["up"]
    try runSuccessfully([Self.script] + build + [String(count), prefix])
    client = NetworkNamespace(named: prefix + "-client")
    gateway = NetworkNamespace(named: prefix + "-gw")
    let prefix = prefix
    self.directors =
      directors.map { count in
        (1...count).map { NetworkNamespace(named: "\(prefix)-lb\($0)") }
      } ?? [NetworkNamespace(named: prefix + "-lb")]
    redis = NetworkNamespace(named: prefix + "-redis")
    realServers = (0..<count).map { NetworkNamespace(named: "\(prefix)-srv\($0 + 1)") }
  }

  /// A port that no client of this network has had: associations outlive the client's socket, and
  /// the kernel gives ports again.
  public func unusedClientPort() -> UInt16 {
    clientPorts.add(1, ordering: .relaxed).newValue
  }

  deinit { remove() }

  public func remove() {
    let isFirst = removed.withLock { removed in
      defer { removed = true }
      return !removed
    }
    if isFirst { _ = try? runSuccessfully([Self.script, "down", prefix]) }
  }

  /// Makes the director's wire anew, after its interface was removed.
  public func connectDirector() throws {
    try runSuccessfully([Self.script, "connect", prefix])
  }

  /// The director's interface: the one that ulb gets.
  public var directorInterface: Interface { Interface("lb0", in: director) }

  /// The gateway's end of the director's wire.
  public var gatewayInterface: Interface { Interface("gwl", in: gateway) }

  /// Gives the director's interface a further virtual server's address.
  public func addDirectorAddress(_ address: String) throws {
    let suffix = Endpoint(address, 0).family == .ipv4 ? ["/32"] : ["/128", "nodad"]
    try runSuccessfully(
      ["ip", "-n", director.name, "address", "add", address + suffix[0], "dev", "lb0"]
        + suffix.dropFirst())
  }

  public static func clientAddress(_ family: AddressFamily) -> String {
    address("client", family)
  }

  /// The own address of a director of a fleet; the first has the number 0.
  public static func fleetDirectorAddress(_ number: Int, _ family: AddressFamily) -> String {
    address("fleet_director", family).replacing("N", with: String(number + 1))
  }

  /// Where Redis listens that a fleet shares.
  public static func redisAddress(_ family: AddressFamily) -> String { address("redis", family) }

  /// The director's own address, which is not the virtual server's.
  public static func directorAddress(_ family: AddressFamily) -> String {
    address("director", family)
  }

  /// Where the director's network leads to.
  public static func directorGateway(_ family: AddressFamily) -> String {
    address("director_gateway", family)
  }

  /// The virtual server's address, which the director's kernel has too.
  public static func virtualServer(_ family: AddressFamily) -> String {
    address("virtual_server", family)
  }

  /// A further virtual server's address; 0 is the first virtual server's. The director's kernel has
  /// those alone that it is given.
  public static func virtualServer(_ number: Int, _ family: AddressFamily) -> String {
    precondition(number < 90, "no such address of the director's network: \(number)")
    let first = virtualServer(family)
    // ...10 in decimal and in hexadecimal.
    return first.dropLast(2) + String(10 + number)
  }

  /// A real server's address; the first has the number 0.
  public static func realServer(_ number: Int, _ family: AddressFamily) -> String {
    address("real_server", family).replacing("N", with: String(number + 1))
  }

  /// Gives an interface of a namespace the addresses and routes of the director's.
  public static func setUpDirector(in namespace: NetworkNamespace, interface: String) throws {
    try runSuccessfully([script, "director", namespace.name, interface])
  }

  private static func address(_ name: String, _ family: AddressFamily) -> String {
    guard let address = addresses["\(name)_\(family)"] else {
      preconditionFailure("scripts/addresses has no \(name)_\(family)")
    }
    return address
  }

  private static let addresses: [String: String] = {
    let path = Package.path("scripts/addresses")
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      preconditionFailure("no \(path)")
    }
    let pairs = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
      .map { $0.split(separator: "=", maxSplits: 1) }
    return Dictionary(uniqueKeysWithValues: pairs.map { (String($0[0]), String($0[1])) })
  }()
}
