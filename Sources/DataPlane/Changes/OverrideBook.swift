// What the control socket has set of real servers, and when: to be told to other directors.
import LoadBalancing
import Synchronization

/// Which overrides there are, and which there were: what has ended is known with its time, so that
/// nobody who tells of it later puts it in force again.
final class OverrideBook: Sendable {
  private let entries = Mutex<[Overrides.Target: SharedOverride]>([:])

  /// Follows what is in force. What another time is not known of has changed now.
  func follow(_ configuration: Configuration, at now: UInt64) {
    entries.withLock { entries in
      let labels = Dictionary(
        configuration.virtualServers.map { ($0.name, $0.label) }, uniquingKeysWith: { $1 })
      let all = configuration.overrides.all
      for target in Set(all.keys).union(entries.keys) {
        let (state, weight) = (all[target]?.state, all[target]?.weight)
        let former = entries[target]
        guard former?.state != state || former?.weight != weight,
          let label = labels[target.name] ?? former?.virtualServer
        else { continue }
        entries[target] = SharedOverride(
          at: now, realServer: target.address, state: state, virtualServer: label, weight: weight)
      }
    }
  }

  /// What there was of a real server, or is.
  subscript(target: Overrides.Target) -> SharedOverride? {
    get { entries.withLock { $0[target] } }
    set { entries.withLock { $0[target] = newValue } }
  }

  /// All that are in force.
  var present: [SharedOverride] {
    entries.withLock { $0.values.filter { $0.state != nil || $0.weight != nil } }
  }
}
