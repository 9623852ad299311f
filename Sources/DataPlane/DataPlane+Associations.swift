// The data plane's associations as a whole: read out and restored.
import BCC
import LoadBalancing

extension DataPlane {
  /// Starts reading all associations.
  public func readAssociations() -> AssociationReader {
    AssociationReader(
      associations, slots: self.servers.slots, family: configuration.family)
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

  /// Puts saved associations into the table. To be called before the program is attached.
  ///
  /// - Parameters:
  ///   - associations: of the configuration's family, those that were used last first.
  ///   - realServers: what their indices point into.
  public func restore(_ associations: [Association], of realServers: [IPAddress]) -> Restored {
    let slots = realServers.map { servers.listedSlot(of: $0) }
    return switch configuration.family {
    case .ipv4: self.associations.restore(IPv4ClientKey.self, associations, slots: slots)
    case .ipv6: self.associations.restore(IPv6ClientKey.self, associations, slots: slots)
    }
  }
}
