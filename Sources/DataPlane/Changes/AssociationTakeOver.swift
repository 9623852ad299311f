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
      taking.settle(&findings, &counts)
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
