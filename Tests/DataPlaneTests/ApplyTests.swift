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

    func refusal(_ configuration: Configuration? = nil) -> String? {
      do { try compiling { _ = try dataPlane.apply(configuration ?? next) } } catch {
        return "\(error)"
      }
      return nil
    }
  }

  @Test("a list that cannot be written leaves the one before it, until it can")
  func prepared() throws {
    let bench = try Bench()
    let (dataPlane, program) = (bench.dataPlane, bench.attached)
    var next = bench.before
    next.realServers = bench.next.realServers
    // Somebody has filled the table that both banks share.
    let table = try TypedTable<ip_address_v4, UInt32>(
      dataPlane.tables.service[.slotOfAddress, .ipv4])
    var fillers: [ip_address_v4] = []
    repeat {
      fillers.append(ip_address_v4(word: UInt32(fillers.count) + 1))
    } while (try? table.update(fillers.last!, 0)) != nil
    for _ in 0..<2 {
      #expect(
        bench.refusal(next) == "update the BPF table slot_of_address_v4: Argument list too long")
      #expect(dataPlane.configuration == bench.before && bench.attached == program)
      #expect(try dataPlane.listInTables() == bench.before.realServers)
    }
    // The file is as it was: nothing has to change, and nothing does.
    let change = try dataPlane.apply(bench.before)
    #expect(!change.isRecompiled && change.virtualServers == [])
    for filler in fillers { try table.remove(filler) }
    #expect(bench.refusal(next) == nil)
    #expect(dataPlane.configuration == next && bench.attached == program)
    #expect(try dataPlane.listInTables() == next.realServers)
  }

  @Test("a program that cannot be had leaves the one before it")
  func noProgram() throws {
    let bench = try Bench()
    let (dataPlane, program) = (bench.dataPlane, bench.attached)
    var next = bench.next
    next.kernelHeaders = .directory("/nonexistent")
    for _ in 0..<2 {
      #expect(bench.refusal(next)?.contains("/nonexistent") == true)
      #expect(dataPlane.configuration == bench.before && bench.attached == program)
      #expect(try dataPlane.listInTables() == bench.before.realServers)
    }
  }

  /// Only lists of more than 32,767 servers can be too long beside each other.
  @Test("a list that has no room beside the one in force is refused, and can be had in two steps")
  func twoSteps() throws {
    func addresses(_ numbers: Range<UInt32>) -> [IPAddress] {
      numbers.map { IPAddress(words: ((0x0a80_0000 + $0).bigEndian, 0, 0, 0), family: .ipv4) }
    }
    var before = Configuration.sample()
    before.maxRealServers = 40_000
    before.realServers = addresses(0..<33_000)
    let dataPlane = try compiling { try DataPlane(before) }
    let program = try dataPlane.program.info().id
    var next = before
    next.ports = [9999]
    next.realServers = addresses(32_000..<70_000)
    for _ in 0..<2 {
      #expect {
        try compiling { try dataPlane.apply(next) }
      } throws: { error in
        "\(error)" == """
          the old and the new list of real servers have 70000 addresses together, and there is room \
          for 65535 at once; make the change in two steps: first take servers off the list, then put \
          others on it
          """
      }
      #expect(dataPlane.configuration == before)
      #expect(try dataPlane.program.info().id == program)
      #expect(try dataPlane.listInTables() == before.realServers)
    }
    var between = before
    between.realServers = addresses(32_000..<33_000)
    try dataPlane.apply(between)
    try compiling { _ = try dataPlane.apply(next) }
    #expect(try dataPlane.listInTables() == next.realServers)
  }

  @Test("of a slot that is reused all associations are gone, and no others")
  func reuse() throws {
    func address(_ octet: UInt8) -> IPAddress { IPAddress(octets: [10, 40, 0, octet]) }
    func list(_ octets: [UInt8]) -> Configuration {
      var configuration = Configuration.sample(maxAssociations: 4_096)
      configuration.maxRealServers = 2
      configuration.realServers = octets.map(address)
      return configuration
    }
    let clients = (0..<1_000).map {
      Client(address: IPAddress(octets: [10, 50, UInt8($0 >> 8), UInt8($0 & 255)]), port: 40_000)
    }
    let dataPlane = try compiling { try DataPlane(list([2, 3])) }
    // Every second client is the first server's.
    dataPlane.restore(
      Dictionary(
        uniqueKeysWithValues: clients.enumerated().map { ($1, address(2 + UInt8($0 % 2))) }))
    #expect(try dataPlane.apply(list([3, 4])).reused == [:])
    #expect(try dataPlane.apply(list([3, 5])).reused == [:])
    let begun = dataPlane.readAssociations()
    // Four slots were used: this one takes the slot of 2, which left first.
    #expect(try dataPlane.apply(list([3, 6])).reused == [.ipv4: [0]])
    let left = dataPlane.servers()
    let ofThird = clients.indices.filter { $0 % 2 == 1 }.map { ServedClient(clients[$0]) }
    #expect(Set(left.keys) == Set(ofThird))
    #expect(left.values.allSatisfy { $0 == address(3) })

    // Who has begun to read before that does not take a client of 6 for one of 2.
    let newcomer = Client(address: IPAddress(octets: [10, 51, 0, 1]), port: 40_000)
    dataPlane.restore([newcomer: address(6)])
    #expect(dataPlane.servers()[ServedClient(newcomer)] == address(6))
    #expect(dataPlane.servers(begun) == left)
  }

  @Test("a program that cannot be swapped in leaves the list too")
  func notSwapped() throws {
    let bench = try Bench()
    let dataPlane = bench.dataPlane
    try bench.wire.ip(["link", "delete", "dev", "one"])
    #expect(bench.refusal()?.hasPrefix("swap the XDP program: ") == true)
    #expect(dataPlane.configuration == bench.before && !dataPlane.isAttached)
    #expect(try dataPlane.listInTables() == bench.before.realServers)
  }
}
