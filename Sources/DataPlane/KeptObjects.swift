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
  /// Those of ``tables`` and their program, where they are of today's layouts.
  let namesInForce: KeptNames
  /// A number that no kept object has.
  let unusedNumber: Int
  /// All names but those of links.
  let names: Set<String>
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
    var whole: [Int: (tables: KeptTables, names: KeptNames)] = [:]
    for number in found.setNumbers {
      do {
        whole[number] = try found.set(number)
      } catch {
        let reason = KeptTables.Refusal(error).reason
        found.refusals.append("The kept tables of set \(number) are not used: \(reason).")
      }
    }
    if found.setNumbers.isEmpty && !found.tables.isEmpty {
      found.refusals.append("The kept tables are not used: none of their programs was kept.")
    }
    let attached = Set(found.links.compactMap { try? $0.link.programID() })
    let ids = found.programs.mapValues { Set($0.compactMap { try? $0.info().id }) }
    let number = KeptObjects.setInForce(Set(whole.keys), programs: ids, attached: attached)
    tables = number.flatMap { whole[$0]?.tables }
    namesInForce = number.flatMap { whole[$0]?.names } ?? KeptNames()
    links = found.links
    programs = found.programs.values.flatMap(\.self)
    unusedNumber = (found.tables.map(\.number) + found.programs.keys).max().map { $0 + 1 } ?? 1
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
  private static func setInForce(
    _ whole: Set<Int>, programs: [Int: Set<UInt32>], attached: Set<UInt32>
  ) -> Int? {
    // Where the set in force is one that cannot be trusted, another is not better.
    if let set = programs.first(where: { !$0.value.isDisjoint(with: attached) })?.key {
      return whole.contains(set) ? set : nil
    }
    return whole.filter { programs[$0] == nil }.min() ?? whole.min()
  }

  /// What the descriptors are, as far as they are what their names say.
  private struct Found {
    /// A table, by the name before its number.
    struct KeptTable {
      let kind: String
      let number: Int
      let table: Table
    }

    var tables: [KeptTable] = []
    var programs: [Int: [Program]] = [:]
    var links: [KeptLink] = []
    var refusals: [String] = []

    mutating func take(_ descriptor: FileDescriptor, as name: String) {
      do throws(BCCError) {
        if KeptObjects.linkNames.contains(name) {
          let choice = Attachment.Choice.allCases.first { KeptObjects.linkName($0) == name }
          links.append(KeptLink(link: try Link(adopting: descriptor), choice: choice))
        } else if let (kind, number) = KeptObjects.parts(of: name) {
          if kind == KeptObjects.programKind {
            programs[number, default: []].append(try Program(adopting: descriptor))
          } else {
            let table = try Table(adopting: descriptor)
            tables.append(KeptTable(kind: kind, number: number, table: table))
          }
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

    // MARK: Sets

    /// Sets of former versions have tables that today's do not know; else a set is a program's.
    private var formerNumbers: Set<Int> {
      Set(
        tables.filter {
          TableName($0.kind) == nil && !KeptObjects.kindsOfVersionBefore.contains($0.kind)
        }.map(\.number))
    }

    /// The numbers of all sets, sorted.
    var setNumbers: [Int] { formerNumbers.union(programs.keys).sorted() }

    func set(_ number: Int) throws -> (tables: KeptTables, names: KeptNames) {
      formerNumbers.contains(number)
        ? (.former(try formerTables(number)), KeptNames()) : try presentTables(number)
    }

    /// In former versions, tables of one number belong together.
    private func formerTables(_ number: Int) throws -> FormerTables {
      var kept: [FormerTableName: Table] = [:]
      for found in tables where found.number == number {
        guard let name = FormerTableName(found.kind) else { continue }
        guard kept.updateValue(found.table, forKey: name) == nil else {
          throw KeptTables.Refusal("\(name.rawValue) is there twice")
        }
      }
      return try FormerTables(kept)
    }

    /// What belongs to a program, the kernel says.
    private func presentTables(_ number: Int) throws -> (tables: KeptTables, names: KeptNames) {
      guard let programs = programs[number], programs.count == 1 else {
        throw KeptTables.Refusal("its program is there twice")
      }
      let ids = Set(try programs[0].info().tableIDs)
      var kept: [TableName: Table] = [:]
      var names = KeptNames()
      names.program = KeptObjects.name(of: KeptObjects.programKind, number)
      for found in tables {
        guard let name = TableName(found.kind), ids.contains(try found.table.id()) else { continue }
        guard kept.updateValue(found.table, forKey: name) == nil else {
          throw KeptTables.Refusal("\(name) is there twice")
        }
        names.tables[name] = KeptObjects.name(of: found.kind, found.number)
      }
      return (.present(try PresentTables(kept)), names)
    }
  }

  // MARK: Names

  /// The name under which a link is kept.
  static func linkName(_ choice: Attachment.Choice) -> String { "link.\(choice.rawValue)" }

  /// All names of links, that of ulb 1.0.0 too.
  static let linkNames = ["link"] + Attachment.Choice.allCases.map(linkName)

  /// The name under which a table or a program is kept.
  static func name(of kind: String, _ number: Int) -> String { "\(kind).\(number)" }

  static let programKind = "program"

  /// Tables that the version of the layouts before had, and of which nobody asks for anything.
  private static let kindsOfVersionBefore: Set = ["insertions_v4", "insertions_v6"]

  /// The most that a number can be. Each exchange of a program adds one.
  private static let mostSets = 1_000_000_000

  /// What a name is made of; `nil` for one that ulb does not write so.
  private static func parts(of name: String) -> (kind: String, number: Int)? {
    let kind = String(name.prefix { $0 != "." })
    guard
      kind == programKind || TableName(kind) != nil || FormerTableName(kind) != nil
        || kindsOfVersionBefore.contains(kind),
      name.hasPrefix("\(kind)."), let number = Int(name.dropFirst(kind.count + 1)),
      (1...mostSets).contains(number), name == self.name(of: kind, number)
    else { return nil }
    return (kind, number)
  }
}
