// What the words of an association table mean to other directors.
import LoadBalancing

/// Which real server of which virtual server each slot of a family is.
struct SharedSlots: Sendable {
  /// What a slot leads to.
  struct Target: Sendable, Equatable {
    /// The virtual server's.
    let number: UInt8
    /// The virtual server's.
    let label: String
    let realServer: IPAddress
  }

  /// By slot; `nil` for one that no virtual server in service has.
  let targets: [Target?]

  init(_ plan: ServicePlan, _ family: AddressFamily) {
    var labels: [UInt8: String] = [:]
    for numbered in plan.served where numbered.virtualServer.family == family {
      labels[numbered.number] = numbered.virtualServer.label
    }
    targets = plan.slots(of: family).map { slot in
      guard let member = slot?.member, let label = labels[member.virtualServer] else { return nil }
      return Target(number: member.virtualServer, label: label, realServer: member.address)
    }
  }

  @inline(__always)
  subscript(slot: UInt16) -> Target? { Int(slot) < targets.count ? targets[Int(slot)] : nil }

  /// The slots that another plan gives another meaning.
  func changed(in other: SharedSlots) -> [UInt16] {
    targets.indices.filter { targets[$0] != nil && targets[$0] != other[UInt16($0)] }
      .map { UInt16($0) }
  }
}
