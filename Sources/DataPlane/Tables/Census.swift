// How many clients each real server has, counted in the association table itself while packets use it.
import CLayout
import LoadBalancing

/// How many associations there were of each slot, at some time.
public struct Census: Sendable {
  /// Of each family, by slot.
  private let counts: [AddressFamily: [UInt32]]
  private let classes: [AddressFamily: [ClientClass: Int]]

  init(_ tables: [AddressFamily: AssociationTable]) {
    let counted = tables.mapValues { $0.count() }
    counts = counted.mapValues(\.slots)
    classes = counted.mapValues(\.classes)
  }

  /// How many associations a family has of a class: places of its table that are in use. Those of real
  /// servers that have left count until another client takes their place.
  public func clients(of family: AddressFamily, _ clientClass: ClientClass) -> Int {
    classes[family]?[clientClass] ?? 0
  }

  /// How many it has of all classes.
  public func clients(of family: AddressFamily) -> Int {
    classes[family]?.values.reduce(0, +) ?? 0
  }

  /// How many clients a real server of a virtual server has.
  public func clients(of slot: RealServerSlot) -> Int {
    counts[slot.family].map { Int($0[Int(slot.number)]) } ?? 0
  }
}

extension AssociationTable {
  /// How many associations lead to each slot, one count for each number of 16 bits, and how many there
  /// are of each class. Looks at each word once: some nanoseconds a bucket.
  func count() -> (slots: [UInt32], classes: [ClientClass: Int]) {
    var slots = [UInt32](repeating: 0, count: Int(UInt16.max) + 1)
    var classes = [ClientClass: Int]()
    var (answered, residents) = (0, 0)
    slots.withUnsafeMutableBufferPointer { slots in
      forEachWord { word, stamp in
        slots[Int(SharedBucket.slot(of: word))] += 1
        guard ranking == .byClass else { return }
        switch stamp.clientClass {
        case .newcomer: break
        case .answered: answered += 1
        case .resident: residents += 1
        }
      }
    }
    // What the daemon has put down, and is no association yet: newcomers, if anything.
    slots[Int(AssociationTable.pendingSlot)] = 0
    let total = slots.reduce(0) { $0 + Int($1) }
    classes[.newcomer] = max(0, total - answered - residents)
    classes[.answered] = answered
    classes[.resident] = residents
    return (slots, classes)
  }
}
