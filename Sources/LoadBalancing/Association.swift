// Which client is with which real server of which virtual server, as everybody outside the packet
// path knows it. Knows neither the tables' layout nor a file's.

/// A client and the real server that it is with.
public struct Association: Hashable, Sendable {
  public let client: Client
  /// The virtual server's index in the list that goes with the association.
  public let virtualServer: UInt8
  /// The real server's index in the virtual server's list.
  public let realServer: UInt32
  /// How near it is to being forgotten, by the ranking of where it comes from.
  public let rank: UInt8
  /// Whether it is a newcomer that a real server wrote to, and that has not sent yet.
  public let isUnheard: Bool

  public init(
    client: Client, virtualServer: UInt8 = 0, realServer: UInt32, rank: UInt8 = 0,
    isUnheard: Bool = false
  ) {
    self.client = client
    self.virtualServer = virtualServer
    self.realServer = realServer
    self.rank = rank
    self.isUnheard = isUnheard
  }
}

/// A virtual server as it was when its associations were read out: they point into a list of these.
public struct SavedVirtualServer: Hashable, Sendable {
  /// `nil` for the command line's.
  public let name: String?
  /// Unspecified where it is not known; of the clients' family in any case.
  public let address: IPAddress
  /// The index in the list that its next new client is given.
  public let roundPosition: UInt32
  /// What its associations' indices point into.
  public let realServers: [IPAddress]

  public init(
    name: String? = nil, address: IPAddress, roundPosition: UInt32, realServers: [IPAddress]
  ) {
    self.name = name
    self.address = address
    self.roundPosition = roundPosition
    self.realServers = realServers
  }

  public var family: AddressFamily { address.family }

  /// Whether its clients are this one's: its name tells, whatever became of its address, as long as
  /// they can be its clients at all.
  public func isSame(as virtualServer: VirtualServer) -> Bool {
    name == virtualServer.name && family == virtualServer.family
  }
}
