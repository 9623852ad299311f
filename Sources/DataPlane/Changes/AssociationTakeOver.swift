// What other directors have told becomes this one's own knowledge. Called by the loop that changes what
// is in force.
import LoadBalancing

extension DataPlane {
  /// Starts to take over what other directors have told. Nothing of it comes back as a change.
  public func takingOver(_ changes: [AssociationChange]) -> AssociationTakeOver {
    AssociationTakeOver(self, changes)
  }
}

/// Takes over changes a piece at a time, so that a loop can do other things between.
public struct AssociationTakeOver {
  private let dataPlane: DataPlane
  private var left: ArraySlice<AssociationChange>
  private var overrides: [SharedOverride] = []
  public private(set) var counts = TakenOver()
  /// What has become of real servers by it.
  public private(set) var changes: [VirtualServerChange] = []

  /// What is inserted with one wait for packets.
  private static let atOnce = 1 << 13

  init(_ dataPlane: DataPlane, _ changes: [AssociationChange]) {
    self.dataPlane = dataPlane
    left = changes[...]
    for case .override(let override) in changes { overrides.append(override) }
    dataPlane.changes.begin()
  }

  /// Takes over some more. Takes some ten milliseconds where clients are new here.
  ///
  /// - Returns: whether there is more.
  public mutating func next() -> Bool {
    // Whom a client may be with comes first.
    takeOverrides()
    let piece = left.prefix(Self.atOnce)
    left = left.dropFirst(Self.atOnce)
    var counts = counts
    var forgotten: [AddressFamily: Int] = [:]
    let configuration = dataPlane.configuration
    dataPlane.changes.change { [inForce = dataPlane.inForce] state, findings in
      var taking = PieceTakeOver(inForce.now, state, configuration, now: findings)
      for change in piece { taking.take(change, &findings, &counts) }
      taking.settle(&counts)
      forgotten = taking.forgotten
    }
    self.counts = counts
    for (family, count) in forgotten { dataPlane.service.counters.addForgotten(count, family) }
    return !left.isEmpty
  }

  private mutating func takeOverrides() {
    guard !overrides.isEmpty else { return }
    let book = dataPlane.changes.overrides
    var next = dataPlane.configuration
    var taken: [Overrides.Target: SharedOverride] = [:]
    for override in overrides {
      guard
        let virtualServer = next.configured.virtualServers.first(where: {
          $0.label == override.virtualServer
        }), virtualServer.settings[override.realServer] != nil
      else {
        counts.refused += 1
        continue
      }
      let target = Overrides.Target(name: virtualServer.name, address: override.realServer)
      let former = taken[target] ?? book[target]
      let isSame = former?.state == override.state && former?.weight == override.weight
      guard override.at > former?.at ?? 0 || former == nil && !isSame else {
        if isSame { counts.known += 1 } else { counts.older += 1 }
        continue
      }
      taken[target] = override
      if isSame { counts.known += 1 } else { counts.overrides += 1 }
      next.overrides.set(
        state: override.state, weight: override.weight, of: override.realServer,
        behind: virtualServer)
    }
    overrides = []
    do {
      if next != dataPlane.configuration {
        changes += try dataPlane.apply(next).virtualServers
      }
      for (target, override) in taken { book[target] = override }
    } catch {
      counts.refused += counts.overrides
      counts.overrides = 0
    }
  }
}

/// Takes over one piece, with what is in force meanwhile.
private struct PieceTakeOver {
  /// A real server of a virtual server, as others call them.
  private struct Name: Hashable {
    let virtualServer: String
    let realServer: IPAddress
  }

  private struct Target {
    let number: UInt8
    let slot: UInt16
  }

  private let content: ServiceInForce.Content
  private let virtualServers: Set<IPAddress>
  private var numbers: [String: UInt8] = [:]
  private var targets: [Name: Target?] = [:]
  private var ipv4: TableTakeOver<IPv4ClientKey>?
  private var ipv6: TableTakeOver<IPv6ClientKey>?

  init(
    _ content: ServiceInForce.Content, _ state: AssociationChanges.State,
    _ configuration: Configuration, now findings: ChangeFindings
  ) {
    self.content = content
    virtualServers = Set(content.plan.served.map(\.virtualServer.address))
    for numbered in content.plan.served.reversed() {
      numbers[numbered.virtualServer.label] = numbered.number
    }
    ipv4 = state.table(.ipv4, of: IPv4ClientKey.self).map { TableTakeOver($0) }
    ipv6 = state.table(.ipv6, of: IPv6ClientKey.self).map { TableTakeOver($0) }
  }

  /// How many others had to go.
  var forgotten: [AddressFamily: Int] {
    [.ipv4: ipv4?.forgotten ?? 0, .ipv6: ipv6?.forgotten ?? 0]
  }

  mutating func take(
    _ change: AssociationChange, _ findings: inout ChangeFindings, _ counts: inout TakenOver
  ) {
    switch change {
    case .association(let association):
      let family = association.client.address.family
      guard association.client.address.isUnicast, association.client.port > 0,
        association.realServer.family == family,
        !virtualServers.contains(association.client.address),
        let target = target(association, family)
      else {
        counts.refused += 1
        return
      }
      let rank = content.rank(of: association, at: findings)
      switch family {
      case .ipv4:
        ipv4?.take(association, target.number, target.slot, rank, &findings, &counts)
      case .ipv6:
        ipv6?.take(association, target.number, target.slot, rank, &findings, &counts)
      }
    case .gone(let gone):
      guard gone.reason == .forgotten else {
        counts.known += 1
        return
      }
      guard let number = numbers[gone.virtualServer] else {
        counts.refused += 1
        return
      }
      switch gone.client.address.family {
      case .ipv4: ipv4?.forget(gone, number, &findings, &counts)
      case .ipv6: ipv6?.forget(gone, number, &findings, &counts)
      }
    case .override: break
    }
  }

  mutating func settle(_ counts: inout TakenOver) {
    ipv4?.settle(&counts)
    ipv6?.settle(&counts)
  }

  private mutating func target(
    _ association: SharedAssociation, _ family: AddressFamily
  ) -> Target? {
    let name = Name(
      virtualServer: association.virtualServer, realServer: association.realServer)
    if let known = targets[name] { return known }
    let target = numbers[name.virtualServer].flatMap { number in
      content.plan.servingSlot(of: name.realServer, number, family).map {
        Target(number: number, slot: $0)
      }
    }
    targets[name] = .some(target)
    return target
  }
}

/// Takes over what is of one table.
private struct TableTakeOver<Key: ClientKey> {
  private let compared: ComparedTable<Key>
  private let table: AssociationTable
  private var insertion: LateInsertion<Key>
  /// What is to be an association when packets under way are through.
  private var reserved: [Reserved] = []

  private struct Reserved {
    let client: Key
    let hash: ClientHash
    let slot: UInt16
    let time: UInt32
  }

  /// How often it is tried again where packets were faster.
  private static var attempts: Int { 16 }

  init(_ compared: ComparedTable<Key>) {
    self.compared = compared
    table = compared.table
    insertion = LateInsertion(table)
  }

  var forgotten: Int { insertion.forgotten }

  mutating func take(
    _ association: SharedAssociation, _ number: UInt8, _ slot: UInt16, _ rank: UInt8,
    _ findings: inout ChangeFindings, _ counts: inout TakenOver
  ) {
    let client = Key(association.client)
    let entry = Entry(
      client: client, virtualServer: number, slot: slot, rank: rank,
      isUnheard: association.isUnheard)
    let hash = table.hash(entry)
    let time = findings.clock.units(association.at)
    for _ in 0..<Self.attempts {
      // What packets have done is this director's own knowledge, and is told first.
      compared.look(hash, &findings)
      guard let place = table.find(hash) else {
        switch insertion.reserve(entry) {
        case .present: continue
        case .reserved:
          reserved.append(Reserved(client: client, hash: hash, slot: slot, time: time))
        case .noRoom: counts.refused += 1
        }
        return
      }
      let word = table.bucket(place).word(place.index)
      guard SharedBucket.slot(of: word) != AssociationTable.pendingSlot else {
        settle(&counts)
        continue
      }
      guard word == compared.copy.word(place) else { continue }
      let known = compared.copy.time(place)
      if SharedBucket.slot(of: word) == slot {
        let stamp = compared.copy.stamp(place)
        if association.isUnheard, table.ranking == .byClass, Stamp(stamp).isHeardNewcomer {
          // It has sent here, and its real server's answer went through another director: of both
          // nobody else knows, so that it is found and told.
          table.noteAnswer(place, stamp)
        } else if time >= known {
          refresh(place, entry, word, time)
        }
        counts.known += 1
        return
      }
      let isGreater =
        compared.slots[SharedBucket.slot(of: word)].map {
          association.realServer.isAfter($0.realServer)
        } ?? true
      guard time > known || time == known && isGreater else {
        counts.older += 1
        return
      }
      guard table.swapSlot(of: hash, in: place, for: slot) != nil else { continue }
      restamp(place, entry)
      note(client, hash.tag | UInt64(slot), place, time)
      counts.associations += 1
      return
    }
    counts.older += 1
  }

  mutating func forget(
    _ gone: GoneAssociation, _ number: UInt8, _ findings: inout ChangeFindings,
    _ counts: inout TakenOver
  ) {
    let hash = table.hash(Key(gone.client), of: number)
    for _ in 0..<Self.attempts {
      compared.look(hash, &findings)
      guard let place = table.find(hash) else {
        counts.known += 1
        return
      }
      let word = table.bucket(place).word(place.index)
      guard SharedBucket.slot(of: word) != AssociationTable.pendingSlot else {
        settle(&counts)
        continue
      }
      guard word == compared.copy.word(place) else { continue }
      guard findings.clock.units(gone.at) >= compared.copy.time(place) else { break }
      guard table.forget(word, in: place) else { continue }
      compared.forget(hash, in: place)
      counts.forgotten += 1
      return
    }
    counts.older += 1
  }

  /// The second step for all that were reserved.
  mutating func settle(_ counts: inout TakenOver) {
    guard !reserved.isEmpty else { return }
    _ = insertion.settle()
    for reserved in reserved {
      let word = reserved.hash.tag | UInt64(reserved.slot)
      guard let place = table.find(reserved.hash),
        table.bucket(place).word(place.index) == word
      else {
        // A packet was first.
        counts.older += 1
        continue
      }
      note(reserved.client, word, place, reserved.time)
      counts.associations += 1
    }
    reserved.removeAll(keepingCapacity: true)
  }

  /// Has who is there already count as used when others have seen it. Where they saw it last, it is
  /// theirs.
  private func refresh(
    _ place: AssociationTable.Place, _ entry: Entry<Key>, _ word: UInt64, _ time: UInt32
  ) {
    let isLearned = time > compared.copy.time(place) || compared.copy.isLearned(place)
    let former = compared.copy.stamp(place)
    if !table.isSingleBucket { table.refresh(place, as: table.admitted(entry)) }
    let stamp = table.bucket(place).stamp(place.index)
    compared.note(
      entry.client, word, stamp == former ? stamp : table.unused(stamp), in: place, at: time,
      isLearned: isLearned)
  }

  /// Has who was led elsewhere count as used before, so that its next use is seen; a resident stays one.
  private func restamp(_ place: AssociationTable.Place, _ entry: Entry<Key>) {
    guard !table.isSingleBucket else { return }
    let ranking = table.ranking
    var entry = table.admitted(entry)
    let present = ranking.clientClass(table.rank(place))
    if present == .resident || entry.clientClass(ranking) == .newcomer {
      entry.rank = ranking.rank(present, age: ranking.age(entry.rank))
      // Who has sent here has sent.
      entry.isUnheard = Stamp(table.bucket(place).stamp(place.index)).isUnheard
    }
    table.setStamp(place, to: entry)
  }

  private func note(
    _ client: Key, _ word: UInt64, _ place: AssociationTable.Place, _ time: UInt32
  ) {
    let stamp = table.bucket(place).stamp(place.index)
    compared.note(
      client, word, table.unused(stamp), in: place, at: time, isLearned: true)
  }
}

extension Entry {
  fileprivate func clientClass(_ ranking: Ranking) -> ClientClass { ranking.clientClass(rank) }
}

extension AssociationTable {
  /// A stamp as it was before a use in the present epoch: where a packet came at the same time, that is
  /// found to be one.
  fileprivate func unused(_ octet: UInt8) -> UInt8 {
    guard !isSingleBucket else { return octet }
    guard ranking == .byClass else { return octet == control.epoch ? octet &- 1 : octet }
    let stamp = Stamp(octet)
    let epoch = stamp.clientClass == .resident ? control.promotionEpoch : control.fullEpoch
    guard stamp.clientClass != .answered, stamp.age(in: epoch) == 0 else { return octet }
    return Stamp(stamp.clientClass, isUnheard: stamp.isUnheard, epoch: epoch &- 1).octet
  }
}

extension ServiceInForce.Content {
  /// The rank of a client that another director has seen: as old as who was used here then, and not of
  /// the present epoch. Directors without classes have told of none: who is theirs is a resident.
  fileprivate func rank(of association: SharedAssociation, at findings: ChangeFindings) -> UInt8 {
    let family = association.client.address.family
    guard let table = tables[family] else { return 0 }
    let ranking = table.ranking
    let clocks = clocks[family] ?? ServiceInForce.Clocks(ranking)
    let time = Timestamp(milliseconds: association.at)
    guard ranking == .byClass else {
      return clocks.insertions.age(usedAt: time, in: table.control.fullEpoch)
    }
    switch association.clientClass {
    case .answered:
      let now = findings.clock.milliseconds(findings.now)
      let halfSeconds = (now - min(now, association.at)) / 500
      return ranking.rank(
        .answered, age: UInt8(clamping: max(1, min(halfSeconds, UInt64(ranking.oldestAge)))))
    case .newcomer where association.isUnheard:
      return ranking.rank(
        .newcomer, age: clocks.insertions.age(usedAt: time, in: table.control.fullEpoch))
    case .newcomer, .resident:
      return ranking.rank(
        .resident, age: clocks.promotions.age(usedAt: time, in: table.control.promotionEpoch))
    }
  }
}

extension IPAddress {
  /// Whether it is the numerically greater of two of a family.
  fileprivate func isAfter(_ other: IPAddress) -> Bool {
    other.octets.lexicographicallyPrecedes(octets)
  }
}
