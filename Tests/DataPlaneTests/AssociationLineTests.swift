// Associations as JSON lines: what is put together as text is what the control socket's types say.
import Control
import Foundation
import JSONCoding
import LoadBalancing
import Synchronization
import Testing

@testable import DataPlane

private typealias Browsed = BrowsedAssociations

@Suite("Associations as JSON lines")
struct AssociationLineTests {
  @Test("each line is an entry as it is encoded, and each association has one")
  func lines() throws {
    let browsed = try Browsed()
    browsed.service.look(at: Timestamp(seconds: 1_700_000_000))
    for tables in browsed.tables.values { tables.advanceEpoch(by: 40) }
    browsed.service.look(at: Timestamp(seconds: 1_700_000_001))
    browsed.insert(browsed.many(600))
    let listed = Array(browsed.pages(AssociationFilter(), .table, limit: 1_000).joined())
    let text = String(
      decoding: Array(browsed.browser.lines(AssociationFilter()).joined()), as: UTF8.self)
    #expect(text.hasSuffix("}\n"))
    let lines = text.split(separator: "\n")
    try #require(lines.count == 600 && listed.count == 600)
    for (line, association) in zip(lines, listed) {
      let entry = AssociationEntry(
        client: association.client.description, virtualServer: association.virtualServer,
        realServer: association.realServer.description, class: .newcomer, age: association.age,
        lastUsed: association.lastUse.map {
          TimeSpan(after: $0.after?.description, before: $0.before?.description)
        })
      #expect(line == String(decoding: try JSON.encode(entry), as: UTF8.self))
    }
    // Bounds that are known, and some that are not.
    #expect(listed.contains { $0.lastUse?.after != nil })
    #expect(listed.contains { $0.lastUse != nil && $0.lastUse?.after == nil })
  }

  @Test("those that were used least recently come first, as on pages")
  func idle() throws {
    let browsed = try Browsed()
    browsed.insert(browsed.many(600))
    let pages = Array(browsed.pages(AssociationFilter(), .idle, limit: 1_000).joined())
    let text = String(
      decoding: Array(browsed.browser.lines(AssociationFilter(), order: .idle).joined()),
      as: UTF8.self)
    let lines = try text.split(separator: "\n").map {
      try JSON.decode(AssociationEntry.self, from: $0.utf8)
    }
    #expect(lines.map(\.client) == pages.map(\.client.description))
    #expect(lines.map(\.age) == pages.map(\.age))
    #expect(Set(lines.map(\.age)).count == 129)
  }

  /// What was used again meanwhile may come again; what was not comes, and what became old does.
  @Test("nobody is left out where epochs pass meanwhile", arguments: [1, 2, 40, 300] as [UInt64])
  func idleAmongEpochs(epochs: UInt64) throws {
    let browsed = try Browsed(maxAssociations: 40_000)
    let all = browsed.many(6_000)
    for part in 0..<4 {
      browsed.insert(all.enumerated().filter { $0.offset % 4 == part }.map(\.element))
      for tables in browsed.tables.values { tables.advanceEpoch(by: 3) }
    }
    var found: [String] = []
    var pieces = 0
    for piece in browsed.browser.lines(AssociationFilter(), order: .idle) {
      pieces += 1
      if pieces.isMultiple(of: 7) {
        for tables in browsed.tables.values { tables.advanceEpoch(by: epochs) }
      }
      found += try String(decoding: piece, as: UTF8.self).split(separator: "\n").map {
        try JSON.decode(AssociationEntry.self, from: $0.utf8).client
      }
      // It comes to its end.
      try #require(pieces < 100_000)
    }
    #expect(Set(found) == Set(all.map(\.client.description)))
  }

  @Test("it comes to its end where epochs pass faster than a piece is read")
  func idleAmongManyEpochs() throws {
    let browsed = try Browsed(maxAssociations: 2_000)
    let all = browsed.many(600)
    browsed.insert(all)
    let isOver = Atomic(false)
    let flood = DispatchGroup()
    let tables = Array(browsed.tables.values)
    DispatchQueue.global().async(group: flood) {
      while !isOver.load(ordering: .relaxed) { for table in tables { table.advanceEpoch(by: 1) } }
    }
    let found = Array(browsed.browser.lines(AssociationFilter(), order: .idle).joined())
    isOver.store(true, ordering: .relaxed)
    flood.wait()
    let clients = try String(decoding: found, as: UTF8.self).split(separator: "\n").map {
      try JSON.decode(AssociationEntry.self, from: $0.utf8).client
    }
    #expect(Set(clients) == Set(all.map(\.client.description)))
  }

  /// Its ages are ranks, which each packet changes: they are read at once.
  @Test("a table of few is one piece in the order of idleness")
  func idleOfFew() throws {
    let browsed = try Browsed(maxAssociations: 7, [.ipv4])
    let clients = (2..<7).map { "10.50.0.\($0):5683" }
    browsed.insert(
      clients.enumerated().map { number, client in
        browsed.association(client, Browsed.first, "10.41.0.2", age: UInt8(4 - number))
      })
    let pieces = Array(browsed.browser.lines(AssociationFilter(), order: .idle))
    #expect(pieces.count == 1)
    let entries = try String(decoding: pieces.joined(), as: UTF8.self).split(separator: "\n").map {
      try JSON.decode(AssociationEntry.self, from: $0.utf8)
    }
    #expect(entries.map(\.client) == clients)
    #expect(entries.map(\.age) == [4, 3, 2, 1, 0])
  }

  @Test("a table of few tells no time")
  func withoutTimes() throws {
    let browsed = try Browsed(maxAssociations: 7, [.ipv4])
    browsed.insert([browsed.association("10.50.0.2:5683", Browsed.first, "10.41.0.2")])
    #expect(
      String(decoding: Array(browsed.browser.lines(AssociationFilter()).joined()), as: UTF8.self)
        == """
        {"age":0,"class":"newcomer","client":"10.50.0.2:5683","real_server":"10.41.0.2",\
        "virtual_server":"10.40.0.1"}

        """)
  }

  @Test("a filter lets through what it is for, a client's alone too")
  func filtered() throws {
    let browsed = try Browsed()
    browsed.insert(browsed.many(600))
    func count(_ filter: AssociationFilter) -> Int {
      browsed.browser.lines(filter).joined().count { $0 == UInt8(ascii: "\n") }
    }
    #expect(count(AssociationFilter(virtualServer: Browsed.second)) == 200)
    #expect(count(AssociationFilter(client: Client("10.50.0.1:40000"))) == 1)
    #expect(count(AssociationFilter(virtualServer: "nobody")) == 0)
    // A client is looked up: the table is not gone through.
    let client = AssociationFilter(client: Client("10.50.0.1:40000"))
    #expect(Array(browsed.browser.lines(client)).count == 1)
    #expect(Array(browsed.browser.lines(AssociationFilter())).count > 1)
    #expect(count(AssociationFilter(client: Client("10.50.0.1:1"))) == 0)
  }
}
