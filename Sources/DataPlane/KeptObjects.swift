// The kernel objects of a process that was here before: its tables and its link to the interface.
// Knows their names, not who kept them.
import BCC
import LoadBalancing

/// What a former process has handed on. The link keeps its program attached, so that packets flow
/// from the first process's start on to the last one's stop.
public struct KeptObjects: Sendable {
  /// The tables of the attached program; `nil` where there are none that are whole.
  public let tables: Tables?
  public let link: Link?
  /// The number of the set of tables in force; a new set gets the next one.
  public let generation: Int
  private let stale: Set<String>

  /// The name under which the link is kept.
  public static let linkName = "link"

  /// Takes the descriptors over; what is no object of ours is closed.
  public init(_ descriptors: [(name: String, descriptor: Int32)]) {
    var sets: [Int: [String: Table]] = [:]
    var programs: [Int: UInt32] = [:]
    var link: Link?
    var stale: Set<String> = []
    for (name, descriptor) in descriptors {
      let parts = name.split(separator: ".")
      if name == KeptObjects.linkName {
        link = try? Link(adopting: descriptor)
      } else if parts.count == 2, let set = Int(parts[1]), parts[0] == KeptObjects.programName {
        programs[set] = try? Program.id(adopting: descriptor)
        stale.insert(name)
      } else if let table = try? Table(adopting: descriptor), parts.count == 2,
        let set = Int(parts[1])
      {
        sets[set, default: [:]][String(parts[0])] = table
        stale.insert(name)
      } else {
        stale.insert(name)
      }
    }
    // Two sets are there if a process died while it exchanged one for the other. The new one was
    // kept together with its program: whether that is attached tells which is in force.
    let attached = try? link?.programID()
    let whole = sets.compactMapValues { Tables(kept: $0) }
    func rank(_ set: Int) -> Int {
      guard let program = programs[set] else { return 1 }
      return program == attached ? 2 : 0
    }
    let current = whole.keys.sorted().max { rank($0) < rank($1) }
    tables = current.flatMap { whole[$0] }
    self.link = link
    generation = current ?? sets.keys.max() ?? 0
    self.stale = stale
  }

  /// The names of all that is no longer in force, and better forgotten.
  ///
  /// - Parameter isReplaced: whether the set of tables itself has been exchanged for a new one.
  public func staleNames(isReplaced: Bool) -> [String] {
    guard let tables, !isReplaced else { return stale.sorted() }
    return stale.subtracting(KeptObjects.names(of: tables, generation: generation).map(\.name))
      .sorted()
  }

  /// The names under which a set of tables is kept.
  public static func names(of tables: Tables, generation: Int) -> [(name: String, table: Table)] {
    tables.all.map { ("\($0.name).\(generation)", $0.table) }
  }

  /// The name under which a program is kept while its set of tables is not yet in force.
  public static func programName(generation: Int) -> String { "\(programName).\(generation)" }

  private static let programName = "program"
}
