// A new data plane over a former one's tables of another size: who is taken along.
import BCC
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
    let dataPlane = former.dataPlane
    let objects: [(name: String, object: any KernelObject)] =
      dataPlane.tables.all.map { ("\($0.name).1", $0.table) } + [("program.1", dataPlane.program)]
    let kept = try KeptObjects(
      objects.map { name, object in
        (name, try object.withDescriptor { try $0.duplicate() })
      })
    return try compiling {
      try Handover(
        configuration, from: kept, store: Store(), report: { _ in }, warn: { _ in },
        progress: { _ in })
    }
  }

  @Test("where not all fit, those that spoke last stay", arguments: AddressFamily.allCases)
  func smaller(family: AddressFamily) throws {
    let former = try Director(family, maxAssociations: 500, probation: 0)
    let clients = 0..<300
    let last = clients.suffix(10)
    let servers = try former.servers(of: clients)
    for _ in 0..<3 { try former.admit(last) }
    let handover = try handover(from: former, maxAssociations: 7)
    // The former program is in service until the swap.
    #expect(former.associated(clients) == Set(clients))
    handover.settle()
    let next = try Director(former.addresses, handover.dataPlane)
    let taken = next.associated(clients)
    #expect(taken.count == 7 && taken.isSubset(of: last))
    for client in taken { #expect(try next.server(of: client) == servers[client]) }
  }

  /// What a table in service has locked when it is copied.
  @Test(
    "a copy of locked buckets is not locked", arguments: AddressFamily.allCases,
    [7, 1_000] as [UInt32])
  func locked(family: AddressFamily, maxAssociations: UInt32) throws {
    let former = try Director(family, maxAssociations: 500, probation: 0)
    let clients = 0..<300
    let servers = try former.servers(of: clients)
    for bucket in 0..<former.buckets.count { former.buckets[lockOf: bucket] = 1 }
    let handover = try handover(from: former, maxAssociations: maxAssociations)
    handover.settle()
    let next = try Director(former.addresses, handover.dataPlane)
    #expect((0..<next.buckets.count).allSatisfy { next.buckets[lockOf: $0] == 0 })
    let taken = next.associated(clients)
    #expect(taken.count == min(clients.count, Int(maxAssociations)))
    for client in taken { #expect(try next.server(of: client) == servers[client]) }
    #expect(try next.servers(of: 1_000..<1_050).allSatisfy { $0 != nil })
  }

  @Test("a start that fails has taken nothing from the tables in service")
  func failing() throws {
    let former = try Director(.ipv4, maxAssociations: 500)
    let clients = 0..<300
    let servers = try former.servers(of: clients)
    // The loopback interface has no native mode.
    let next = try handover(from: former, maxAssociations: 100, mode: .native)
    #expect(throws: DataPlaneError.self) { try next.commit() }
    #expect(former.associated(clients) == Set(clients))
    #expect(try former.servers(of: clients) == servers)
  }

  @Test("clients of the time between the copy and the swap are taken along")
  func late() throws {
    let former = try Director(.ipv4, maxAssociations: 500)
    _ = try former.servers(of: 0..<20)
    let handover = try handover(from: former, maxAssociations: 1_000)
    let servers = try former.servers(of: 0..<40)
    handover.settle()
    let next = try Director(former.addresses, handover.dataPlane)
    #expect(next.associated(0..<40) == Set(0..<40))
    #expect(try next.servers(of: 0..<40) == servers)
  }
}
