// The association table as the domain's associations: read out, and put back into another table.
import BCC
import LoadBalancing

/// Reads all associations of a table.
public struct AssociationReader {
  /// What the associations' indices point into: the real servers of all slots.
  public let realServers: [IPAddress]
  private var nextBatch: () throws(BCCError) -> [Association]?

  /// How many are read at once.
  static let batch = 1 << 15

  init(_ tables: Tables, slots: [ServerPlan.Slot?], family: AddressFamily) throws(BCCError) {
    func make<Layout: FamilyLayout>(_ layout: Layout.Type) throws(BCCError) -> AssociationReader {
      AssociationReader(try TypedTable(tables[.associations]), slots: slots, layout: layout)
    }
    self = try make(family.layout)
  }

  private init<Layout: FamilyLayout>(
    _ table: TypedTable<Layout.FlowKey, UInt64>, slots: [ServerPlan.Slot?], layout: Layout.Type
  ) {
    let used = slots.prefix { $0 != nil }.compactMap(\.self)
    realServers = used.map(\.address)
    let generations = AssociationLeaf.generations(used)
    var reader = BatchReader(table, limit: AssociationReader.batch)
    nextBatch = { () throws(BCCError) in
      guard let (keys, leaves) = try reader.next() else { return nil }
      return AssociationReader.associations(Layout.clients(keys), leaves, generations)
    }
  }

  /// The next associations, possibly none of them; `nil` at the end.
  ///
  /// One whose real server's slot was given to another is left out.
  public func next() throws(DataPlaneError) -> [Association]? {
    do {
      return try nextBatch()
    } catch {
      throw .wording(error)
    }
  }

  private static func associations(
    _ clients: [Client], _ leaves: [UInt64], _ generations: [UInt32]
  ) -> [Association] {
    var associations: [Association] = []
    associations.reserveCapacity(clients.count)
    for (client, leaf) in zip(clients, leaves) {
      guard let slot = AssociationLeaf.slot(of: leaf, generations: generations) else { continue }
      associations.append(Association(client: client, realServer: UInt32(slot)))
    }
    return associations
  }
}

/// Puts associations into a table.
struct AssociationWriter<Layout: FamilyLayout> {
  private let table: TypedTable<Layout.FlowKey, UInt64>
  /// The leaf for each index of a real server; 0 where there is none to be had.
  private let leaves: [UInt64]

  /// - Parameters:
  ///   - realServers: what the associations' indices point into.
  ///   - plan: the slots that the table's leaves point into.
  init(
    _ table: TypedTable<Layout.FlowKey, UInt64>, realServers: [IPAddress], plan: ServerPlan,
    layout: Layout.Type
  ) {
    self.table = table
    leaves = realServers.map { AssociationLeaf.leaf(for: $0, in: plan) ?? 0 }
  }

  /// Writes associations of the layout's family.
  ///
  /// - Returns: how many were restored, and how many were not as their server is not listed.
  func write(_ associations: [Association]) throws(BCCError) -> (
    restored: Int, unlisted: Int
  ) {
    var restored = 0
    var unlisted = 0
    var start = 0
    while start < associations.count {
      let batch = associations[start...].prefix(AssociationReader.batch)
      start = batch.endIndex
      var clients: [Client] = []
      var values: [UInt64] = []
      clients.reserveCapacity(batch.count)
      values.reserveCapacity(batch.count)
      for association in batch {
        let server = Int(association.realServer)
        guard server < leaves.count, leaves[server] != 0 else {
          unlisted += 1
          continue
        }
        clients.append(association.client)
        values.append(leaves[server])
      }
      let keys = Layout.keys(clients)
      try table.update(keys: keys, leaves: values)
      restored += keys.count
    }
    return (restored, unlisted)
  }
}
