// One process after another on one interface, with what a service manager keeps between them.
import BCC
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Handover", .serialized)
struct HandoverTests {
  private func configuration(maxAssociations: UInt32 = 64) -> Configuration {
    var configuration = Configuration.sample(maxAssociations: maxAssociations)
    configuration.interface = "one"
    return configuration
  }

  @Test("the tables that fit are taken over, others copied; nothing piles up")
  func restarts() throws {
    let wire = try Wire()
    let store = Store()
    try wire.run {
      let index = if_nametoindex("one")
      var former = try store.start(configuration())
      #expect(store.names.count == 8)
      for (maxAssociations, isShared) in [(64, true), (64, true), (128, false), (32, false)] {
        var reports: [String] = []
        let next = try store.start(
          configuration(maxAssociations: UInt32(maxAssociations)), reports: &reports)
        #expect(store.names.count == 8, "\(store.names)")
        #expect(
          reports.contains(
            isShared
              ? "The association table of the process before is taken over."
              : "0 association(s) copied into the new tables."), "\(reports)")
        #expect(reports.contains("XDP program on one swapped in one step, in native mode."))
        let attached = try XDPAttachment.current(interfaceIndex: index)?.programID
        let expected = try next.program.info().id
        #expect(attached == expected)
        #expect(try former.program.info().id != expected)
        former = next
      }
    }
  }

  @Test("a start that fails leaves nothing of it behind")
  func failing() throws {
    let wire = try Wire()
    let store = Store()
    try wire.run {
      let index = if_nametoindex("one")
      let former = try store.start(configuration())
      let names = store.names
      // Two banks and one store: the list cannot be put in force.
      let own = try former.tables.control.withDescriptor { try Table(adopting: dup($0)) }
      try own.withDescriptor { try BPFMap.freeze($0) }
      for _ in 0..<2 {
        var next = configuration()
        next.realServers.removeLast()
        #expect(throws: DataPlaneError.self) { try store.start(next) }
        #expect(store.names == names)
        #expect(try XDPAttachment.current(interfaceIndex: index) != nil)
      }
    }
  }
}
