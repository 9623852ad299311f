// What directors tell each other of their clients and real servers. Knows no table and no text.

/// A change of what a director shares with others.
public enum AssociationChange: Hashable, Sendable {
  /// A client is with a real server.
  case association(SharedAssociation)
  /// A client has no association any more.
  case gone(GoneAssociation)
  /// What the control socket has set of a real server.
  case override(SharedOverride)

  /// The highest time of a change: it fits six octets.
  public static let latest: UInt64 = 1 << 48 - 1

  /// When it was, in ms since 1970 UTC; 0 where that is not known.
  public var at: UInt64 {
    switch self {
    case .association(let association): association.at
    case .gone(let gone): gone.at
    case .override(let override): override.at
    }
  }

  /// The label of the virtual server.
  public var virtualServer: String {
    switch self {
    case .association(let association): association.virtualServer
    case .gone(let gone): gone.virtualServer
    case .override(let override): override.virtualServer
    }
  }
}

/// A client that is with a real server.
public struct SharedAssociation: Hashable, Sendable {
  /// When a director saw the client last, in ms since 1970 UTC; 0 where that is not known.
  public var at: UInt64
  /// Of a director without classes all are newcomers; of one with classes, those that are unheard.
  public var clientClass: ClientClass
  /// Whether it is a newcomer that a real server wrote to, and that has not sent yet.
  public var isUnheard: Bool
  public var client: Client
  public var realServer: IPAddress
  /// Its label.
  public var virtualServer: String

  public init(
    at: UInt64, clientClass: ClientClass, isUnheard: Bool = false, client: Client,
    realServer: IPAddress, virtualServer: String
  ) {
    self.at = at
    self.clientClass = clientClass
    self.isUnheard = isUnheard
    self.client = client
    self.realServer = realServer
    self.virtualServer = virtualServer
  }
}

/// A client that has no association any more, or none that is shared.
public struct GoneAssociation: Hashable, Sendable {
  /// Why it has none.
  public enum Reason: String, Sendable, CaseIterable {
    /// An operator has asked for it: it is to have none with any director.
    case forgotten
    /// Others have needed its place, or it has shown too little of itself.
    case evicted
  }

  /// When, in ms since 1970 UTC.
  public var at: UInt64
  public var client: Client
  public var reason: Reason
  /// Its label.
  public var virtualServer: String

  public init(at: UInt64, client: Client, reason: Reason, virtualServer: String) {
    self.at = at
    self.client = client
    self.reason = reason
    self.virtualServer = virtualServer
  }
}

/// What the control socket has set of a real server.
public struct SharedOverride: Hashable, Sendable {
  /// When, in ms since 1970 UTC; 0 where that is not known.
  public var at: UInt64
  public var realServer: IPAddress
  /// `nil`: as configured.
  public var state: RealServer.State?
  /// The virtual server's label.
  public var virtualServer: String
  /// 0…``RealServer/mostWeight``; `nil`: as configured.
  public var weight: Int?

  public init(
    at: UInt64, realServer: IPAddress, state: RealServer.State?, virtualServer: String,
    weight: Int?
  ) {
    self.at = at
    self.realServer = realServer
    self.state = state
    self.virtualServer = virtualServer
    self.weight = weight
  }
}

extension SharedAssociation {
  /// What the class of those is called that are unheard.
  static let unheard = "unheard"

  /// What its class is called: `newcomer`, `unheard`, `answered`, `resident`.
  public var className: String { isUnheard ? Self.unheard : clientClass.rawValue }

  /// A class by what it is called.
  static func clientClass(called name: some Sequence<UInt8>) -> (ClientClass, isUnheard: Bool)? {
    if name.elementsEqual(unheard.utf8) { return (.newcomer, true) }
    return ClientClass.allCases.first { name.elementsEqual($0.rawValue.utf8) }.map { ($0, false) }
  }
}
