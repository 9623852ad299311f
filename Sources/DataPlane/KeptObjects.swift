// The kernel objects of a process that was here before: its tables and its link to the interface.
// Knows their names, not who kept them.
import BCC
import LoadBalancing
import SystemPackage

/// What a former process has handed on. The link keeps its program attached, so that packets flow
/// from the first process's start on to the last one's stop.
public struct KeptObjects: Sendable {
  /// The tables of the attached program; `nil` where there are none that can be trusted.
  public let tables: KeptTables?
  let links: [KeptLink]
  /// Whether nothing was handed on at all.
  public var isEmpty: Bool { names.isEmpty && links.isEmpty }
  /// What was kept and cannot be trusted, a line each. The start goes on without it.
  public let refusals: [String]
  /// The number of the set of tables that ``tables`` are; 0 for none.
  let set: Int
  /// A number that no kept set has.
  let unusedSet: Int
  /// All names but those of links.
  private let names: Set<String>
  let namesOfLinks: Set<String>

  private let programs: [Program]

  /// A link that a former process has kept.
  struct KeptLink {
    let link: Link
    /// How its program came to its mode; `nil` for one of ulb 1.0.0, which did not keep that.
    let choice: Attachment.Choice?
  }

  /// Takes the descriptors over; what is no object of ours is closed.
  public init(_ descriptors: [(name: String, descriptor: FileDescriptor)]) {
    var found = Found()
    for (name, descriptor) in descriptors {
      found.take(descriptor, as: name)
    }
    var whole: [Int: KeptTables] = [:]
    for (set, tables) in found.tables.sorted(by: { $0.key < $1.key }) {
      do throws(KeptTables.Refusal) {
        if let name = found.ambiguous[set] { throw KeptTables.Refusal("\(name) is there twice") }
        whole[set] = try KeptTables(tables)
      } catch {
        found.refusals.append("The kept tables of set \(set) are not used: \(error.reason).")
      }
    }
    let attached = Set(found.links.compactMap { try? $0.link.programID() })
    let ids = found.programs.mapValues { Set($0.compactMap { try? $0.info().id }) }
    set = KeptObjects.setInForce(Set(whole.keys), programs: ids, attached: attached)
    tables = whole[set]
    links = found.links
    programs = found.programs.values.flatMap(\.self)
    unusedSet = (Set(found.tables.keys).union(found.programs.keys).max() ?? 0) + 1
    refusals = found.refusals
    let all = Set(descriptors.map(\.name).filter(KeptObjects.canBeStored))
    names = all.subtracting(KeptObjects.linkNames)
    namesOfLinks = all.intersection(KeptObjects.linkNames)
  }

  /// The program that a link holds; `nil` where it was not kept and cannot be had otherwise.
  func program(of link: Link) -> Program? {
    guard let id = try? link.programID() else { return nil }
    return programs.first { (try? $0.info().id) == id } ?? Program(id: id)
  }

  /// sd_notify(3) knows names of these characters alone.
  private static func canBeStored(_ name: String) -> Bool {
    (1...255).contains(name.utf8.count)
      && name.utf8.allSatisfy { (0x20..<0x7f).contains($0) && $0 != UInt8(ascii: ":") }
  }

  /// Two sets are there if a process died while it exchanged one for the other: the one whose
  /// program is attached is in force. None may be so where the process died right after a swap; the
  /// new set has the higher number, and was not swapped in then.
  ///
  /// - Returns: 0 where none is.
  private static func setInForce(
    _ whole: Set<Int>, programs: [Int: Set<UInt32>], attached: Set<UInt32>
  ) -> Int {
    // Where the set in force is one that cannot be trusted, another is not better.
    if let set = programs.first(where: { !$0.value.isDisjoint(with: attached) })?.key {
      return whole.contains(set) ? set : 0
    }
    return whole.filter { programs[$0] == nil }.min() ?? whole.min() ?? 0
  }

  /// What the descriptors are, as far as they are what their names say.
  private struct Found {
    var tables: [Int: [TableName: Table]] = [:]
    var programs: [Int: [Program]] = [:]
    var links: [KeptLink] = []
    var refusals: [String] = []
    /// A name that came twice, of each set that has one.
    var ambiguous: [Int: String] = [:]

    mutating func take(_ descriptor: FileDescriptor, as name: String) {
      do throws(BCCError) {
        if KeptObjects.linkNames.contains(name) {
          let choice = Attachment.Choice.allCases.first { KeptObjects.linkName($0) == name }
          links.append(KeptLink(link: try Link(adopting: descriptor), choice: choice))
        } else if let set = KeptObjects.set(of: name, kind: KeptObjects.programName) {
          programs[set, default: []].append(try Program(adopting: descriptor))
        } else if let (table, set) = KeptObjects.table(of: name) {
          let former = tables[set, default: [:]].updateValue(
            try Table(adopting: descriptor), forKey: table)
          if former != nil { ambiguous[set] = table.rawValue }
        } else {
          try? descriptor.close()
          refuse(name, "ulb keeps nothing of that name")
        }
      } catch {
        refuse(name, "\(error)")
      }
    }

    private mutating func refuse(_ name: String, _ reason: String) {
      let shown = name.count > 40 ? "\(name.prefix(40))…" : name
      refusals.append("The kept descriptor '\(shown)' is not used: \(reason).")
    }
  }

  // MARK: Names

  /// The name under which a link is kept.
  static func linkName(_ choice: Attachment.Choice) -> String { "link.\(choice.rawValue)" }

  /// All names of links, that of ulb 1.0.0 too.
  static let linkNames = ["link"] + Attachment.Choice.allCases.map(linkName)

  /// The names of all that is no longer in force, and better forgotten.
  ///
  /// - Parameter isReplaced: whether the set of tables itself has been exchanged for a new one.
  func staleNames(isReplaced: Bool) -> [String] {
    guard !isReplaced, case .present(let present)? = tables else { return names.sorted() }
    let inForce = KeptObjects.names(of: present.tables, set: set).map(\.name)
    return names.subtracting(inForce + [KeptObjects.programName(set: set)]).sorted()
  }

  /// The names under which a set of tables is kept.
  public static func names(of tables: Tables, set: Int) -> [(name: String, table: Table)] {
    tables.all.map { (name(of: $0.name.rawValue, set: set), $0.table) }
  }

  /// The name under which the program that uses a set of tables is kept.
  static func programName(set: Int) -> String { name(of: programName, set: set) }

  private static let programName = "program"

  private static func name(of kind: String, set: Int) -> String { "\(kind).\(set)" }

  /// The most that a set's number can be. Each exchange of the tables adds one.
  private static let mostSets = 1_000_000_000

  /// The table that a name is of, if it is one of ours.
  private static func table(of name: String) -> (table: TableName, set: Int)? {
    let kind = String(name.prefix { $0 != "." })
    guard let table = TableName(rawValue: kind) ?? FormerTables.names[kind],
      let set = set(of: name, kind: kind)
    else { return nil }
    return (table, set)
  }

  /// The set that a name is of; `nil` for one that ulb does not write so.
  private static func set(of name: String, kind: String) -> Int? {
    guard name.hasPrefix("\(kind)."), let set = Int(name.dropFirst(kind.count + 1)),
      (1...mostSets).contains(set), name == self.name(of: kind, set: set)
    else { return nil }
    return set
  }
}
