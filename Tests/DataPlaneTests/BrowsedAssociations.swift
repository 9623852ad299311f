// Association tables of both families with a plan that gives them a meaning, without a program.
import LoadBalancing

@testable import DataPlane

/// Three virtual servers and their clients.
struct BrowsedAssociations {
  /// Labels of the virtual servers; the second is a name that JSON has to escape.
  static let (first, second, third) = ("10.40.0.1", "a \"name\"\\", "six")
  static let now = Timestamp(seconds: 1_800_000_000)

  let service = ServiceInForce()
  let tables: [AddressFamily: SharedAssociations]
  private(set) var plan = ServicePlan()
  let configuration: Configuration
  var browser: AssociationBrowser {
    AssociationBrowser(service, clock: { BrowsedAssociations.now })
  }

  init(
    maxAssociations: UInt32 = 1_000, _ families: [AddressFamily] = [.ipv4, .ipv6],
    hasClasses: Bool = false
  ) throws {
    func server(_ name: String, _ address: String, _ realServers: [String]) -> VirtualServer {
      VirtualServer(
        name: name, address: IPAddress(address)!, ports: [5684],
        realServers: realServers.map { RealServer(IPAddress($0)!) })
    }
    var configuration = Configuration(
      interface: "eth0", virtualServer: IPAddress(Self.first)!,
      realServers: ["10.41.0.1", "10.41.0.2", "10.41.0.3"].map { IPAddress($0)! }, ports: [5683])
    configuration.virtualServers += [
      server(Self.second, "10.40.0.2", ["10.41.0.1", "10.41.0.4"]),
      server(Self.third, "fd60::1", ["fd70::1", "fd70::2"]),
    ].filter { families.contains($0.family) }
    self.configuration = configuration
    var tables: [AddressFamily: SharedAssociations] = [:]
    for family in families {
      tables[family] = try SharedAssociations(
        family, maxAssociations: maxAssociations, hasClasses: hasClasses)
    }
    self.tables = tables
    try put(configuration)
  }

  /// Puts another configuration in force.
  mutating func put(_ configuration: Configuration) throws {
    _ = try plan.apply(configuration, mayGrow: true)
    service.publish(plan, tables.mapValues(\.table))
  }

  private func number(_ label: String) -> UInt8 {
    plan.served.first { $0.virtualServer.label == label }!.number
  }

  func association(
    _ client: String, _ label: String, _ realServer: String, _ clientClass: ClientClass = .newcomer,
    age: UInt8 = 0
  ) -> ListedAssociation {
    ListedAssociation(
      client: Client(client)!, virtualServer: label, realServer: IPAddress(realServer)!,
      clientClass: clientClass, age: age, lastUse: nil)
  }

  /// As ``association(_:_:_:age:)``, by the client's number.
  func association(_ number: Int, _ label: String, _ realServer: String, age: UInt8 = 0)
    -> ListedAssociation
  {
    let isIPv4 = IPAddress(realServer)!.family == .ipv4
    let (high, low) = (number / 100, number % 100)
    return association(
      isIPv4 ? "10.50.\(high).\(low):40000" : "[fd50::\(high):\(low)]:40000", label, realServer,
      age: age)
  }

  /// Some of each virtual server and each real server, of all ages.
  func many(_ count: Int) -> [ListedAssociation] {
    (0..<count).map { number in
      let (label, realServer) =
        [
          (Self.first, "10.41.0.1"), (Self.first, "10.41.0.2"), (Self.second, "10.41.0.1"),
          (Self.third, "fd70::1"), (Self.second, "10.41.0.4"), (Self.third, "fd70::2"),
        ][number % 6]
      return association(number, label, realServer, age: UInt8(number * 37 % 129))
    }
  }

  func insert(_ associations: [ListedAssociation]) {
    for (family, tables) in tables {
      func insert<Key: ClientKey>(_ type: Key.Type) {
        tables.insert(
          associations.filter { $0.client.address.family == family }.map { association in
            let number = number(association.virtualServer)
            return Entry<Key>(
              client: Key(association.client), virtualServer: number,
              slot: plan.slot(of: association.realServer, number, family)!,
              rank: tables.table.ranking.rank(association.clientClass, age: association.age))
          }.sorted { $0.rank < $1.rank })
      }
      switch family {
      case .ipv4: insert(IPv4ClientKey.self)
      case .ipv6: insert(IPv6ClientKey.self)
      }
    }
  }

  /// All that a filter lets through, page by page.
  ///
  /// - Parameter between: called after each page.
  func pages(
    _ filter: AssociationFilter, _ order: AssociationBrowser.Order, limit: Int,
    between: () -> Void = {}
  ) -> [[ListedAssociation]] {
    var pages: [[ListedAssociation]] = []
    var cursor: AssociationCursor?
    repeat {
      let (page, next) = browser.page(filter, order: order, limit: limit, after: cursor)
      pages.append(page)
      // As a client of the API hands it back.
      cursor = next.flatMap { AssociationCursor($0.description) }
      between()
    } while cursor != nil && pages.count < 10_000
    return pages
  }
}

extension ListedAssociation {
  /// Without what depends on when it is asked for.
  var lasting: ListedAssociation {
    ListedAssociation(
      client: client, virtualServer: virtualServer, realServer: realServer,
      clientClass: clientClass, age: 0, lastUse: nil)
  }
}
