// Tells when a flood of new clients begins and ends: a line each, however many packets it has.
import DataPlane
import LoadBalancing

/// Looks at the new clients of each family, each second.
struct FloodReporter {
  private var watches: [AddressFamily: FloodWatch] = [:]
  private let start = ContinuousClock.now

  mutating func look(_ dataPlane: DataPlaneSnapshot, _ log: Log) {
    for family in dataPlane.families {
      let counts = dataPlane.associationCounts(of: family)
      let created = counts.created.byClient &+ counts.created.byRealServer &+ counts.withoutPlace
      let news = watches[family, default: FloodWatch()].look(
        isUnderPressure: dataPlane.isUnderPressure(family), created: created,
        at: ContinuousClock.now - start)
      switch news {
      case nil: break
      case .began(let rate):
        log.warning(
          "A flood of new \(family) clients has begun, \(rate) a second: they push each other out "
            + "of the association table within two seconds. Residents keep their places; new clients "
            + "are given real servers by hash.")
      case .ended(let seconds, let clients, let rate):
        log.warning(
          "The flood of new \(family) clients is over after \(seconds) s: \(clients) in all, at most "
            + "\(rate) a second.")
      }
    }
    watches = watches.filter { dataPlane.families.contains($0.key) }
  }
}
