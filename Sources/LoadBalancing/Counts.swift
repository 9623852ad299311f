// What the packet path counts, as everybody outside it knows it. Knows nothing of where the counts are
// kept.

/// Packets, and the bytes of their whole frames, the Ethernet header included.
public struct TrafficCount: Hashable, Sendable {
  public var packets: UInt64
  public var bytes: UInt64

  public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
    (self.packets, self.bytes) = (packets, bytes)
  }
}

/// How associations came to be: each counts once.
public struct CreationCount: Hashable, Sendable {
  /// The client wrote first.
  public var byClient: UInt64
  /// The real server wrote first.
  public var byRealServer: UInt64
  /// The client had one with a real server that was no longer in service.
  public var takenOver: UInt64

  public init(byClient: UInt64 = 0, byRealServer: UInt64 = 0, takenOver: UInt64 = 0) {
    (self.byClient, self.byRealServer, self.takenOver) = (byClient, byRealServer, takenOver)
  }
}

/// What a real server of one virtual server was for its clients.
public struct RealServerCounts: Hashable, Sendable {
  /// From clients to it.
  public var ingress: TrafficCount
  /// From it to clients.
  public var egress: TrafficCount
  public var created: CreationCount

  public init(
    ingress: TrafficCount = TrafficCount(), egress: TrafficCount = TrafficCount(),
    created: CreationCount = CreationCount()
  ) {
    (self.ingress, self.egress, self.created) = (ingress, egress, created)
  }
}

/// What became of the associations of one family.
public struct AssociationCounts: Hashable, Sendable {
  public var created: CreationCount
  /// Those whose place another client was given, by a packet or because it was led to a real server;
  /// by the class that they had.
  public var forgottenNewcomers: UInt64
  public var forgottenAnswered: UInt64
  public var forgottenResidents: UInt64
  /// New clients that were served without a place.
  public var withoutPlace: UInt64

  public init(
    created: CreationCount = CreationCount(), forgottenNewcomers: UInt64 = 0,
    forgottenAnswered: UInt64 = 0, forgottenResidents: UInt64 = 0, withoutPlace: UInt64 = 0
  ) {
    self.created = created
    self.forgottenNewcomers = forgottenNewcomers
    self.forgottenAnswered = forgottenAnswered
    self.forgottenResidents = forgottenResidents
    self.withoutPlace = withoutPlace
  }
}
