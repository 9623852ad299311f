// From which MAC addresses packets of real servers are to come: what routes and neighbours make of it.
// Knows no socket and no table.
import LoadBalancing
import RouteNetlink

/// The next hops on the way to the real servers, and where these are.
///
/// What was known last of a next hop holds until another address of it is learnt: one that does not
/// answer sends nothing either, and that it is asked for anew shall open no door.
struct NextHops {
  /// A machine on the link.
  struct Hop: Equatable {
    /// How many real servers are behind it, or are it.
    fileprivate(set) var realServers = 0
    fileprivate(set) var hardware: MACAddress?
    fileprivate(set) var state = Neighbour.State.absent
    /// Whether it was said that it does not answer.
    fileprivate var isMissed = false
  }

  /// What an operator is to know.
  enum News: Equatable {
    case learnt(IPAddress, Hop)
    case moved(IPAddress, from: MACAddress, Hop)
    /// It is asked in vain, and was never known.
    case missed(IPAddress, Hop)
  }

  /// By real server.
  private var ways: [IPAddress: NextHop] = [:]
  /// By their addresses.
  private(set) var hops: [IPAddress: Hop] = [:]
  /// What is yet to be told.
  private var news: [IPAddress: News] = [:]

  /// The real servers whose way is known, or known not to be.
  var realServers: Dictionary<IPAddress, NextHop>.Keys { ways.keys }

  /// From where packets of each real server are to come, as far as it is known.
  var addresses: [IPAddress: MACAddress] {
    var addresses: [IPAddress: MACAddress] = [:]
    for (realServer, way) in ways {
      guard let hop = Self.hop(way, of: realServer) else { continue }
      addresses[realServer] = hops[hop]?.hardware
    }
    return addresses
  }

  /// How many real servers there are of which packets are believed wherever they come from, as there is
  /// no single next hop.
  func count(of way: NextHop) -> Int { ways.values.count { $0 == way } }

  /// Takes note of the way to a real server, or with `nil` that it is none any more. One that is lost
  /// stays until there is another.
  ///
  /// - Returns: the next hop where it is one that was not known of.
  mutating func set(_ way: NextHop?, to realServer: IPAddress) -> IPAddress? {
    let former = ways[realServer].flatMap { Self.hop($0, of: realServer) }
    // Routes go with their interface for a moment.
    if way == .unreachable, former != nil { return nil }
    let next = way.flatMap { Self.hop($0, of: realServer) }
    ways[realServer] = way
    guard former != next else { return nil }
    if let former {
      hops[former]!.realServers -= 1
      if hops[former]!.realServers == 0 { (hops[former], news[former]) = (nil, nil) }
    }
    guard let next else { return nil }
    let isNew = hops[next] == nil
    hops[next, default: Hop()].realServers += 1
    return isNew ? next : nil
  }

  /// Takes note of what the kernel knows of a neighbour.
  ///
  /// - Returns: whether ``addresses`` are others now, or there is something to be told.
  mutating func note(_ neighbour: Neighbour) -> Bool {
    let address = neighbour.address
    guard var hop = hops[address] else { return false }
    let former = hop.hardware
    hop.state = neighbour.state
    if neighbour.isKnown { hop.hardware = neighbour.hardware }
    if neighbour.isKnown { hop.isMissed = false }
    if neighbour.state == .failed, hop.hardware == nil, !hop.isMissed {
      hop.isMissed = true
      news[address] = .missed(address, hop)
    }
    hops[address] = hop
    guard let hardware = hop.hardware, hardware != former else { return news[address] != nil }
    switch (news[address], former) {
    // What was not told yet is told from where it began.
    case (.moved(_, let first, _)?, _) where first != hardware:
      news[address] = .moved(address, from: first, hop)
    case (.moved?, _): news[address] = nil
    case (.learnt?, _), (_, nil): news[address] = .learnt(address, hop)
    case (_, let former?): news[address] = .moved(address, from: former, hop)
    }
    return true
  }

  /// What there is to be told since the last call, in the order of addresses.
  mutating func takeNews() -> [News] {
    defer { news = [:] }
    return news.keys.sorted(by: <).compactMap { address in
      // Of how many real servers it is, is known by now.
      guard let hop = hops[address], let news = news[address] else { return nil }
      return switch news {
      case .learnt: .learnt(address, hop)
      case .moved(_, let former, _): .moved(address, from: former, hop)
      case .missed: .missed(address, hop)
      }
    }
  }

  /// The machine whose MAC address packets of a real server come from.
  private static func hop(_ way: NextHop, of realServer: IPAddress) -> IPAddress? {
    switch way {
    case .gateway(let address): address
    case .onLink: realServer
    case .several, .unreachable: nil
    }
  }
}

extension IPAddress {
  /// IPv4 before IPv6, and by their octets.
  static func < (left: IPAddress, right: IPAddress) -> Bool {
    left.family == right.family
      ? left.octets.lexicographicallyPrecedes(right.octets) : left.family == .ipv4
  }
}
