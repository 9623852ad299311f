// When an association was used last, as far as its age tells: ages count epochs. Knows no table; whoever has one reads its epoch now and then.

/// Remembers when the last epochs of an association table began and ended.
public struct EpochClock: Sendable, Equatable {
  /// A moment that is known within bounds.
  public struct Span: Sendable, Hashable {
    /// `nil`: not known, as that was before the first look or too long ago.
    public let after: Timestamp?
    public let before: Timestamp?

    public init(after: Timestamp?, before: Timestamp?) {
      self.after = after
      self.before = before
    }
  }

  /// An epoch that a look has found.
  private struct Epoch: Equatable {
    let number: UInt64
    /// The look before the first one that has found it; `nil` where there was none.
    let unseenAt: Timestamp?
    /// The first look that has found it.
    let seenAt: Timestamp
  }

  /// The age of whatever was used that long ago or longer.
  public let oldestAge: UInt8

  /// Those that an age can tell, the oldest first.
  private var epochs: [Epoch] = []
  private var lastLook: Timestamp?

  public init(oldestAge: UInt8) { self.oldestAge = oldestAge }

  /// Takes a look at the table's epoch.
  ///
  /// - Parameter epoch: counted without end. A lower one than before is another table's.
  public mutating func look(_ epoch: UInt64, at now: Timestamp) {
    if let last = epochs.last, epoch < last.number { self = EpochClock(oldestAge: oldestAge) }
    if epochs.last?.number != epoch {
      epochs.append(Epoch(number: epoch, unseenAt: lastLook, seenAt: now))
      let oldest = epoch - min(epoch, UInt64(oldestAge))
      // One before the oldest is where that one's beginning was not seen yet.
      while epochs.count > 2, epochs[1].number < oldest { epochs.removeFirst() }
    }
    lastLook = now
  }

  /// When an association was used last.
  ///
  /// - Parameters:
  ///   - age: in epochs.
  ///   - epoch: that of the table when the age was read.
  ///   - now: when that was.
  public func lastUse(age: UInt8, in epoch: UInt64, at now: Timestamp) -> Span {
    let used = epoch - min(epoch, UInt64(age))
    let isOldest = age >= oldestAge
    return Span(
      after: isOldest ? nil : epochs.first { $0.number >= used }?.unseenAt ?? unseen(used),
      before: epochs.first { $0.number > used }?.seenAt ?? now)
  }

  /// How old an association is that was used at some time, as far as is known.
  ///
  /// - Parameter epoch: that of the table now.
  /// - Returns: 1…``oldestAge``, as if it was used before the present epoch. Of what was used before the
  ///   first look only that is known.
  public func age(usedAt time: Timestamp, in epoch: UInt64) -> UInt8 {
    let last = epochs.last { $0.seenAt <= time }
    let used = last?.number ?? epochs.first.map { $0.number &- 1 } ?? epoch
    let age = Int64(bitPattern: epoch &- used)
    return UInt8(clamping: max(1, min(age, Int64(oldestAge))))
  }

  /// Of an epoch that no look has found yet: the last look.
  private func unseen(_ epoch: UInt64) -> Timestamp? {
    guard let last = epochs.last, last.number < epoch else { return nil }
    return lastLook
  }
}
