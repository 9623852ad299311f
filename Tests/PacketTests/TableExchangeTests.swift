// A new data plane over a former one's tables of another size: who is taken along.
import DataPlane
import LoadBalancing
import Testing

@Suite("Exchange of tables", .serialized)
struct TableExchangeTests {
  /// An entry that was looked up since it was made is another thing to the kernel's LRU.
  @Test(
    "where not all fit, those that spoke last stay", arguments: [[0], [1], [0, 1]], [false, true])
  func smaller(cpus: [Int], isAnswered: Bool) throws {
    let former = try Director(.ipv4, maxAssociations: 500)
    let clients = 0..<300
    let last = clients.suffix(10)
    func speak(_ client: Int) throws {
      _ = try onCPUs([cpus[client % cpus.count]], [{ try former.server(of: client) }])
    }
    for client in clients {
      try speak(client)
      if isAnswered { try speak(client) }
    }
    for client in last { try speak(client) }
    #expect(try former.associated(clients) == Set(clients))
    let next = try Director(.ipv4, maxAssociations: 100, adopting: former.keptTables())
    let taken = try next.associated(clients)
    #expect(next.dataPlane.adoption == .copied(taken.count))
    #expect(taken.isSuperset(of: last))
    for client in last {
      #expect(try next.server(of: client) == former.server(of: client))
    }
  }
}
