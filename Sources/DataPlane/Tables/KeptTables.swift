// Tables that another process has kept, looked through before anything believes what they say.
import BCC
import LoadBalancing

/// The tables of a process that was here before. What they say can be relied on: types and sizes are
/// the layout's, and what is in force is what ulb can have written.
public enum KeptTables: Sendable {
  /// Those of today's layouts: a program of this ulb can use the association tables.
  case present(PresentTables)
  /// Those of which the associations can be read.
  case former(FormerTables)

  /// Why a set of tables is not used.
  struct Refusal: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }

    /// What a look through tables threw.
    init(_ error: any Error) {
      self = error as? Refusal ?? Refusal("\(error)")
    }
  }

  /// The families of which there are associations.
  var families: [AddressFamily] {
    switch self {
    case .present(let tables): tables.families
    case .former(let tables): [tables.family]
    }
  }

  /// What the control socket had set of real servers; `nil` where the tables are of a former version
  /// of the layouts, which had no place for it.
  public var overrides: Overrides? {
    switch self {
    case .present(let tables): tables.overrides
    case .former: nil
    }
  }

  // MARK: What is checked of any version

  /// Checks type, sizes and flags of a table.
  static func check(_ table: Table, _ name: String, is expected: TableShape) throws(Refusal) {
    let found = TableShape(table)
    guard found == expected else { throw Refusal("\(name) is \(found), not \(expected)") }
  }

  static func check(bank: UInt32) throws(Refusal) {
    guard bank <= 1 else { throw Refusal("control tells of a bank \(bank)") }
  }

  /// Checks what control says of the association table.
  ///
  /// - Parameter tables: those with an entry for each bucket, and their names.
  static func checkBuckets(
    _ tables: [(name: String, table: Table)], maxAssociations: UInt32, secret: HashSecret
  ) throws(Refusal) {
    guard Control.isSecret(secret) else { throw Refusal("control has no secret") }
    guard maxAssociations > 0 else { throw Refusal("control tells of 0 associations") }
    let buckets = AssociationTable.bucketCount(maxAssociations: maxAssociations)
    for (name, table) in tables where table.capacity != buckets {
      throw Refusal(
        "\(name) has \(table.capacity) buckets, and control tells of \(maxAssociations) "
          + "associations")
    }
  }
}
