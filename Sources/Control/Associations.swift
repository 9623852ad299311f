// Who is on which real server: /v1/associations.

/// An association of a client with a virtual server.
public struct AssociationEntry: Codable, Sendable, Equatable {
  /// Address and port: `10.50.0.2:5683`, `[fd50::2]:5683`.
  public var client: String
  public var virtualServer: String
  public var realServer: String
  public var `class`: AssociationClass
  /// How long ago it was used, by its class, as the data plane's `ListedAssociation` tells it: 0 to 32, or
  /// to 128 without classes. The least recently used of a class go first.
  public var age: UInt8
  /// When its last packet came, as far as the daemon knows; nothing of before it began.
  public var lastUsed: TimeSpan?

  public init(
    client: String, virtualServer: String, realServer: String, class: AssociationClass,
    age: UInt8, lastUsed: TimeSpan?
  ) {
    self.client = client
    self.virtualServer = virtualServer
    self.realServer = realServer
    self.class = `class`
    self.age = age
    self.lastUsed = lastUsed
  }

  private enum CodingKeys: String, CodingKey {
    case client, age
    case `class` = "class"
    case virtualServer = "virtual_server"
    case realServer = "real_server"
    case lastUsed = "last_used"
  }
}

/// What a client has shown of itself.
public enum AssociationClass: String, Codable, Sendable, CaseIterable {
  case newcomer, answered, resident
}

/// A moment that is known within bounds: RFC 3339, UTC. A bound that is not there is not known.
public struct TimeSpan: Codable, Sendable, Equatable {
  public var after: String?
  public var before: String?

  public init(after: String?, before: String?) {
    self.after = after
    self.before = before
  }
}

/// Answer of `GET /v1/associations`: a page of them.
public struct AssociationPage: Codable, Sendable, Equatable {
  public var associations: [AssociationEntry]
  /// For the next page (`cursor=`); nothing at the end.
  public var next: String?
  /// How many the filter lets through, where `count=true` asked for it.
  public var count: UInt64?

  public init(associations: [AssociationEntry], next: String?, count: UInt64? = nil) {
    self.associations = associations
    self.next = next
    self.count = count
  }
}

/// Answer of `GET /v1/associations/{client}`: one for each virtual server that it is a client of.
public struct ClientAssociations: Codable, Sendable, Equatable {
  public var client: String
  public var associations: [AssociationEntry]

  public init(client: String, associations: [AssociationEntry]) {
    self.client = client
    self.associations = associations
  }
}

/// Body of `PUT /v1/associations/{client}`: where its packets are to go.
public struct AssociationTarget: Codable, Sendable, Equatable {
  public var realServer: String
  /// Needed where several virtual servers have this real server.
  public var virtualServer: String?

  public init(realServer: String, virtualServer: String? = nil) {
    self.realServer = realServer
    self.virtualServer = virtualServer
  }

  private enum CodingKeys: String, CodingKey {
    case realServer = "real_server"
    case virtualServer = "virtual_server"
  }
}

/// Answer of `DELETE /v1/associations` and `DELETE /v1/associations/{client}`.
public struct Forgotten: Codable, Sendable, Equatable {
  public var forgotten: UInt64

  public init(forgotten: UInt64) { self.forgotten = forgotten }
}

/// Answer of `POST /v1/associations`: how many lines there were of each fate.
public struct TakenOverLines: Codable, Sendable, Equatable {
  /// Clients that have an association by it, or another one.
  public var associations: UInt64
  /// Clients that have none any more.
  public var forgotten: UInt64
  /// What was so already.
  public var known: UInt64
  /// Clients that this director has seen later, and real servers of which it was told something later.
  public var older: UInt64
  /// Real servers of which something is set by it.
  public var overrides: UInt64
  /// What is of no use here.
  public var refused: UInt64

  public init(
    associations: UInt64, forgotten: UInt64, known: UInt64, older: UInt64, overrides: UInt64,
    refused: UInt64
  ) {
    self.associations = associations
    self.forgotten = forgotten
    self.known = known
    self.older = older
    self.overrides = overrides
    self.refused = refused
  }
}
