// The data plane's associations as a whole: read out, restored, copied from tables that were kept.
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
      return try write(associations, of: realServers, onlyMissing: false)
    } catch {
      throw .wording(error)
    }
  }

  /// Copies the associations that clients made with the former program while this one's tables
  /// were filled. To be called after the swap.
  public func copyLate() throws(DataPlaneError) {
    guard former != nil else { return }
    // Where not all of them fit, a second round would only evict those of the first.
    if case .copied(let count) = adoption, count < tables.associations.capacity {
      _ = try copyFormer(onlyMissing: true)
    }
    former = nil
  }

  func copyFormer(onlyMissing: Bool) throws(DataPlaneError) -> Int {
    guard let former else { return 0 }
    do throws(BCCError) {
      if !onlyMissing {
        try tables.setRoundPosition(former.tables.roundPosition())
        try evictOldest(leaving: tables.associations.undisputedCapacity)
      }
      let reader = try DataPlane.reader(of: former.tables, former.slots, configuration.family)
      var count = 0
      while let associations = try reader.nextOrError() {
        count += try write(
          associations, of: reader.realServers, onlyMissing: onlyMissing
        ).restored
      }
      return count
    } catch {
      throw .wording(error)
    }
  }

  /// Makes room in a former table until what is left fits a smaller one.
  ///
  /// The kernel does not tell in which order the entries were used, but it knows: for fillers that
  /// are put in, it evicts the least recently used, in batches and for each CPU apart. Fillers are
  /// taken out again, as they would soon be all that it looks at: it lets entries that were used
  /// more than once grow old only while they are the greater part.
  private func evictOldest(leaving capacity: Int) throws(BCCError) {
    guard let former else { return }
    let table = former.tables.associations
    var count = try self.count(former)
    for _ in 0..<32 where count > capacity {
      try onEachCPU { () throws(BCCError) in
        guard count > capacity else { return }
        let fillers = UInt32(table.capacity - capacity)
        try fill(table, fillers, configuration.family.layout)
        count = try self.count(former)
      }
    }
  }

  private func fill<Layout: FamilyLayout>(
    _ table: Table, _ count: UInt32, _ layout: Layout.Type
  ) throws(BCCError) {
    for start in stride(from: 0, to: count, by: 1 << 15) {
      let keys = (start..<min(count, start + 1 << 15)).map { Layout.fillerKey($0) }
      try table.update(keys: keys, leaves: [UInt64](repeating: 0, count: keys.count))
    }
    for number in 0..<count { try table.remove(Layout.fillerKey(number)) }
  }

  private func count(_ former: (tables: Tables, slots: [ServerTable.Slot?])) throws(BCCError) -> Int
  {
    let reader = try DataPlane.reader(of: former.tables, former.slots, configuration.family)
    var count = 0
    while let associations = try reader.nextOrError() { count += associations.count }
    return count
  }

  private func write(
    _ associations: [Association], of realServers: [IPAddress], onlyMissing: Bool
  ) throws(BCCError) -> (restored: Int, unlisted: Int) {
    func write<Layout>(_ layout: Layout.Type) throws(BCCError) -> (restored: Int, unlisted: Int)
    where Layout: FamilyLayout {
      let writer = AssociationWriter(
        tables.associations, realServers: realServers, plan: servers, layout: layout)
      return try writer.write(associations, onlyMissing: onlyMissing)
    }
    return try write(configuration.family.layout)
  }

  private static func reader(
    of tables: Tables, _ slots: [ServerTable.Slot?], _ family: AddressFamily
  ) throws(BCCError) -> AssociationReader {
    func reader<Layout: FamilyLayout>(_ layout: Layout.Type) throws(BCCError) -> AssociationReader {
      try AssociationReader(tables.associations, slots: slots, layout: layout)
    }
    return try reader(family.layout)
  }
}
