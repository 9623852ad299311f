// The association table as records: read out, and put back into another table.
import BCC
import CLayout
import LoadBalancing

/// Reads all associations as records of the state file.
public struct AssociationReader {
  /// The real servers that the records' indices point into: those of all slots.
  public let realServers: [IPAddress]
  private var nextRecords: () throws(BCCError) -> [UInt8]?

  /// How many are read at once.
  static let batch = 1 << 15

  init<Layout: FamilyLayout>(
    _ table: Table, slots: [ServerTable.Slot?], layout: Layout.Type
  ) throws(BCCError) {
    let used = slots.prefix { $0 != nil }.compactMap(\.self)
    realServers = used.map(\.address)
    let generations = used.map(\.generation)
    var reader = try BatchReader<Layout.FlowKey, UInt64>(table, limit: AssociationReader.batch)
    nextRecords = { () throws(BCCError) in
      guard let (keys, leaves) = try reader.next() else { return nil }
      return AssociationReader.records(keys, leaves, generations)
    }
  }

  /// The next records, possibly none of them; `nil` at the end.
  ///
  /// An association whose real server's slot was given to another is not worth a record.
  public func next() throws(DataPlaneError) -> [UInt8]? {
    do {
      return try nextBatch()
    } catch {
      throw .wording(error)
    }
  }

  func nextBatch() throws(BCCError) -> [UInt8]? { try nextRecords() }

  private static func records<Key: BitwiseCopyable>(
    _ keys: [Key], _ words: [UInt64], _ generations: [UInt32]
  ) -> [UInt8] {
    let keySize = MemoryLayout<Key>.size
    let size = keySize + 4
    return [UInt8](unsafeUninitializedCapacity: keys.count * size) { bytes, filled in
      let bytes = UnsafeMutableRawBufferPointer(bytes)
      for (key, word) in zip(keys, words) {
        let leaf = association(word: word)
        let server = Int(leaf.server)
        guard server < generations.count, generations[server] == leaf.generation else { continue }
        bytes.storeBytes(of: key, toByteOffset: filled, as: Key.self)
        bytes.storeBytes(
          of: leaf.server.littleEndian, toByteOffset: filled + keySize, as: UInt32.self)
        filled += size
      }
    }
  }
}

/// Puts records into an association table.
struct AssociationWriter<Layout: FamilyLayout> {
  private let table: Table
  /// The association for each index of the records; 0 where there is none to be had.
  private let associations: [UInt64]

  /// - Parameters:
  ///   - realServers: what the records' indices point into.
  ///   - plan: the slots that the table's associations point into.
  init(_ table: Table, realServers: [IPAddress], plan: ServerTable, layout: Layout.Type) {
    self.table = table
    associations = realServers.map { address in
      guard let id = plan.slot(of: address), let slot = plan.slots[Int(id)], slot.isListed else {
        return 0
      }
      return association(.init(server: id, generation: slot.generation)).word
    }
  }

  /// Writes records in batches.
  ///
  /// - Parameter onlyMissing: leaves clients alone that the table knows.
  /// - Returns: how many were restored, and how many were not as their server is not listed.
  func write(_ records: UnsafeRawBufferPointer, onlyMissing: Bool = false) throws(BCCError) -> (
    restored: Int, unlisted: Int
  ) {
    let keySize = MemoryLayout<Layout.FlowKey>.size
    let size = keySize + 4
    var restored = 0
    var unlisted = 0
    var offset = 0
    while offset + size <= records.count {
      var keys: [Layout.FlowKey] = []
      var leaves: [UInt64] = []
      let end = min(records.count, offset + AssociationReader.batch * size)
      keys.reserveCapacity((end - offset) / size)
      leaves.reserveCapacity((end - offset) / size)
      while offset + size <= end {
        let index = records.loadUnaligned(fromByteOffset: offset + keySize, as: UInt32.self)
        let server = Int(UInt32(littleEndian: index))
        if server < associations.count, associations[server] != 0 {
          keys.append(records.loadUnaligned(fromByteOffset: offset, as: Layout.FlowKey.self))
          leaves.append(associations[server])
        } else {
          unlisted += 1
        }
        offset += size
      }
      if onlyMissing {
        for (key, leaf) in zip(keys, leaves) where try table.insert(key, leaf) { restored += 1 }
      } else {
        try table.update(keys: keys, leaves: leaves)
        restored += keys.count
      }
    }
    return (restored, unlisted)
  }
}
