// A new data plane over a former one's tables of another size: who is taken along.
import BCC
import Glibc
import LoadBalancing
import SystemPackage
import TestSupport
import Testing

@testable import DataPlane

@Suite("Exchange of tables", .serialized)
struct TableExchangeTests {
  /// Keeps nothing.
  private final class Store: ObjectStore {
    func keep(_ object: any KernelObject, as name: String) {}
    func forget(_ name: String) {}
    func settle() {}
  }

  /// The process after a director's, whose program is not attached yet.
  private func handover(
    from former: Director, maxAssociations: UInt32, mode: AttachMode = .auto
  ) throws -> Handover {
    var configuration = former.dataPlane.configuration
    configuration.interface = "lo"
    configuration.mode = mode
    configuration.maxAssociations = maxAssociations
    let kept = try KeptObjects(
      KeptObjects.names(of: former.dataPlane.tables, set: 1).map { name, table in
        (name, try table.withDescriptor { try $0.duplicate() })
      })
    return try compiling {
      try Handover(
        configuration, from: kept, store: Store(), report: { _ in }, warn: { _ in },
        progress: { _ in })
    }
  }

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
    let handover = try handover(from: former, maxAssociations: 100)
    // The former program is in service until the swap.
    #expect(try former.associated(clients) == Set(clients))
    handover.settle()
    let next = Director(former.addresses, handover.dataPlane)
    let taken = try next.associated(clients)
    #expect(taken.isSuperset(of: last))
    for client in last {
      #expect(try next.server(of: client) == former.server(of: client))
    }
  }

  @Test("a start that fails has taken nothing from the tables in service")
  func failing() throws {
    let former = try Director(.ipv4, maxAssociations: 500)
    let clients = 0..<300
    let servers = try former.servers(of: clients)
    // The loopback interface has no native mode.
    let next = try handover(from: former, maxAssociations: 100, mode: .native)
    #expect(throws: DataPlaneError.self) { try next.commit() }
    #expect(try former.associated(clients) == Set(clients))
    #expect(try former.servers(of: clients) == servers)
  }

  @Test("clients of the time between the copy and the swap are taken along")
  func late() throws {
    let former = try Director(.ipv4, maxAssociations: 500)
    _ = try former.servers(of: 0..<20)
    let handover = try handover(from: former, maxAssociations: 1_000)
    let servers = try former.servers(of: 0..<40)
    handover.settle()
    let next = Director(former.addresses, handover.dataPlane)
    #expect(try next.associated(0..<40) == Set(0..<40))
    #expect(try next.servers(of: 0..<40) == servers)
  }
}
