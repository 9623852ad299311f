// The data plane's associations as a whole: read out and restored.
import BCC
import LoadBalancing

extension DataPlane {
  /// Starts reading all associations.
  public func readAssociations() throws(DataPlaneError) -> AssociationReader {
    do {
      return try DataPlane.reader(of: tables, servers.slots, configuration.family)
    } catch {
      throw .wording(error)
    }
  }

  /// The index in the list that the next new client is given.
  public var roundPosition: UInt32 {
    get throws(DataPlaneError) {
      do { return try tables.roundPosition() } catch { throw .wording(error) }
    }
  }

  /// Puts the round robin where it was.
  ///
  /// - Parameter position: an index in the list; the first is taken where the list has none there.
  public func setRoundPosition(_ position: UInt32) throws(DataPlaneError) {
    do { try tables.setRoundPosition(position) } catch { throw .wording(error) }
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
    _ associations: [Association], of realServers: [IPAddress],
  ) throws(BCCError) -> (restored: Int, unlisted: Int) {
    func write<Layout>(_ layout: Layout.Type) throws(BCCError) -> (restored: Int, unlisted: Int)
    where Layout: FamilyLayout {
      let writer = AssociationWriter(
        tables.associations, realServers: realServers, plan: servers, layout: layout)
      return try writer.write(associations)
    }
    return try write(configuration.family.layout)
  }

  private static func reader(
    of tables: Tables, _ slots: [ServerPlan.Slot?], _ family: AddressFamily
  ) throws(BCCError) -> AssociationReader {
    func reader<Layout: FamilyLayout>(_ layout: Layout.Type) throws(BCCError) -> AssociationReader {
      try AssociationReader(tables.associations, slots: slots, layout: layout)
    }
    return try reader(family.layout)
  }
}
