// The value of an association, as `union former_association` of layout.h lays it out. The one place
// in Swift that knows its fields.
import CLayout
import LoadBalancing

/// What the association table holds for a client, as one word.
enum AssociationLeaf {
  /// That of an association with the real server of an address; `nil` where none is listed.
  static func leaf(for address: IPAddress, in plan: ServerPlan) -> UInt64? {
    guard let number = plan.slot(of: address), let slot = plan.slots[Int(number)], slot.isListed
    else { return nil }
    return former_association(.init(server: number, generation: slot.generation)).word
  }

  /// The slot that a leaf leads to; `nil` where that slot was given to another real server since.
  ///
  /// - Parameter generations: those of all slots, 0 for one that was never used.
  static func slot(of leaf: UInt64, generations: [UInt32]) -> Int? {
    let leaf = former_association(word: leaf)
    let slot = Int(leaf.server)
    guard leaf.generation != 0, slot < generations.count, generations[slot] == leaf.generation
    else { return nil }
    return slot
  }

  /// For ``slot(of:generations:)``.
  static func generations(_ slots: [ServerPlan.Slot?]) -> [UInt32] {
    slots.map { $0?.generation ?? 0 }
  }
}
