// What directors tell each other. Knows neither the daemon's lines nor Redis.
import LoadBalancing

/// How well a client is known.
public enum AssociationClass: String, Sendable, CaseIterable {
  case newcomer
  case answered
  case resident
}

/// Something that a director tells the others.
public enum Change: Sendable, Hashable {
  /// A client is led to a real server.
  case association(client: Client, class: AssociationClass, realServer: IPAddress)
  /// An operator has forgotten it: at all directors.
  case forgotten(client: Client)
  /// It has been pushed out, or is shared no more: at who says so.
  case evicted(client: Client)
  /// What a control socket has set of a real server; `nil` is what the configuration says.
  case override(realServer: IPAddress, state: RealServer.State?, weight: Int?)
}

/// A change with when and where it was.
public struct SharedChange: Sendable, Hashable {
  /// Milliseconds since 1970 UTC, below 2^48.
  public var at: UInt64
  /// The label of the virtual server.
  public var virtualServer: String
  public var change: Change

  public init(at: UInt64, virtualServer: String, _ change: Change) {
    self.at = at
    self.virtualServer = virtualServer
    self.change = change
  }
}
