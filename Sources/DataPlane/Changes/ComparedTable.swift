// Finds what has changed in an association table since it was last looked at: packets tell nobody.
import LoadBalancing

/// A table of any family and its copy.
protocol TableComparing: AnyObject, Sendable {
  var bucketCount: Int { get }
  var slots: SharedSlots { get }

  /// Whether another table is the same memory, be it mapped anew or not.
  func isOf(_ other: AssociationTable) -> Bool

  /// Takes over another plan. Who is on a slot with another meaning now, is there anew.
  func take(_ table: AssociationTable, _ slots: SharedSlots)

  /// The lines of some buckets that are not as they are in the copy.
  func differing(_ buckets: Range<Int>) -> [(bucket: Int, line: TableCopy.Line)]

  /// Takes lines over into the copy, and finds out what has changed.
  func take(_ lines: [(bucket: Int, line: TableCopy.Line)], _ findings: inout ChangeFindings)

  /// Finds out who has gone. All buckets have been looked at.
  func settle(_ findings: inout ChangeFindings)

  /// All that some buckets of the copy share.
  func associations(_ buckets: Range<Int>, _ clock: ChangeTime) -> [AssociationChange]

  /// Notes that this process itself has forgotten a client.
  ///
  /// - Returns: whose client it was, and whether it was shared; `nil` where it was nobody's.
  func forget(
    _ found: AssociationReading.Found
  ) -> (virtualServer: String, wasShared: Bool)?
}

/// A table and its copy. Whoever has it sees to it that one thread at a time uses it.
///
/// A word that has gone may be in the client's other bucket, which was looked at before: who has gone
/// is known only when all buckets were looked at.
final class ComparedTable<Key: ClientKey>: TableComparing, @unchecked Sendable {
  typealias Place = AssociationTable.Place

  private(set) var table: AssociationTable
  let copy: TableCopy
  private(set) var slots: SharedSlots
  private let family: AddressFamily
  /// Who has gone from a place.
  private var departed: [Departed] = []

  /// How many lines before its turn memory is asked for one.
  private static var lookahead: Int { 8 }

  private struct Departed {
    let client: Key
    let target: SharedSlots.Target
  }

  init(_ table: AssociationTable, _ family: AddressFamily, _ slots: SharedSlots) {
    (self.table, self.family, self.slots) = (table, family, slots)
    copy = TableCopy(buckets: table.bucketCount, hasNames: family == .ipv6)
  }

  var bucketCount: Int { copy.count }

  func isOf(_ other: AssociationTable) -> Bool {
    table.control.secret == other.control.secret && table.bucketCount == other.bucketCount
      && table.ranking == other.ranking && table.maxAssociations == other.maxAssociations
  }

  // MARK: Meaning

  func take(_ table: AssociationTable, _ slots: SharedSlots) {
    let changed = Set(self.slots.changed(in: slots))
    if !changed.isEmpty {
      for bucket in 0..<copy.count {
        for index in 0..<SharedBucket.places {
          let place = Place(bucket: bucket, index: index)
          let word = copy.word(place)
          guard word != 0, changed.contains(SharedBucket.slot(of: word)) else { continue }
          depart(place)
          copy.set(place, word: 0, stamp: copy.stamp(place))
        }
      }
    }
    (self.table, self.slots) = (table, slots)
  }

  /// What a word leads to whose client is shared; `nil` for all others.
  @inline(__always)
  private func shared(_ word: UInt64, _ stamp: UInt8) -> SharedSlots.Target? {
    // Of all classes but one: that of newcomers that have sent, which anybody can forge.
    guard word != 0, table.ranking == .byAge || Stamp(stamp).isShared else { return nil }
    return slots[SharedBucket.slot(of: word)]
  }

  /// What a stamp tells that others are told, too.
  private func clientClass(_ stamp: UInt8) -> (ClientClass, isUnheard: Bool) {
    guard table.ranking == .byClass else { return (.newcomer, false) }
    let stamp = Stamp(stamp)
    return (stamp.clientClass, stamp.isUnheard)
  }

  /// Whether a stamp tells of a use, by the one before. One that is held at the oldest age does not,
  /// nor does that of who was answered.
  @inline(__always)
  private func isUse(_ stamp: UInt8, after former: UInt8) -> Bool {
    if table.isSingleBucket { return stamp < former }
    guard stamp != former else { return false }
    guard table.ranking == .byClass else {
      return table.control.epoch &- stamp < table.ranking.oldestAge
    }
    let present = Stamp(stamp)
    switch present.clientClass {
    case .answered: return false
    case .newcomer: return present.age(in: table.control.fullEpoch) < table.ranking.oldestAge
    case .resident: return present.age(in: table.control.promotionEpoch) < table.ranking.oldestAge
    }
  }

  // MARK: Looking

  func differing(_ buckets: Range<Int>) -> [(bucket: Int, line: TableCopy.Line)] {
    var found: [(bucket: Int, line: TableCopy.Line)] = []
    let present = table.lines
    for bucket in buckets {
      let line = present[bucket] & TableCopy.compared
      if !copy.isSame(line, inBucket: bucket) { found.append((bucket, line)) }
    }
    return found
  }

  func take(
    _ lines: [(bucket: Int, line: TableCopy.Line)], _ findings: inout ChangeFindings
  ) {
    for (index, (bucket, line)) in lines.enumerated() {
      let ahead = index + Self.lookahead
      if ahead < lines.count { copy.fetch(lines[ahead].bucket) }
      take(bucket, line, &findings)
    }
  }

  private func take(_ bucket: Int, _ line: TableCopy.Line, _ findings: inout ChangeFindings) {
    let former = copy.line(bucket)
    for index in 0..<SharedBucket.places {
      let (word, stamp) = (line[index], TableCopy.stamp(line, index))
      guard word != former[index] || stamp != TableCopy.stamp(former, index) else { continue }
      take(Place(bucket: bucket, index: index), word, stamp, &findings)
    }
  }

  private func take(
    _ place: Place, _ word: UInt64, _ stamp: UInt8, _ findings: inout ChangeFindings
  ) {
    let (formerWord, formerStamp) = (copy.word(place), copy.stamp(place))
    guard word != 0, SharedBucket.tag(of: word) == SharedBucket.tag(of: formerWord) else {
      depart(place)
      return arrive(place, word, stamp, &findings)
    }
    let isUse = isUse(stamp, after: formerStamp)
    let now = max(findings.now, copy.time(place))
    guard let target = shared(word, stamp) else {
      if table.ranking == .byClass, word == formerWord, copy.isLearned(place),
        Stamp(formerStamp).isUnheard, Stamp(stamp).isHeardNewcomer
      {
        // Its real server wrote to it through another director, which does not see that it sends here.
        table.noteAnswer(place, stamp)
      }
      depart(place)
      copy.set(place, word: word, stamp: stamp)
      if isUse || word != formerWord { copy.setTime(place, now, isLearned: false) }
      return
    }
    guard let former = shared(formerWord, formerStamp) else {
      return arrive(place, word, stamp, &findings)
    }
    let isChange = target != former || clientClass(stamp) != clientClass(formerStamp)
    if isChange || isUse {
      // What is too much is found again.
      guard isChange || findings.mayTellUse() else { return }
      guard let client = client(place) else { return }
      copy.setTime(place, now, isLearned: false)
      tell(client, target, stamp, now, &findings)
    }
    copy.set(place, word: word, stamp: stamp)
  }

  /// Notes who is in a place now.
  private func arrive(
    _ place: Place, _ word: UInt64, _ stamp: UInt8, _ findings: inout ChangeFindings
  ) {
    let now = findings.time(ofRank: table.rank(stamp: stamp))
    guard let target = shared(word, stamp) else {
      copy.set(place, word: word, stamp: stamp)
      if word != 0 { copy.setTime(place, now, isLearned: false) }
      return
    }
    guard
      let client = Key(
        word: word, place: place.index, names: table.names(place), secret: table.control.secret,
        virtualServer: target.number)
    else {
      // Its name is being written: it is found again.
      copy.set(place, word: 0, stamp: stamp)
      return
    }
    client.note(place: place.index, names: copy.names.map { $0 + place.bucket })
    copy.set(place, word: word, stamp: stamp)
    copy.setTime(place, now, isLearned: false)
    tell(client, target, stamp, now, &findings)
  }

  private func tell(
    _ client: Key, _ target: SharedSlots.Target, _ stamp: UInt8, _ now: UInt32,
    _ findings: inout ChangeFindings
  ) {
    guard !findings.isFirst else { return }
    findings.changes.append(association(client, target, stamp, now, findings.clock))
  }

  private func association(
    _ client: Key, _ target: SharedSlots.Target, _ stamp: UInt8, _ time: UInt32,
    _ clock: ChangeTime
  ) -> AssociationChange {
    let (clientClass, isUnheard) = clientClass(stamp)
    return .association(
      SharedAssociation(
        at: clock.milliseconds(time), clientClass: clientClass, isUnheard: isUnheard,
        client: client.client, realServer: target.realServer, virtualServer: target.label))
  }

  /// Whose the word of a place is that is shared, by the copy.
  private func client(_ place: Place) -> Key? {
    let word = copy.word(place)
    guard let target = shared(word, copy.stamp(place)) else { return nil }
    return Key(
      word: word, place: place.index, names: copy.names.map { $0 + place.bucket },
      secret: table.control.secret, virtualServer: target.number)
  }

  /// Remembers who is leaving a place. Of who was learned nobody is told: others may see it still.
  private func depart(_ place: Place) {
    guard !copy.isLearned(place), let target = shared(copy.word(place), copy.stamp(place)),
      let client = client(place)
    else { return }
    departed.append(Departed(client: client, target: target))
  }

  func settle(_ findings: inout ChangeFindings) {
    departed.removeAll { departed in
      let hash = table.hash(departed.client, of: departed.target.number)
      if let place = find(hash), shared(copy.word(place), copy.stamp(place)) != nil { return true }
      // Where it has come back since, it is found in the next pass.
      if let place = table.find(hash) {
        let bucket = table.bucket(place)
        if shared(bucket.word(place.index), bucket.stamp(place.index)) != nil { return false }
      }
      findings.changes.append(
        .gone(
          GoneAssociation(
            at: findings.clock.milliseconds(findings.now), client: departed.client.client,
            reason: .evicted, virtualServer: departed.target.label)))
      return true
    }
  }

  // MARK: The copy

  func associations(_ buckets: Range<Int>, _ clock: ChangeTime) -> [AssociationChange] {
    var found: [AssociationChange] = []
    for bucket in buckets {
      for index in 0..<SharedBucket.places {
        let place = Place(bucket: bucket, index: index)
        let stamp = copy.stamp(place)
        guard let target = shared(copy.word(place), stamp), let client = client(place) else {
          continue
        }
        found.append(association(client, target, stamp, copy.time(place), clock))
      }
    }
    return found
  }

  /// Where a client's word is in the copy.
  private func find(_ hash: ClientHash) -> Place? {
    let (first, second) = buckets(of: hash)
    return place(of: hash, inBucket: first) ?? place(of: hash, inBucket: second)
  }

  private func place(of hash: ClientHash, inBucket bucket: Int) -> Place? {
    let line = copy.line(bucket)
    return (0..<SharedBucket.places).first { SharedBucket.tag(of: line[$0]) == hash.tag }
      .map { Place(bucket: bucket, index: $0) }
  }

  /// The buckets that a client may be in, where there is one twice the same.
  @inline(__always)
  private func buckets(of hash: ClientHash) -> (first: Int, second: Int) {
    let (first, second) = hash.buckets(of: copy.count)
    return (first, table.isSingleBucket ? first : second)
  }

  /// Looks at the buckets that a client may be in.
  func look(_ hash: ClientHash, _ findings: inout ChangeFindings) {
    let (first, second) = buckets(of: hash)
    look(first, &findings)
    if second != first { look(second, &findings) }
  }

  @inline(__always)
  private func look(_ bucket: Int, _ findings: inout ChangeFindings) {
    let line = table.lines[bucket] & TableCopy.compared
    if !copy.isSame(line, inBucket: bucket) { take(bucket, line, &findings) }
  }

  /// Asks memory for what is known of a client.
  @inline(__always)
  func fetch(_ hash: ClientHash) {
    let (first, second) = buckets(of: hash)
    table.fetch(hash)
    copy.fetch(first)
    copy.fetch(second)
  }

  /// Notes what this process itself has put into a place: no change arises from it.
  ///
  /// - Parameter stamp: the one that it has there.
  func note(
    _ client: Key, _ word: UInt64, _ stamp: UInt8, in place: Place, at time: UInt32,
    isLearned: Bool
  ) {
    if SharedBucket.tag(of: word) != SharedBucket.tag(of: copy.word(place)) { depart(place) }
    client.note(place: place.index, names: copy.names.map { $0 + place.bucket })
    copy.set(place, word: word, stamp: stamp)
    copy.setTime(place, time, isLearned: isLearned)
  }

  func forget(
    _ found: AssociationReading.Found
  ) -> (virtualServer: String, wasShared: Bool)? {
    // What has changed since it was looked at counts as well.
    let wasShared =
      shared(copy.word(found.place), copy.stamp(found.place)) != nil
      || table.ranking == .byAge || table.ranking.clientClass(found.rank) != .newcomer
    forget(table.hash(Key(found.client), of: found.virtualServer), in: found.place)
    return slots[found.slot].map { ($0.label, wasShared) }
  }

  /// Notes that this process itself has forgotten who was in a place.
  func forget(_ hash: ClientHash, in place: Place) {
    guard SharedBucket.tag(of: copy.word(place)) == hash.tag else { return }
    copy.set(place, word: 0, stamp: copy.stamp(place))
  }
}

extension Stamp {
  /// Whether others are told of such clients: a real server has answered them, or written to them.
  @inline(__always)
  fileprivate var isShared: Bool { clientClass != .newcomer || isUnheard }
}
