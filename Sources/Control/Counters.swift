// What was counted: GET /v1/counters.

/// Answer of `GET /v1/counters`. Counts go up alone, and survive a restart with the tables.
public struct Counters: Codable, Sendable, Equatable {
  /// Of each event of the packet table, in its order.
  public var events: [EventCounter]
  /// Of each family that has a virtual server, IPv4 first.
  public var associations: [AssociationCounters]
  public var daemon: DaemonCounters

  public init(
    events: [EventCounter], associations: [AssociationCounters], daemon: DaemonCounters
  ) {
    self.events = events
    self.associations = associations
    self.daemon = daemon
  }
}

/// How often a row of the packet table was decided on.
public struct EventCounter: Codable, Sendable, Equatable {
  /// As in the log: `INGRESS_REUSED_NAT`.
  public var event: String
  public var verdict: Verdict
  public var packets: UInt64
  /// Of whole frames, the Ethernet header included.
  public var bytes: UInt64

  public init(event: String, verdict: Verdict, packets: UInt64, bytes: UInt64) {
    self.event = event
    self.verdict = verdict
    self.packets = packets
    self.bytes = bytes
  }
}

/// What becomes of a frame.
public enum Verdict: String, Codable, Sendable, CaseIterable {
  /// Handed to the director's kernel untouched.
  case pass
  case drop
  /// Rewritten, and out of the interface that it came in on.
  case send
}

/// Counts of a family's association table.
public struct AssociationCounters: Codable, Sendable, Equatable {
  /// `ipv4` or `ipv6`.
  public var family: String
  public var created: AssociationsCreated
  /// Forgotten because another client needed the place, by class.
  public var forgotten: ClassCounts
  /// Forgotten by the operator's wish, since the daemon began.
  public var forgottenByRequest: UInt64
  /// Led to another real server than they were on, or to their first, by the operator's wish, since
  /// the daemon began.
  public var movedByRequest: UInt64
  /// New clients that were served without a place.
  public var withoutPlace: UInt64

  public init(
    family: String, created: AssociationsCreated, forgotten: ClassCounts,
    forgottenByRequest: UInt64, movedByRequest: UInt64, withoutPlace: UInt64
  ) {
    self.family = family
    self.created = created
    self.forgotten = forgotten
    self.forgottenByRequest = forgottenByRequest
    self.movedByRequest = movedByRequest
    self.withoutPlace = withoutPlace
  }

  private enum CodingKeys: String, CodingKey {
    case family, created, forgotten
    case forgottenByRequest = "forgotten_by_request"
    case movedByRequest = "moved_by_request"
    case withoutPlace = "without_place"
  }
}

/// What the daemon has done since it began; only events lost count from before.
public struct DaemonCounters: Codable, Sendable, Equatable {
  public var eventsLost: UInt64
  public var reloadsApplied: UInt64
  public var reloadsUnchanged: UInt64
  public var reloadsRefused: UInt64
  /// Programs that were compiled, the first included.
  public var compilations: UInt64
  /// Programs that were swapped in while another served.
  public var swaps: UInt64
  public var saves: UInt64

  public init(
    eventsLost: UInt64 = 0, reloadsApplied: UInt64 = 0, reloadsUnchanged: UInt64 = 0,
    reloadsRefused: UInt64 = 0, compilations: UInt64 = 0, swaps: UInt64 = 0, saves: UInt64 = 0
  ) {
    self.eventsLost = eventsLost
    self.reloadsApplied = reloadsApplied
    self.reloadsUnchanged = reloadsUnchanged
    self.reloadsRefused = reloadsRefused
    self.compilations = compilations
    self.swaps = swaps
    self.saves = saves
  }

  private enum CodingKeys: String, CodingKey {
    case compilations, swaps, saves
    case eventsLost = "events_lost"
    case reloadsApplied = "reloads_applied"
    case reloadsUnchanged = "reloads_unchanged"
    case reloadsRefused = "reloads_refused"
  }
}
