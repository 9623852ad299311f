// What an operator does with single associations: forgets them, and leads clients elsewhere. Called
// by the loop that changes what is in force.
import LoadBalancing

/// Why a client is not led to a real server. The message is one line with the value and the mend.
public enum AssociationRefusal: Error, Hashable, CustomStringConvertible {
  /// No virtual server has that label.
  case noVirtualServer(String)
  /// No packet of such a client is balanced.
  case invalidClient(Client)
  /// The real server is behind none, or not behind the one that is meant.
  case unknown(realServer: IPAddress, virtualServer: String?)
  /// The real server is behind several virtual servers.
  case ambiguous(realServer: IPAddress, virtualServers: [String])
  /// It keeps no clients.
  case notInService(realServer: IPAddress, virtualServer: String)
  /// All places that the client could have are of others, that were used as recently.
  case noRoom(Client)

  public var description: String {
    switch self {
    case .noVirtualServer(let label):
      "no virtual server is called \(label.shortened()); see the list of virtual servers"
    case .invalidClient(let client):
      "\(client) is no client that can be answered; give the address and port that packets of a "
        + "client come from"
    case .unknown(let realServer, let virtualServer):
      "\(realServer) is no real server"
        + (virtualServer.map { " of virtual server \($0)" } ?? " of the client's family")
        + "; name one that is listed"
    case .ambiguous(let realServer, let virtualServers):
      "\(realServer) is behind several virtual servers: "
        + "\(virtualServers.joined(separator: ", ")); name the one that is meant"
    case .notInService(let realServer, let virtualServer):
      "real server \(realServer) of virtual server \(virtualServer) is down; set it up or draining, "
        + "or name another one"
    case .noRoom(let client):
      "there is no place for \(client), all of those that it may have are of clients that were seen "
        + "just now; try again, or raise -ma"
    }
  }
}

extension DataPlane {
  // MARK: To forget

  /// Forgets a client's associations with one or all virtual servers.
  ///
  /// - Parameter virtualServer: its label.
  /// - Returns: how many were forgotten.
  public func forget(_ client: Client, ofVirtualServer virtualServer: String? = nil) -> Int {
    var forgetting = forgetting(AssociationFilter(client: client, virtualServer: virtualServer))
    var count = 0
    while let piece = forgetting.next() { count += piece }
    return count
  }

  /// Starts to forget what a filter lets through.
  public func forgetting(_ filter: AssociationFilter) -> AssociationForgetting {
    AssociationForgetting(inForce, filter, changes)
  }

  // MARK: To lead elsewhere

  /// Leads a client to a real server from now on, whether it was a client before or not. Of a new one
  /// some ten milliseconds pass, until no packet is under way that has not seen it.
  ///
  /// - Parameters:
  ///   - realServer: in service, and be it draining: who asks for it by name gets it.
  ///   - virtualServer: its label; needed where the real server is behind several.
  /// - Returns: the label of the virtual server, and whether anything has changed: whether the client
  ///   was on another real server, or none of its associations was there.
  @discardableResult
  public func lead(
    _ client: Client, to realServer: IPAddress, ofVirtualServer virtualServer: String? = nil
  ) throws(AssociationRefusal) -> (virtualServer: String, isChanged: Bool) {
    let plan = service.plan
    let family = client.address.family
    guard client.port > 0, client.address.isUnicast,
      !plan.served.contains(where: { $0.virtualServer.address == client.address })
    else { throw .invalidClient(client) }
    var candidates = plan.served
    if let virtualServer {
      guard let first = candidates.first(where: { $0.virtualServer.label == virtualServer }) else {
        throw .noVirtualServer(virtualServer)
      }
      candidates = [first]
    }
    candidates.removeAll { numbered in
      numbered.virtualServer.family != family
        || !numbered.virtualServer.realServers.contains { $0.address == realServer }
    }
    guard let target = candidates.first else {
      throw .unknown(realServer: realServer, virtualServer: virtualServer)
    }
    guard candidates.count == 1 else {
      throw .ambiguous(
        realServer: realServer, virtualServers: candidates.map(\.virtualServer.label))
    }
    let label = target.virtualServer.label
    guard let slot = plan.servingSlot(of: realServer, target.number, family),
      let table = service.associations[family]
    else { throw .notInService(realServer: realServer, virtualServer: label) }
    var forgotten = 0
    let lead =
      switch family {
      case .ipv4:
        table.lead(
          IPv4ClientKey(client), of: target.number, to: slot, forgotten: &forgotten)
      case .ipv6:
        table.lead(
          IPv6ClientKey(client), of: target.number, to: slot, forgotten: &forgotten)
      }
    service.counters.addForgotten(forgotten, family)
    guard let lead else { throw .noRoom(client) }
    return (label, lead != .alreadyThere)
  }
}

/// Forgets associations a piece at a time, so that a loop can do other things between. What comes
/// behind where it is already, stays.
public struct AssociationForgetting {
  private var reading: AssociationReading
  private var walk = BucketWalk(atOnce: 1 << 13)
  private var client: Client?
  /// Is told who was forgotten.
  private let changes: AssociationChanges?
  /// How many were forgotten so far.
  public private(set) var counts: [AddressFamily: Int] = [:]

  init(_ service: ServiceInForce, _ filter: AssociationFilter, _ changes: AssociationChanges? = nil)
  {
    reading = AssociationReading(service, filter)
    self.changes = changes
    client = filter.client
    if client != nil { walk = BucketWalk.nowhere }
  }

  /// Forgets some more. Takes a millisecond or two. To be called by the loop that changes what is in
  /// force.
  ///
  /// - Returns: how many, possibly none; `nil` at the end.
  public mutating func next() -> Int? {
    guard let (family, forgotten) = proceed() else { return nil }
    changes?.tell(forgotten: forgotten, isWhole: reading.filter.client != nil)
    counts[family, default: 0] += forgotten.count
    return forgotten.count
  }

  private mutating func proceed() -> (AddressFamily, [AssociationReading.Found])? {
    if let client {
      self.client = nil
      let forgotten = reading.read { [reading] content, meaning in
        reading.find(client, content, meaning).filter { AssociationForgetting.forget($0, content) }
      }
      return (client.address.family, forgotten)
    }
    guard let (family, buckets) = walk.next(reading.service.now.tables) else { return nil }
    let forgotten = reading.read { [reading] content, meaning in
      var forgotten: [AssociationReading.Found] = []
      reading.forEach(family, content, meaning, inBuckets: buckets) { found in
        if AssociationForgetting.forget(found, content) { forgotten.append(found) }
      }
      return forgotten
    }
    return (family, forgotten)
  }

  private static func forget(
    _ found: AssociationReading.Found, _ content: ServiceInForce.Content
  ) -> Bool {
    let family = found.client.address.family
    guard let table = content.tables[family] else { return false }
    let hash =
      switch family {
      case .ipv4: table.hash(IPv4ClientKey(found.client), of: found.virtualServer)
      case .ipv6: table.hash(IPv6ClientKey(found.client), of: found.virtualServer)
      }
    return table.forget(hash.tag | UInt64(found.slot), in: found.place)
  }
}

extension AssociationTable {
  /// What became of a client's word that is to lead to a slot.
  enum Lead {
    /// It led there before.
    case alreadyThere
    case moved
    /// The client had none.
    case made
  }

  /// Has a client's word lead to a slot, whether it has one before or not.
  ///
  /// - Parameter forgotten: goes up by how many other clients were forgotten for it.
  /// - Returns: `nil` where there is no place for it.
  func lead<Key: ClientKey>(
    _ client: Key, of virtualServer: UInt8, to slot: UInt16, forgotten: inout Int
  ) -> Lead? {
    let hash = hash(client, of: virtualServer)
    // Who puts a client there by hand vouches for it.
    let entry = Entry(client: client, virtualServer: virtualServer, slot: slot, rank: 0)
    var isMade = false
    // Each time it is tried anew a packet was faster.
    for _ in 0..<16 {
      if let place = find(hash) {
        if let former = swapSlot(of: hash, in: place, for: slot) {
          return isMade ? .made : former == slot ? .alreadyThere : .moved
        }
        continue
      }
      var insertion = LateInsertion<Key>(self)
      let outcome = insertion.reserve(entry)
      forgotten += insertion.forgotten
      switch outcome {
      case .present: continue
      case .reserved:
        guard insertion.settle() > 0, let place = find(hash) else { continue }
        isMade = true
        if isSingleBucket { putFirst(place) }
        // A packet of the client may have been first.
        if swapSlot(of: hash, in: place, for: slot) != nil { return .made }
      case .noRoom:
        guard isSingleBucket else { return nil }
        // Who was used least recently goes, as for a packet.
        if forgetHighest(findHighest(hash)) { forgotten += 1 }
      }
    }
    return nil
  }

  /// Forgets what a place holds, unless a packet has used it since it was seen to have that rank.
  ///
  /// - Returns: whether an association was forgotten.
  func forgetHighest(_ highest: (place: Place, rank: UInt8)) -> Bool {
    // The word comes first: a packet puts the stamp of a new client there before its word.
    let word = bucket(highest.place).word(highest.place.index)
    guard word != 0, rank(highest.place) == highest.rank else { return false }
    return forget(word, in: highest.place)
  }

  /// Has a client's word lead to a slot.
  ///
  /// - Returns: the slot that it led to; `nil` where another client's word is there now.
  func swapSlot(of hash: ClientHash, in place: Place, for slot: UInt16) -> UInt16? {
    let bucket = bucket(place)
    let seen = bucket.word(place.index)
    guard SharedBucket.tag(of: seen) == hash.tag,
      bucket.swapWord(place.index, seen, for: hash.tag | UInt64(slot))
    else { return nil }
    return SharedBucket.slot(of: seen)
  }
}
