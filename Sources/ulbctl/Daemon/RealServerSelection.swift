// Which real servers an address means. Pure.
import Control
import LoadBalancing

/// A real server behind a virtual server.
struct SelectedRealServer: Sendable {
  let virtualServer: VirtualServerDetail
  let realServer: RealServerDetail
}

extension VirtualServerList {
  /// The most names that a message lists.
  private static let mostNames = 8

  /// The real servers of an address: one of each virtual server that has it.
  ///
  /// - Parameter name: the virtual server that is meant; nothing for all.
  /// - Throws: which there are, and the nearest, where there is none.
  func realServers(
    _ address: String, ofVirtualServer name: String?
  ) throws(Failure) -> [SelectedRealServer] {
    let among = try virtualServers(named: name)
    // The daemon writes addresses in their one canonical form.
    let canonical = IPAddress(address)?.description ?? address
    let found = among.flatMap { virtualServer in
      virtualServer.realServers.filter { $0.address == canonical }.map {
        SelectedRealServer(virtualServer: virtualServer, realServer: $0)
      }
    }
    guard found.isEmpty else { return found }
    let place = name.map { " of \($0)" } ?? ""
    let addresses = among.flatMap(\.realServers).map(\.address)
    throw Failure(
      .refused,
      "there is no real server \(address)\(place); \(Self.choice(canonical, among: addresses))")
  }

  /// The virtual server of a name; all where nothing is said.
  func virtualServers(named name: String?) throws(Failure) -> [VirtualServerDetail] {
    guard let name else { return virtualServers }
    let found = virtualServers.filter { $0.name == name }
    guard found.isEmpty else { return found }
    throw Failure(
      .refused,
      "there is no virtual server \(name); "
        + Self.choice(name, among: virtualServers.map(\.name)))
  }

  /// What could be meant instead.
  private static func choice(_ word: String, among names: [String]) -> String {
    var seen: Set<String> = []
    let names = names.filter { seen.insert($0).inserted }
    guard !names.isEmpty else { return "there is none at all" }
    let octets = Array(word.utf8)
    let distances = names.map { wordDistance(octets, Array($0.utf8)) }
    // Two letters wrong are a slip, three another name.
    if let least = distances.min(), least <= 2 {
      let near = zip(names, distances).filter { $0.1 == least }.map(\.0)
      return "did you mean \(near.prefix(3).joined(separator: " or "))?"
    }
    let rest = names.count - mostNames
    return "there are " + names.prefix(mostNames).joined(separator: ", ")
      + (rest > 0 ? " and \(rest) more (ulbctl servers)" : "")
  }
}
