// What is in force, for those who read the association tables on other threads while it changes.
import LoadBalancing
import Synchronization

/// The plan in force and the association tables that it gives a meaning to. Set by the loop that
/// changes them, read by any thread.
final class ServiceInForce: Sendable {
  /// What was in force at one time. The tables live as long as somebody has it.
  struct Content: Sendable {
    fileprivate(set) var version: UInt64 = 0
    fileprivate(set) var plan = ServicePlan()
    fileprivate(set) var tables: [AddressFamily: AssociationTable] = [:]
    fileprivate(set) var clocks: [AddressFamily: Clocks] = [:]

    /// By what clients are ranked, whatever their family.
    var ranking: Ranking { tables.values.first?.ranking ?? .byAge }
  }

  /// When epochs of a table began.
  struct Clocks: Sendable {
    fileprivate(set) var insertions: EpochClock
    fileprivate(set) var promotions: EpochClock

    init(_ ranking: Ranking) {
      insertions = EpochClock(oldestAge: ranking.oldestAge)
      promotions = insertions
    }
  }

  private let content = Mutex(Content())

  var now: Content { content.withLock { $0 } }

  /// To be called when no association leads to a slot any more that has another member than before,
  /// and before a packet can make one with that.
  func publish(_ plan: ServicePlan, _ tables: [AddressFamily: AssociationTable]) {
    content.withLock { content in
      content.version += 1
      (content.plan, content.tables) = (plan, tables)
      content.clocks = content.clocks.filter { tables[$0.key] != nil }
    }
  }

  /// Notes which epoch it is.
  func look(at now: Timestamp) {
    content.withLock { content in
      // In a single bucket stamps are no epochs.
      for (family, table) in content.tables where !table.isSingleBucket {
        var clocks = content.clocks[family] ?? Clocks(table.ranking)
        clocks.insertions.look(table.control.fullEpoch, at: now)
        if table.ranking == .byClass {
          clocks.promotions.look(table.control.promotionEpoch, at: now)
        }
        content.clocks[family] = clocks
      }
    }
  }

  /// Reads words and what their slots mean: again where the meaning has changed meanwhile.
  func read<Result>(_ body: (Content) -> Result) -> Result {
    while true {
      let content = now
      let result = body(content)
      if self.content.withLock({ $0.version }) == content.version { return result }
    }
  }
}
