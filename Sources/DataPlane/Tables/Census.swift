// How many clients each real server has, counted in the association table itself while packets use it.
import CLayout
import LoadBalancing

/// How many associations there were of each slot, at some time.
public struct Census: Sendable {
  /// Of each family, by slot.
  private let counts: [AddressFamily: [UInt32]]
  private let totals: [AddressFamily: Int]

  init(_ tables: [AddressFamily: AssociationTable]) {
    counts = tables.mapValues { $0.countSlots() }
    totals = counts.mapValues { $0.reduce(0) { $0 + Int($1) } }
  }

  /// How many associations a family has: places of its table that are in use. Those of real servers
  /// that have left count until another client takes their place.
  public func clients(of family: AddressFamily) -> Int { totals[family] ?? 0 }

  /// How many clients a real server of a virtual server has.
  public func clients(of slot: RealServerSlot) -> Int {
    counts[slot.family].map { Int($0[Int(slot.number)]) } ?? 0
  }
}

extension AssociationTable {
  /// How many associations lead to each slot, one count for each number of 16 bits. Looks at each
  /// word once: some nanoseconds a bucket.
  func countSlots() -> [UInt32] {
    var counts = [UInt32](repeating: 0, count: Int(UInt16.max) + 1)
    counts.withUnsafeMutableBufferPointer { counts in
      forEachWord { word in counts[Int(SharedBucket.slot(of: word))] += word == 0 ? 0 : 1 }
    }
    // What the daemon has put down, and is no association yet.
    counts[Int(AssociationTable.pendingSlot)] = 0
    return counts
  }
}
