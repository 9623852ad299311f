// An association that the table does not take. The kernel's LRU hash refuses one rarely; a plain
// hash that is full does each time.
import BCC
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Refused associations", .serialized)
struct RefusedInsertTests {
  /// The program over the tables of a director, but for the associations: there is room for one.
  private struct FullDirector {
    let program: Program
    let events: RingBuffer
    let addresses: Addresses

    init(over director: Director) throws {
      addresses = director.addresses
      let source = try Renderer.source(
        for: director.dataPlane.configuration, createdAssociations: 1
      ).replacing("\"lru_hash\"", with: "\"hash\"")
      (program, events) = try compiling {
        let headers = try KernelHeaderTree(.own)
        let module = try Module(source: source, compilerFlags: headers.compilerFlags)
        for (name, table) in director.dataPlane.tables.all where name != .associations {
          try module.replaceTable(name.rawValue, with: table)
        }
        return (try module.loadXDPProgram("ulb"), try RingBuffer(module.table("events")))
      }
    }

    /// Runs a case's frame, and compares all there is.
    func expect(_ row: Case) throws {
      #expect(
        Director.Outcome(try program.testRun(frame: row.frame)) == row.outcome, "\(row.name)")
      var records: [EventRecord] = []
      events.consume(limit: .max) { bytes in
        records += [EventRecord(bytes, family: addresses.family)].compactMap(\.self)
      }
      #expect(records == [row.record], "\(row.name)")
    }
  }

  /// Where the slot that the word 0 would lead to is a listed server's, and where it has left it.
  @Test("are nobody's", arguments: AddressFamily.allCases, [[1, 2], [2]])
  func refused(family: AddressFamily, listed: [Int]) throws {
    let director = try Director(
      family, servers: [1, 2].map(Addresses(family: family).server), level: .trace)
    let addresses = director.addresses
    try director.dataPlane.apply(listed.map(addresses.server))
    let full = try FullDirector(over: director)
    for row in Self.cases(addresses, listed: listed) { try full.expect(row) }
  }

  /// In this order, for a table with room for one.
  static func cases(_ addresses: Addresses, listed: [Int]) -> [Case] {
    let first = addresses.server(listed[0])
    let refused = (2..<5).flatMap { client in
      [
        Case(
          name: "a client too many", event: .ingressCannotCreateAssociation, verdict: .drop,
          datagram: addresses.request(client: client)),
        Case(
          name: "server-initiated, one too many", event: .egressCannotCreateAssociation,
          verdict: .drop, datagram: addresses.reply(server: listed[0], client: client)),
      ]
    }
    return [.sent("room for one", .ingressNewNAT, addresses.request(client: 1), to: first)]
      + refused
      + [.sent("known", .ingressReusedNAT, addresses.request(client: 1), to: first)]
  }
}
