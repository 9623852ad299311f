// What other directors have told of one table: who has seen a client later knows better.
import LoadBalancing

/// Takes over what is of one table.
struct TableTakeOver<Key: ClientKey> {
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

extension IPAddress {
  /// Whether it is the numerically greater of two of a family.
  fileprivate func isAfter(_ other: IPAddress) -> Bool {
    other.octets.lexicographicallyPrecedes(octets)
  }
}
