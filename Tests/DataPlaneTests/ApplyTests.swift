// A change of the configuration in force: all of it or nothing, whichever step fails.
import BCC
import CLayout
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Changes of the configuration", .serialized)
struct ApplyTests {
  /// A data plane on a wire of its own, and the changes that it is asked for.
  private struct Bench {
    let wire: Wire
    let dataPlane: DataPlane
    let before: Configuration
    let next: Configuration

    init() throws {
      let wire = try Wire()
      var configuration = Configuration.sample()
      configuration.interface = "one"
      configuration.maxRealServers = 2
      let before = configuration
      dataPlane = try compiling { try DataPlane(before) }
      let dataPlane = dataPlane
      try wire.run { _ = try dataPlane.attach(replace: false) }
      configuration.ports = [9999]
      configuration.realServers = [4, 5].map { IPAddress(octets: [10, 40, 0, $0]) }
      (self.wire, self.before, next) = (wire, before, configuration)
    }

    var attached: UInt32? { try? dataPlane.attachment?.link.programID() }

    func refusal() -> String? {
      do { try compiling { _ = try dataPlane.apply(next) } } catch { return "\(error)" }
      return nil
    }
  }

  @Test("a list that cannot be written leaves the program too, until it can")
  func prepared() throws {
    let bench = try Bench()
    let (dataPlane, program) = (bench.dataPlane, bench.attached)
    // Somebody has filled the table that both banks share.
    let table = try TypedTable<ip_address_v4, UInt32>(dataPlane.tables[.slotOfAddress])
    var fillers: [ip_address_v4] = []
    repeat {
      fillers.append(ip_address_v4(word: UInt32(fillers.count) + 1))
    } while (try? table.update(fillers.last!, 0)) != nil
    for _ in 0..<2 {
      #expect(bench.refusal() == "update the BPF table slot_of_address: Argument list too long")
      #expect(dataPlane.configuration == bench.before && bench.attached == program)
      #expect(dataPlane.servers.list == bench.before.realServers)
    }
    // The file is as it was: nothing has to change, and nothing does.
    let change = try dataPlane.apply(bench.before)
    #expect(!change.isRecompiled && change.realServers == nil)
    for filler in fillers { try table.remove(filler) }
    #expect(bench.refusal() == nil)
    #expect(dataPlane.configuration == bench.next && bench.attached != program)
    #expect(try KeptTables(dataPlane.tables).servers.list == bench.next.realServers)
  }

  @Test("where the list cannot be put in force the former program comes back")
  func committed() throws {
    let bench = try Bench()
    let (dataPlane, program) = (bench.dataPlane, bench.attached)
    try dataPlane.tables[.control].withDescriptor { try BPFMap.freeze($0.rawValue) }
    #expect(bench.refusal() != nil)
    #expect(dataPlane.configuration == bench.before && bench.attached == program)
    #expect(try dataPlane.program.info().id == program)
    #expect(try KeptTables(dataPlane.tables).servers.list == bench.before.realServers)
    let change = try dataPlane.apply(bench.before)
    #expect(!change.isRecompiled && change.realServers == nil)
    // What does not need the list can go on.
    var ports = bench.before
    ports.ports = [1234]
    #expect(try compiling { try dataPlane.apply(ports) }.isRecompiled)
    #expect(dataPlane.configuration == ports && bench.attached != program)
  }

  @Test("a program that cannot be swapped in leaves the list too")
  func notSwapped() throws {
    let bench = try Bench()
    let dataPlane = bench.dataPlane
    try bench.wire.ip(["link", "delete", "dev", "one"])
    #expect(bench.refusal()?.hasPrefix("swap the XDP program: ") == true)
    #expect(dataPlane.configuration == bench.before && !dataPlane.isAttached)
    #expect(try KeptTables(dataPlane.tables).servers.list == bench.before.realServers)
  }
}
