// What is in force and what is counted, for threads that are not the daemon's loop.
import LoadBalancing

/// Which real server of which virtual server: its slot, by which the packet path knows it.
public struct RealServerSlot: Hashable, Sendable {
  let family: AddressFamily
  let number: UInt16
}

/// What a data plane has in force, as it was when this was made, and the tables that its packets count
/// in, as they are: each call reads them anew.
///
/// May be asked by any thread at any time, and is cheap to make: make another after each change. It
/// keeps the tables as long as it is there, even where others have taken their place since: then they
/// tell nothing new. Where a change since has given a real server's slot to another, the slot's counts
/// are the other's.
public struct DataPlaneSnapshot: Sendable {
  /// What is in force, exactly.
  public let configuration: Configuration
  /// What the slots of the tables mean.
  let plan: ServicePlan
  let associations: [AddressFamily: AssociationTable]
  private let counters: Counters

  init(_ configuration: Configuration, _ service: Service) {
    self.configuration = configuration
    (plan, associations) = (service.plan, service.associations)
    counters = service.counters
  }

  /// The families that there is a virtual server of, IPv4 first.
  public var families: [AddressFamily] { plan.families }

  // MARK: Counters

  /// When counting began: with the first program of which the tables were handed on from one to the
  /// next.
  public var countingSince: Timestamp { counters.since }

  /// Frames on which so was decided.
  public func count(of event: Event) -> TrafficCount { counters.counts(of: [event])[event]! }

  /// Of all events of the packet table.
  public func eventCounts() -> [Event: TrafficCount] { counters.counts(of: Event.allCases) }

  /// Events of packets that the daemon did not take in time.
  public var eventsLost: UInt64 { counters.eventsLost }

  /// What became of a family's associations.
  public func associationCounts(of family: AddressFamily) -> AssociationCounts {
    counters.associations(of: family)
  }

  // MARK: Real servers

  /// Where a real server is counted; `nil` for one that the virtual server does not have, and for a
  /// virtual server that no program knows, as it has no address.
  ///
  /// - Parameter index: that of the virtual server in ``configuration``.
  public func slot(of realServer: IPAddress, ofVirtualServer index: Int) -> RealServerSlot? {
    let virtualServer = configuration.virtualServers[index]
    guard let number = plan.number(of: virtualServer) else { return nil }
    return plan.slot(of: realServer, number, virtualServer.family)
      .map { RealServerSlot(family: virtualServer.family, number: $0) }
  }

  /// What a real server was for the clients of its virtual server.
  public func counts(of slot: RealServerSlot) -> RealServerCounts {
    counters.realServer(slot.number, slot.family)
  }

  // MARK: Clients

  /// How many associations there is room for in a family's table.
  public func places(of family: AddressFamily) -> Int { associations[family]?.placeCount ?? 0 }

  /// Whether newcomers of a family have to go shortly after they came, so that new clients are given real
  /// servers by hash. Without classes that is never told.
  public func isUnderPressure(_ family: AddressFamily) -> Bool {
    guard let table = associations[family], table.ranking == .byClass,
      let admissions = table.admissions
    else { return false }
    return admissions.isUnderPressure
  }

  /// Counts the associations, in one pass over the tables: a few milliseconds for the default size.
  public func census() -> Census { Census(associations) }
}

extension DataPlane {
  /// What is in force now.
  public func snapshot() -> DataPlaneSnapshot { DataPlaneSnapshot(configuration, service) }
}
