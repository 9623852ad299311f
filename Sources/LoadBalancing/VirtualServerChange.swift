// What a new configuration changes of the virtual servers. Knows no log.

/// What became of one virtual server.
public enum VirtualServerChange: Sendable, Hashable {
  case came(VirtualServer)
  /// It is gone, and with it its associations.
  case went(VirtualServer)
  case changed(from: VirtualServer, to: VirtualServer)

  /// What changes from one list to the other: those that went, then those that came or changed in
  /// the order of the new list. In another family it is another one, but for the command line's.
  public static func changes(
    from before: [VirtualServer], to after: [VirtualServer]
  ) -> [VirtualServerChange] {
    let identity = VirtualServerPlan.Holder.init(_:)
    let former = Dictionary(before.map { (identity($0), $0) }) { first, _ in first }
    let present = Set(after.map(identity))
    return before.filter { !present.contains(identity($0)) }.map { .went($0) }
      + after.compactMap { server in
        guard let old = former[identity(server)] else { return .came(server) }
        return old == server ? nil : .changed(from: old, to: server)
      }
  }

  /// As it is now, or was last.
  public var virtualServer: VirtualServer {
    switch self {
    case .came(let server), .went(let server), .changed(_, let server): server
    }
  }

  /// Addresses of real servers that are in the new list alone, each once.
  public var added: [IPAddress] { Self.addresses(in: now, beside: formerly) }

  /// Addresses of real servers that were in the former list alone, each once.
  public var removed: [IPAddress] { Self.addresses(in: formerly, beside: now) }

  /// The real servers that stay with another weight or in another state, as they are now, each
  /// address once.
  public var reset: [RealServer] {
    let former = Dictionary(grouping: formerly, by: \.address).mapValues(Set.init)
    let present = Dictionary(grouping: now, by: \.address).mapValues(Set.init)
    var seen = Set<IPAddress>()
    return now.filter { server in
      guard let old = former[server.address], old != present[server.address] else { return false }
      return seen.insert(server.address).inserted
    }
  }

  private var formerly: [RealServer] {
    switch self {
    case .came: []
    case .went(let server), .changed(let server, _): server.realServers
    }
  }

  private var now: [RealServer] {
    switch self {
    case .went: []
    case .came(let server), .changed(_, let server): server.realServers
    }
  }

  private static func addresses(
    in list: [RealServer], beside other: [RealServer]
  ) -> [IPAddress] {
    var seen = Set(other.map(\.address))
    return list.map(\.address).filter { seen.insert($0).inserted }
  }
}
