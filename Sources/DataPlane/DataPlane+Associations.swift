// The data plane's associations: looked at, read out as a whole, and restored.
import BCC
import LoadBalancing

extension DataPlane {
  /// Reads associations from any thread.
  ///
  /// - Parameter clock: the time of day.
  public func associationBrowser(clock: @escaping @Sendable () -> Timestamp) -> AssociationBrowser {
    AssociationBrowser(inForce, clock: clock)
  }

  /// Notes which epochs the association tables are in, by which ages become times. To be called each
  /// second or so.
  public func noteEpochs(at now: Timestamp) { inForce.look(at: now) }

  /// Starts reading all associations.
  public func readAssociations() -> AssociationReader {
    AssociationReader(
      service.associations, plan: { self.service.plan }, roundPosition: service.positions.read)
  }

  /// The index in the round that the next new client of a virtual server is given.
  ///
  /// - Parameter index: that of the virtual server in the configuration.
  public func roundPosition(ofVirtualServer index: Int = 0) -> UInt32 {
    service.plan.number(of: configuration.virtualServers[index])
      .map(service.positions.read) ?? 0
  }

  /// Puts the rounds of virtual servers where they were, as far as they are configured still. The
  /// first turn is taken where the round has none there.
  public func setRoundPositions(of saved: [SavedVirtualServer]) throws(DataPlaneError) {
    let restorer = AssociationRestorer(service.associations, plan: service.plan)
    do throws(BCCError) {
      for virtualServer in saved {
        guard let number = restorer.number(of: virtualServer) else { continue }
        try service.positions.write(number, virtualServer.roundPosition)
      }
    } catch {
      throw .wording(error)
    }
  }

  /// Puts saved associations into the tables. To be called before the program is attached.
  ///
  /// - Parameters:
  ///   - associations: those with the lowest ranks first.
  ///   - ranking: by what they are ranked.
  ///   - saved: what their indices point into.
  public func restore(
    _ associations: [Association], rankedBy ranking: Ranking = .byAge,
    of saved: [SavedVirtualServer]
  ) -> Restored {
    AssociationRestorer(service.associations, plan: service.plan)
      .restore(associations, rankedBy: ranking, of: saved)
  }
}
