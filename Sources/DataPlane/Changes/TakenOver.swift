// What became of what other directors have told.

/// How many changes there were of each fate.
public struct TakenOver: Hashable, Sendable {
  /// Clients that have an association by it, or another one.
  public var associations = 0
  public var forgotten = 0
  /// What was so already.
  public var known = 0
  /// What this director knows better, as it has seen the client later.
  public var older = 0
  /// What is set of real servers.
  public var overrides = 0
  /// What is of no use here: of a virtual server or real server that there is not, or that is down; for
  /// which there is no room; of what is no client.
  public var refused = 0

  public init() {}
}
