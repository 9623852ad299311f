// The data plane's associations as a whole: read out and restored.
import BCC
import LoadBalancing

extension DataPlane {
  /// Starts reading all associations.
  public func readAssociations() throws(DataPlaneError) -> AssociationReader {
    do {
      return try AssociationReader(tables, slots: servers.slots, family: configuration.family)
    } catch {
      throw .wording(error)
    }
  }

  /// The index in the list that the next new client is given.
  public var roundPosition: UInt32 {
    position.read()
  }

  /// Puts the round robin where it was.
  ///
  /// - Parameter position: an index in the list; the first is taken where the list has none there.
  public func setRoundPosition(_ position: UInt32) throws(DataPlaneError) {
    do { try self.position.write(position) } catch { throw .wording(error) }
  }

  /// Puts saved associations into the table.
  ///
  /// - Parameters:
  ///   - associations: of the configuration's family.
  ///   - realServers: what their indices point into.
  /// - Returns: how many were restored, and how many were not as their server is not listed.
  public func restore(_ associations: [Association], of realServers: [IPAddress])
    throws(DataPlaneError) -> (restored: Int, unlisted: Int)
  {
    do {
      return try write(associations, of: realServers)
    } catch {
      throw .wording(error)
    }
  }

  private func write(
    _ associations: [Association], of realServers: [IPAddress]
  ) throws(BCCError) -> (restored: Int, unlisted: Int) {
    func write<Layout>(_ layout: Layout.Type) throws(BCCError) -> (restored: Int, unlisted: Int)
    where Layout: FamilyLayout {
      let writer = AssociationWriter(
        try TypedTable(tables[.associations]), realServers: realServers, plan: servers,
        layout: layout)
      return try writer.write(associations)
    }
    return try write(configuration.family.layout)
  }
}
