// What ulb-sync tells the daemon of itself: PUT /v1/sync.

/// How the sharing of associations with other directors goes, as ulb-sync sees it once a second.
public struct SyncReport: Codable, Sendable, Equatable {
  /// What this director is called among the others.
  public var director: String
  public var redis: Redis
  /// From when the last change that went out was found in the table to when Redis had it; nothing
  /// before the first.
  public var lagMilliseconds: Double?
  /// The other directors that Redis has heard of in the last minute, sorted by name.
  public var peers: [Peer]
  /// Changes that Redis has taken since ulb-sync began, those that another director's later ones have
  /// beaten among them.
  public var sent: UInt64
  /// Changes of others that were handed to this daemon since ulb-sync began.
  public var received: UInt64
  /// How often all was read, from Redis or from this daemon, since ulb-sync began: the first time is one
  /// of each.
  public var resyncs: UInt64

  /// The Redis server that it is connected with, or would be.
  public struct Redis: Codable, Sendable, Equatable {
    public enum State: String, Codable, Sendable, CaseIterable {
      case connected
      case connecting
      /// Redis is there and reads its data set.
      case loading
      case away
    }

    /// An address and a port, the path of a socket, or what its Sentinels call it.
    public var server: String
    public var state: State
    /// Since when the state is so: RFC 3339, UTC.
    public var since: String
    /// Why it is away: one line.
    public var error: String?

    public init(server: String, state: State, since: String, error: String?) {
      self.server = server
      self.state = state
      self.since = since
      self.error = error
    }
  }

  /// Another director.
  public struct Peer: Codable, Sendable, Equatable {
    public var director: String
    /// When it last was in touch with Redis: RFC 3339, UTC.
    public var seen: String
    /// From when its last change was found there to when this daemon had it; what the peer says of its
    /// own way to Redis, while none has come.
    public var lagMilliseconds: Double?

    public init(director: String, seen: String, lagMilliseconds: Double?) {
      self.director = director
      self.seen = seen
      self.lagMilliseconds = lagMilliseconds
    }

    private enum CodingKeys: String, CodingKey {
      case director, seen
      case lagMilliseconds = "lag_ms"
    }
  }

  public init(
    director: String, redis: Redis, lagMilliseconds: Double?, peers: [Peer], sent: UInt64,
    received: UInt64, resyncs: UInt64
  ) {
    self.director = director
    self.redis = redis
    self.lagMilliseconds = lagMilliseconds
    self.peers = peers
    self.sent = sent
    self.received = received
    self.resyncs = resyncs
  }

  private enum CodingKeys: String, CodingKey {
    case director, redis, peers, sent, received, resyncs
    case lagMilliseconds = "lag_ms"
  }
}

/// What `GET /v1/status` has of the sharing of associations: the last that ulb-sync has told.
public struct SyncStatus: Codable, Sendable, Equatable {
  public var report: SyncReport
  /// Whether ulb-sync has told nothing for ``patience``: it is not there any more, or does not get on.
  public var isStale: Bool

  /// How long ulb-sync may tell nothing.
  public static let patience: Duration = .seconds(10)

  public init(report: SyncReport, isStale: Bool) {
    self.report = report
    self.isStale = isStale
  }

  private enum CodingKeys: String, CodingKey {
    case isStale = "stale"
  }

  /// Of the members of the report and one more.
  public init(from decoder: any Decoder) throws {
    report = try SyncReport(from: decoder)
    isStale = try decoder.container(keyedBy: CodingKeys.self).decode(Bool.self, forKey: .isStale)
  }

  public func encode(to encoder: any Encoder) throws {
    try report.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(isStale, forKey: .isStale)
  }
}
