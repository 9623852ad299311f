// What other directors have told of one table: who has seen a client later knows better, but for those that
// no real server has written to.
import BCC
import LoadBalancing

/// Takes over what is of one table.
struct TableTakeOver<Key: ClientKey> {
  private let compared: ComparedTable<Key>
  private let table: AssociationTable
  private var insertion: LateInsertion<Key>
  /// What memory was asked for.
  private var due: [Told] = []
  /// What is to be an association when packets under way are through.
  private var reserved: [Told] = []
  /// What packets were faster with.
  private var overtaken: [Told] = []

  /// What another director has told of a client.
  private struct Told {
    let entry: Entry<Key>
    let realServer: IPAddress
    let hash: ClientHash
    let time: UInt32
  }

  /// How often it is tried again where packets were faster.
  private static var attempts: Int { 16 }
  /// Of how many clients memory is asked for at once.
  private static var atOnce: Int { 16 }

  /// - Parameter wait: waits until all packets under way are through.
  init(_ compared: ComparedTable<Key>, wait: @escaping () -> Void = GracePeriod.wait) {
    self.compared = compared
    table = compared.table
    insertion = LateInsertion(table, wait: wait)
  }

  var forgotten: Int { insertion.forgotten }

  mutating func take(
    _ association: SharedAssociation, _ number: UInt8, _ slot: UInt16, _ rank: UInt8,
    _ findings: inout ChangeFindings, _ counts: inout TakenOver
  ) {
    let entry = Entry(
      client: Key(association.client), virtualServer: number, slot: slot, rank: rank,
      isUnheard: association.isUnheard)
    let told = Told(
      entry: entry, realServer: association.realServer, hash: table.hash(entry),
      time: findings.clock.units(association.at))
    // Where they are is nowhere near each other: memory is asked for some of them at once.
    compared.fetch(told.hash)
    due.append(told)
    if due.count == Self.atOnce { takeDue(&findings, &counts) }
  }

  private mutating func takeDue(_ findings: inout ChangeFindings, _ counts: inout TakenOver) {
    for index in due.indices where !take(due[index], &findings, &counts) {
      overtaken.append(due[index])
    }
    due.removeAll(keepingCapacity: true)
  }

  /// - Returns: false where packets were faster time and again.
  private mutating func take(
    _ told: Told, _ findings: inout ChangeFindings, _ counts: inout TakenOver
  ) -> Bool {
    let (entry, hash, time) = (told.entry, told.hash, told.time)
    for _ in 0..<Self.attempts {
      // What packets have done is this director's own knowledge, and is told first.
      compared.look(hash, &findings)
      guard let place = table.find(hash) else {
        switch insertion.reserve(entry) {
        case .present: continue
        case .reserved: reserved.append(told)
        case .noRoom: counts.refused += 1
        }
        return true
      }
      let word = table.bucket(place).word(place.index)
      guard SharedBucket.slot(of: word) != AssociationTable.pendingSlot else {
        settleReserved(&counts)
        continue
      }
      guard word == compared.copy.word(place) else { continue }
      let known = compared.copy.time(place)
      let stamp = compared.copy.stamp(place)
      let tellsMore = tellsMore(told, than: stamp)
      if SharedBucket.slot(of: word) == entry.slot {
        if tellsMore, entry.isUnheard {
          // It has sent here, and its real server's answer went through another director: of both
          // nobody else knows, so that it is found and told.
          table.noteAnswer(place, stamp)
        } else if tellsMore || time >= known {
          refresh(place, entry, word, time)
        }
        let present = table.bucket(place).stamp(place.index)
        // Where a packet has stamped it meanwhile, that stands there.
        if present != stamp, self.tellsMore(told, than: present) { continue }
        counts.known += 1
        return true
      }
      let isGreater =
        compared.slots[SharedBucket.slot(of: word)].map {
          told.realServer.isAfter($0.realServer)
        } ?? true
      guard time > known || time == known && isGreater || isUntold(stamp) else {
        counts.older += 1
        return true
      }
      guard table.swapSlot(of: hash, in: place, for: entry.slot) != nil else { continue }
      restamp(place, entry)
      note(told, hash.tag | UInt64(entry.slot), place)
      counts.associations += 1
      return true
    }
    return false
  }

  /// Whether a real server has written to a client elsewhere, and none has here.
  private func tellsMore(_ told: Told, than stamp: UInt8) -> Bool {
    guard !told.entry.isUnheard else { return isUntold(stamp) }
    return table.ranking == .byClass
      && told.entry.clientClass(table.ranking) != .newcomer
      && Stamp(stamp).clientClass == .newcomer
  }

  /// Whether a client is one that others are not told of. It went where those go whom nobody knows: that is
  /// no reason to know better, be it later.
  private func isUntold(_ stamp: UInt8) -> Bool {
    table.ranking == .byClass && Stamp(stamp).isHeardNewcomer
  }

  mutating func forget(
    _ gone: GoneAssociation, _ number: UInt8, _ findings: inout ChangeFindings,
    _ counts: inout TakenOver
  ) {
    takeDue(&findings, &counts)
    let hash = table.hash(Key(gone.client), of: number)
    let time = findings.clock.units(gone.at)
    defer {
      // What was told before is not to bring it back.
      let former = overtaken.count
      overtaken.removeAll { $0.hash == hash && $0.time <= time }
      counts.older += former - overtaken.count
    }
    for _ in 0..<Self.attempts {
      compared.look(hash, &findings)
      guard let place = table.find(hash) else {
        counts.known += 1
        return
      }
      let word = table.bucket(place).word(place.index)
      guard SharedBucket.slot(of: word) != AssociationTable.pendingSlot else {
        settleReserved(&counts)
        continue
      }
      guard word == compared.copy.word(place) else { continue }
      guard time >= compared.copy.time(place) else { break }
      guard table.forget(word, in: place) else { continue }
      compared.forget(hash, in: place)
      counts.forgotten += 1
      return
    }
    counts.older += 1
  }

  /// The second step for all that were reserved, and another attempt where packets were faster.
  mutating func settle(_ findings: inout ChangeFindings, _ counts: inout TakenOver) {
    takeDue(&findings, &counts)
    settleReserved(&counts)
    let again = overtaken
    overtaken.removeAll(keepingCapacity: true)
    for told in again where !take(told, &findings, &counts) { counts.older += 1 }
    settleReserved(&counts)
    // A second time in a row.
    counts.older += overtaken.count
    overtaken.removeAll(keepingCapacity: true)
  }

  private mutating func settleReserved(_ counts: inout TakenOver) {
    guard !reserved.isEmpty else { return }
    _ = insertion.settle()
    for (index, told) in reserved.enumerated() {
      let ahead = index + Self.atOnce
      if ahead < reserved.count { compared.fetch(reserved[ahead].hash) }
      let word = told.hash.tag | UInt64(told.entry.slot)
      if let place = table.find(told.hash), table.bucket(place).word(place.index) == word,
        !tellsMore(told, than: table.bucket(place).stamp(place.index))
      {
        note(told, word, place)
        counts.associations += 1
      } else {
        overtaken.append(told)
      }
    }
    reserved.removeAll(keepingCapacity: true)
  }

  /// Has who is there already count as used when others have seen it. Where they saw it last, it is
  /// theirs.
  private func refresh(
    _ place: AssociationTable.Place, _ entry: Entry<Key>, _ word: UInt64, _ time: UInt32
  ) {
    let known = compared.copy.time(place)
    let isLearned = time > known || compared.copy.isLearned(place)
    let former = compared.copy.stamp(place)
    if !table.isSingleBucket { table.refresh(place, as: table.admitted(entry)) }
    let stamp = table.bucket(place).stamp(place.index)
    compared.note(
      entry.client, word, stamp == former ? stamp : table.unused(stamp), in: place,
      at: max(time, known), isLearned: isLearned)
  }

  /// Has who was led elsewhere count as used before, so that its next use is seen; a resident stays one.
  private func restamp(_ place: AssociationTable.Place, _ entry: Entry<Key>) {
    guard !table.isSingleBucket else { return }
    let ranking = table.ranking
    var entry = table.admitted(entry)
    let stamp = table.bucket(place).stamp(place.index)
    let present = ranking.clientClass(table.rank(place))
    if present == .resident || entry.clientClass(ranking) == .newcomer && !isUntold(stamp) {
      entry.rank = ranking.rank(present, age: ranking.age(entry.rank))
      // Who has sent here has sent.
      entry.isUnheard = Stamp(stamp).isUnheard
    }
    table.setStamp(place, to: entry)
  }

  private func note(_ told: Told, _ word: UInt64, _ place: AssociationTable.Place) {
    let stamp = table.bucket(place).stamp(place.index)
    compared.note(
      told.entry.client, word, table.unused(stamp), in: place, at: told.time, isLearned: true)
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

extension IPAddress {
  /// Whether it is the numerically greater of two of a family.
  fileprivate func isAfter(_ other: IPAddress) -> Bool {
    other.octets.lexicographicallyPrecedes(octets)
  }
}
