// One process after another on one interface, with what a service manager keeps between them.
import BCC
import CLayout
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
      #expect(store.names.count == 14)
      for (maxAssociations, isShared) in [(64, true), (64, true), (128, false), (32, false)] {
        let next = try store.start(configuration(maxAssociations: UInt32(maxAssociations)))
        let reports = store.reports
        #expect(store.names.count == 14, "\(store.names)")
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

  @Test("a long copy says how far it is, before the swap and after it")
  func progress() throws {
    let wire = try Wire()
    let store = Store()
    try wire.run {
      let former = try store.start(configuration(maxAssociations: 200_000))
      let realServer = former.configuration.realServers[0]
      let clients = (0..<100_000 as Range<Int>).map { (IPv4ClientKey($0).client, realServer) }
      #expect(former.restore(Dictionary(uniqueKeysWithValues: clients)).count == 100_000)
      let id = try former.program.info().id
      former.detach()
      for maxAssociations in [150_000, 50_000] as [UInt32] {
        store.progress = []
        var next = configuration(maxAssociations: maxAssociations)
        next.interface = "two"
        let handover = try store.handover(next)
        let before = store.progress
        #expect(before.count > 1)
        let copied = try #require(Int(before.last?.prefix { $0.isNumber } ?? ""))
        // There are 1.75 places for each.
        #expect(maxAssociations == 150_000 ? copied == 100_000 : (80_000...87_500).contains(copied))
        #expect(before.last == "\(copied) associations copied, the program of before serves")
        #expect(try attached()?.programID == id)
        handover.settle()
        let after = store.progress.dropFirst(before.count)
        #expect(after.count > 1 && after.last == "\(copied) associations copied")
      }
    }
  }

  @Test("what a process that was killed had begun to insert does not stay")
  func pending() throws {
    let wire = try Wire()
    let store = Store()
    try wire.run {
      let former = try store.start(configuration())
      let (known, begun) = (IPv4ClientKey(1), former.associations().hash(IPv4ClientKey(2)))
      former.restore([known.client: former.configuration.realServers[0]])
      let place = try #require(former.associations().findFree(begun))
      former.associations().bucket(place)
        .setWord(place.index, begun.tag | UInt64(AssociationTable.pendingSlot))
      former.detach()
      let next = try store.start(configuration())
      #expect(store.reports.contains("The association table of the process before is taken over."))
      #expect(next.associations().find(begun) == nil)
      #expect(next.associations().find(known) != nil)
    }
  }

  /// A program on the interface, as the kernel tells it.
  private func attached() throws -> XDPAttachment? {
    try XDPAttachment.current(interfaceIndex: if_nametoindex("one"))
  }

  @Test(
    "a start that fails half-way leaves the program of before in service", arguments: [true, false])
  func failing(changesMode: Bool) throws {
    let wire = try Wire()
    let store = Store()
    try wire.run {
      let (names, id, control) = try {
        let former = try store.start(configuration())
        return (
          store.names, try former.program.info().id, former.tables.associations[.ipv4]![.control]
        )
      }()
      // No list can be put in force.
      try control.withDescriptor { try BPFMap.freeze($0.rawValue) }
      var next = configuration()
      next.realServers.removeLast()
      if changesMode { next.mode = .generic }
      for _ in 0..<2 {
        #expect(throws: DataPlaneError.self) { try store.start(next) }
        #expect(store.names == names)
        #expect(try attached()?.programID == id)
        #expect(try attached()?.mode == .native)
      }
    }
  }

  @Test("auto goes back to native, and stays generic only where it has tried")
  func modes() throws {
    let wire = try Wire()
    let store = Store()
    try wire.run {
      func start(_ mode: AttachMode, isSwap: Bool) throws -> String? {
        var next = configuration()
        next.mode = mode
        let before = store.link
        let dataPlane = try store.start(next)
        let reports = store.reports
        // What is attached outlives the process, by what is kept.
        let expected = try dataPlane.program.info().id
        dataPlane.detach()
        #expect(try attached()?.programID == expected)
        #expect(store.names.count == 14, "\(store.names)")
        #expect((store.link == before) == isSwap)
        #expect(
          reports.contains { $0.hasSuffix("packets are not balanced for a moment.") } == !isSwap)
        return try attached()?.mode.rawValue
      }
      #expect(try store.start(configuration()).attachment?.mode == .native)
      #expect(try start(.auto, isSwap: true) == "native")
      #expect(try start(.generic, isSwap: false) == "generic")
      #expect(try start(.generic, isSwap: true) == "generic")
      #expect(try start(.auto, isSwap: false) == "native")
      // The driver has no native mode where its peer sends frames of this size.
      #expect(try start(.generic, isSwap: false) == "generic")
      try wire.ip(["link", "set", "two", "mtu", "9000"])
      #expect(try start(.auto, isSwap: false) == "generic")
      #expect(try start(.auto, isSwap: true) == "generic")
      // Native where it cannot be: the program of before goes on, in its mode.
      let before = try attached()?.programID
      for _ in 0..<2 {
        var native = configuration()
        native.mode = .native
        #expect(throws: DataPlaneError.self) { try store.start(native) }
        #expect(try attached()?.programID == before)
        #expect(try attached()?.mode == .generic)
        #expect(store.names.contains("link.auto") && store.names.count == 14)
      }
      try wire.ip(["link", "set", "two", "mtu", "1500"])
      #expect(try start(.native, isSwap: false) == "native")
      // 1.0.0 did not keep how a link came to its mode: auto tries once.
      #expect(try start(.generic, isSwap: false) == "generic")
      store.rename("link.generic", to: "link")
      #expect(try start(.auto, isSwap: false) == "native")
      store.rename("link.native", to: "link")
      #expect(try start(.auto, isSwap: true) == "native")
      #expect(store.names.contains("link.native"))
    }
  }
}
