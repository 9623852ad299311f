// How associations come into a table that packets use: so that no packet waits for it, and no client
// is sent to two real servers.
import BCC
import LoadBalancing

/// Inserts associations of clients that have none, in batches of two steps.
///
/// A word that leads nowhere (SLOT_PENDING) reserves a place first. No packet follows it, and one of
/// that client takes its place over. Then all packets are waited for that may not have seen it: one of
/// them may have placed the client elsewhere. Where none has, the word becomes an association by one
/// swap. Where a swap fails, a packet was first, and what it has done stays. So a packet never finds
/// anything that it would have to wait for; a lock could be held while this process has no CPU.
///
/// The slot is that of the first step: no list of real servers may come into force before the second,
/// as the slot could be another server's then.
struct LateInsertion<Key: ClientKey> {
  /// What became of a client.
  enum Outcome: Equatable {
    /// It has a word already.
    case present(AssociationTable.Place)
    /// A place is reserved. Whether it becomes the client's, ``LateInsertion/settle()`` tells.
    case reserved
    /// All places that it could have are of others, that were used as recently.
    case noRoom
  }

  private let table: AssociationTable
  private let wait: () -> Void
  private var reservations: [Reservation] = []

  private struct Reservation {
    let entry: Entry<Key>
    let hash: ClientHash
    let place: AssociationTable.Place

    var pendingWord: UInt64 { hash.tag | UInt64(AssociationTable.pendingSlot) }
    var word: UInt64 { hash.tag | UInt64(entry.slot) }
  }

  /// How often a place is chosen again where packets were faster.
  private static var attempts: Int { 4 }
  /// How many clients before its turn memory is asked for one.
  private static var lookahead: Int { 8 }

  /// - Parameter wait: waits until all packets under way are through.
  init(_ table: AssociationTable, wait: @escaping () -> Void = GracePeriod.wait) {
    self.table = table
    self.wait = wait
  }

  /// How many words of others had to go for those that were reserved.
  private(set) var forgotten = 0

  /// How many places are reserved.
  var count: Int { reservations.count }

  /// The first step.
  ///
  /// Where no place is free, the association goes that was used least recently, if that is longer
  /// ago. Of a single bucket none goes.
  @inline(__always)
  mutating func reserve(_ entry: Entry<Key>) -> Outcome {
    let hash = table.hash(entry)
    for _ in 0..<LateInsertion.attempts {
      if let place = table.find(hash) { return .present(place) }
      let free = table.findFree(hash)
      guard let place = free ?? higherPlace(than: entry.rank, hash) else { return .noRoom }
      let reservation = Reservation(entry: entry, hash: hash, place: place)
      guard reserve(reservation, isFree: free != nil) else { continue }
      // Most packets that were placing the client meanwhile are seen here. Their association could be
      // pushed out before the second step, which would not know of it then.
      if let other = table.find(hash, besides: place) {
        withdraw(reservation)
        return .present(other)
      }
      reservations.append(reservation)
      return .reserved
    }
    return .noRoom
  }

  private func higherPlace(than rank: UInt8, _ hash: ClientHash) -> AssociationTable.Place? {
    guard !table.isSingleBucket else { return nil }
    let highest = table.findHighest(hash)
    return highest.rank > rank ? highest.place : nil
  }

  /// The stamp comes before the word, as by that of the place's former user it would soon be taken;
  /// then the word; then the client's name, which counts by its word alone.
  ///
  /// - Parameter isFree: what the place was when it was chosen. Where a packet has put a word there
  ///   since, whose stamp comes first too, it is chosen anew; that of this client looks older than
  ///   the newcomer where an epoch has begun since.
  @inline(__always)
  private mutating func reserve(_ reservation: Reservation, isFree: Bool) -> Bool {
    let (bucket, index) = (table.bucket(reservation.place), reservation.place.index)
    let seen = bucket.word(index)
    guard isFree ? seen == 0 : table.rank(reservation.place) > reservation.entry.rank,
      SharedBucket.tag(of: seen) != reservation.hash.tag
    else { return false }
    if !table.isSingleBucket { table.setStamp(reservation.place, to: reserving(reservation.entry)) }
    guard bucket.swapWord(index, seen, for: reservation.pendingWord) else { return false }
    if seen != 0 { forgotten += 1 }
    reservation.entry.client.note(place: index, names: table.names(reservation.place))
    return true
  }

  /// As what a place is reserved. A word that is no association yet is no resident's: packets may take
  /// its place.
  private func reserving(_ entry: Entry<Key>) -> Entry<Key> {
    guard table.ranking.clientClass(entry.rank) == .resident else { return entry }
    var entry = entry
    entry.rank = table.ranking.rank(.newcomer, age: 0)
    return entry
  }

  /// The second step, for all that were reserved since the last one.
  ///
  /// - Returns: how many of their clients have an association now.
  mutating func settle() -> Int {
    guard !reservations.isEmpty else { return 0 }
    wait()
    var count = 0
    for (index, reservation) in reservations.enumerated() {
      let ahead = index + Self.lookahead
      if ahead < reservations.count { table.fetch(reservations[ahead].hash) }
      if settle(reservation) { count += 1 }
    }
    reservations.removeAll(keepingCapacity: true)
    return count
  }

  private func settle(_ reservation: Reservation) -> Bool {
    let (bucket, index) = (table.bucket(reservation.place), reservation.place.index)
    if table.find(reservation.hash, besides: reservation.place) != nil {
      withdraw(reservation)
      return true
    }
    if bucket.swapWord(index, reservation.pendingWord, for: reservation.word) {
      if table.ranking.clientClass(reservation.entry.rank) == .resident {
        table.setStamp(reservation.place, to: table.admitted(reservation.entry))
      }
      return true
    }
    // Where a packet of the client was first, this is the client's word too.
    return SharedBucket.tag(of: bucket.word(index)) == reservation.hash.tag
  }

  private func withdraw(_ reservation: Reservation) {
    _ = table.bucket(reservation.place)
      .swapWord(reservation.place.index, reservation.pendingWord, for: 0)
  }
}
