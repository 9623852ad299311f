// Which associations are asked for, and which slots of a plan these lead to.
import LoadBalancing

/// Whose associations are meant: those for which all of it is true.
public struct AssociationFilter: Sendable, Hashable {
  public var client: Client?
  /// That the client's address is of.
  public var network: IPNetwork?
  /// By its label.
  public var virtualServer: String?
  public var realServer: IPAddress?
  /// What the client has shown of itself; in a table without classes all are newcomers.
  public var clientClass: ClientClass?

  public init(
    client: Client? = nil, network: IPNetwork? = nil, virtualServer: String? = nil,
    realServer: IPAddress? = nil, clientClass: ClientClass? = nil
  ) {
    self.client = client
    self.network = network
    self.virtualServer = virtualServer
    self.realServer = realServer
    self.clientClass = clientClass
  }

  /// Whether nothing is asked for, so that all are meant.
  public var isEmpty: Bool { self == AssociationFilter() }

  func matches(_ client: Client) -> Bool {
    (self.client.map { $0 == client } ?? true) && (network?.contains(client.address) ?? true)
  }

  /// - Parameter rank: by this ranking.
  func matches(rank: UInt8, _ ranking: Ranking) -> Bool {
    clientClass.map { $0 == ranking.clientClass(rank) } ?? true
  }

  /// The slots of a family that the associations lead to, as owned by their virtual servers; `nil`
  /// where none of them can be of this family.
  func slots(of family: AddressFamily, _ plan: ServicePlan) -> SlotOwners? {
    let families = [client?.address.family, network?.family, realServer?.family]
    guard families.allSatisfy({ $0 == nil || $0 == family }) else { return nil }
    var wanted = Set(plan.served.filter { $0.virtualServer.family == family }.map(\.number))
    if let virtualServer {
      // Where a name is another one's address, the first is meant.
      let first = plan.served.first { $0.virtualServer.label == virtualServer }?.number
      wanted = wanted.filter { $0 == first }
    }
    guard !wanted.isEmpty else { return nil }
    return SlotOwners(
      plan.slots(of: family).map { slot in
        guard let member = slot?.member, wanted.contains(member.virtualServer),
          realServer == nil || realServer == member.address
        else { return nil }
        return member.virtualServer
      })
  }
}
