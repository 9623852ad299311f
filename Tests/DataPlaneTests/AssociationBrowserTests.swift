// Associations as an operator looks for them: by client, by filter, in pages, as lines, in numbers.
import LoadBalancing
import Testing

@testable import DataPlane

private typealias Browsed = BrowsedAssociations

@Suite("Looking for associations")
struct AssociationBrowserTests {
  @Test("a client is found with each virtual server that it is a client of")
  func ofClient() throws {
    let browsed = try Browsed()
    let own = [
      browsed.association("10.50.0.2:5683", Browsed.first, "10.41.0.2", age: 3),
      browsed.association("10.50.0.2:5683", Browsed.second, "10.41.0.1"),
    ]
    let six = browsed.association("[fd50::2]:5683", Browsed.third, "fd70::2", age: 128)
    browsed.insert(own + [six, browsed.association("10.50.0.2:1", Browsed.first, "10.41.0.1")])
    func found(_ client: String) -> [ListedAssociation] {
      browsed.browser.associations(of: Client(client)!)
    }
    #expect(found("10.50.0.2:5683").map(\.lasting) == own.map(\.lasting))
    #expect(found("10.50.0.2:5683").map(\.age) == [3, 0])
    #expect(found("[fd50::2]:5683").map(\.lasting) == [six.lasting])
    #expect(found("10.50.0.3:5683") == [] && found("[fd50::3]:5683") == [])
    let page = browsed.browser.page(
      AssociationFilter(client: own[0].client, virtualServer: Browsed.second), order: .table,
      limit: 1)
    #expect(page.associations.map(\.lasting) == [own[1].lasting] && page.next == nil)
    #expect(browsed.browser.count(AssociationFilter(client: own[0].client)) == 2)
  }

  private static let filters = [
    AssociationFilter(),
    AssociationFilter(network: IPNetwork("10.50.0.0/26")),
    AssociationFilter(network: IPNetwork("fd50::/112")),
    AssociationFilter(virtualServer: Browsed.first),
    AssociationFilter(virtualServer: Browsed.third),
    AssociationFilter(realServer: IPAddress("10.41.0.1")),
    AssociationFilter(virtualServer: Browsed.second, realServer: IPAddress("10.41.0.1")),
    AssociationFilter(network: IPNetwork("fd50::/64"), realServer: IPAddress("fd70::2")),
    // Of which there are none.
    AssociationFilter(virtualServer: "nobody"),
    AssociationFilter(realServer: IPAddress("10.41.0.3")),
    AssociationFilter(network: IPNetwork("10.51.0.0/16")),
    AssociationFilter(network: IPNetwork("10.50.0.0/16"), virtualServer: Browsed.third),
  ]

  /// What a filter is to let through.
  private static func wanted(
    _ all: [ListedAssociation], _ filter: AssociationFilter
  ) -> Set<ListedAssociation> {
    Set(
      all.filter { association in
        (filter.network?.contains(association.client.address) ?? true)
          && (filter.virtualServer.map { $0 == association.virtualServer } ?? true)
          && (filter.realServer.map { $0 == association.realServer } ?? true)
      }.map(\.lasting))
  }

  @Test("pages have each association once, in either order", arguments: filters)
  func pages(filter: AssociationFilter) throws {
    let browsed = try Browsed()
    let all = browsed.many(600)
    browsed.insert(all)
    let wanted = Self.wanted(all, filter)
    #expect(browsed.browser.count(filter) == wanted.count)
    for (order, limit) in [
      (.table, 7), (.table, 1_000), (.idle, 50), (.idle, 1_000),
    ] as [(AssociationBrowser.Order, Int)] {
      let pages = browsed.pages(filter, order, limit: limit)
      let found = pages.joined().map(\.lasting)
      #expect(found.count == wanted.count && Set(found) == wanted)
      #expect(pages.dropLast().allSatisfy { $0.count == limit })
      #expect(pages.count == max(1, (wanted.count + limit - 1) / limit))
    }
  }

  /// All of another class stay: a filter that lets through too many has everybody forgotten.
  @Test("a class is listed, counted and forgotten alone", arguments: ClientClass.allCases)
  func ofClass(_ clientClass: ClientClass) throws {
    let browsed = try Browsed(hasClasses: true)
    let all = ClientClass.allCases.enumerated().flatMap { number, clientClass in
      (1...3).flatMap { last in
        [
          browsed.association(
            "10.50.\(number).\(last):1", Browsed.first, "10.41.0.1", clientClass),
          browsed.association(
            "[fd50::\(number):\(last)]:1", Browsed.third, "fd70::1", clientClass),
        ]
      }
    }
    browsed.insert(all)
    let filter = AssociationFilter(clientClass: clientClass)
    let wanted = Set(all.filter { $0.clientClass == clientClass }.map(\.client))
    #expect(browsed.browser.count(filter) == wanted.count)
    for order in [AssociationBrowser.Order.table, .idle] {
      #expect(Set(browsed.pages(filter, order, limit: 4).joined().map(\.client)) == wanted)
    }
    let text = browsed.browser.lines(filter).map { String(decoding: $0, as: UTF8.self) }.joined()
    #expect(text.split(separator: "\n").count == wanted.count)
    for association in all {
      let isWanted = wanted.contains(association.client)
      let own = AssociationFilter(client: association.client, clientClass: clientClass)
      #expect(browsed.browser.count(own) == (isWanted ? 1 : 0))
    }
    var forgetting = AssociationForgetting(browsed.service, filter)
    while forgetting.next() != nil {}
    #expect(forgetting.counts.values.reduce(0, +) == wanted.count)
    let left = browsed.pages(AssociationFilter(), .table, limit: 100).joined().map(\.client)
    #expect(Set(left) == Set(all.map(\.client)).subtracting(wanted))
  }

  @Test("those that were used least recently come first, and stay in order while others age")
  func idle() throws {
    let browsed = try Browsed()
    let all = browsed.many(500)
    browsed.insert(all)
    let pages = browsed.pages(AssociationFilter(), .idle, limit: 500)
    #expect(pages.joined().map(\.age) == all.map(\.age).sorted(by: >))
    // Of those that are the oldest already, no age tells whether they have been shown.
    var younger = try Browsed()
    younger.insert(all.filter { $0.age < 90 })
    let moving = younger.pages(AssociationFilter(), .idle, limit: 30) {
      younger.tables[.ipv4]!.advanceEpoch(by: 3)
      younger.tables[.ipv6]!.advanceEpoch(by: 1)
    }
    let found = moving.joined().map(\.lasting)
    #expect(found.count == all.count { $0.age < 90 } && Set(found).count == found.count)
    younger = try Browsed()
    #expect(younger.pages(AssociationFilter(), .idle, limit: 1) == [[]])
  }

  @Test("a table of few has its order exactly, and no times")
  func singleBucket() throws {
    let browsed = try Browsed(maxAssociations: 7, [.ipv4])
    let all = (0..<7).map { browsed.association($0, Browsed.first, "10.41.0.1", age: UInt8($0)) }
    browsed.insert(all)
    for limit in [1, 3, 7] {
      #expect(
        browsed.pages(AssociationFilter(), .idle, limit: limit).joined().map(\.client)
          == all.reversed().map(\.client))
    }
    browsed.service.look(at: Browsed.now)
    #expect(browsed.browser.associations(of: all[0].client)[0].lastUse == nil)
  }

  @Test("an age is a time where the epochs were looked at")
  func times() throws {
    let browsed = try Browsed()
    browsed.insert([browsed.association("10.50.0.2:1", Browsed.first, "10.41.0.1")])
    func time(_ seconds: Int64) -> Timestamp { Timestamp(seconds: Browsed.now.seconds + seconds) }
    func use() -> EpochClock.Span? {
      browsed.browser.associations(of: Client("10.50.0.2:1")!)[0].lastUse
    }
    #expect(use() == EpochClock.Span(after: nil, before: Browsed.now))
    browsed.service.look(at: time(-20))
    browsed.tables[.ipv4]!.advanceEpoch()
    browsed.tables[.ipv4]!.use(IPv4ClientKey(Client("10.50.0.2:1")!))
    browsed.service.look(at: time(-10))
    #expect(use() == EpochClock.Span(after: time(-20), before: Browsed.now))
    browsed.tables[.ipv4]!.advanceEpoch()
    browsed.service.look(at: time(-5))
    #expect(use() == EpochClock.Span(after: time(-20), before: time(-5)))
  }

  @Test("who is with a real server that has left is there still, but nobody's of a virtual server")
  func left() throws {
    var browsed = try Browsed()
    browsed.insert(browsed.many(600))
    var next = browsed.configuration
    next.virtualServers[0].realServers.remove(at: 0)
    next.virtualServers.remove(at: 1)
    try browsed.put(next)
    #expect(
      browsed.browser.count(
        AssociationFilter(virtualServer: Browsed.first, realServer: IPAddress("10.41.0.1"))) == 100)
    #expect(browsed.browser.count(AssociationFilter()) == 400)
  }

  @Test("a change of what is in force is seen by a walk that has begun")
  func changes() throws {
    var browsed = try Browsed(maxAssociations: 8_192)
    browsed.insert(browsed.many(6_000))
    var lines = browsed.browser.lines(AssociationFilter())
    let piece = lines.next()
    let first = String(decoding: try #require(piece), as: UTF8.self)
    #expect(first.contains("10.41.0.2"))
    var next = browsed.configuration
    next.virtualServers[0].address = IPAddress("10.40.0.9")!
    try browsed.put(next)
    let rest = String(decoding: Array(lines.joined()), as: UTF8.self)
    #expect(first.contains(#""virtual_server":"10.40.0.1""#))
    #expect(!rest.contains(#""virtual_server":"10.40.0.1""#))
    #expect(rest.contains(#""virtual_server":"10.40.0.9""#))
  }

  @Test("a cursor is read as it was written, and nothing else is one")
  func cursors() {
    for text in ["4.0.0", "6.1234567.6", "4.17.3.160.0.0", "6.17.3.0.18446744073709551615.7"] {
      #expect(AssociationCursor(text)?.description == text)
    }
    #expect(AssociationCursor("4.0.0")?.order == .table)
    #expect(AssociationCursor("4.0.0.1.2.3")?.order == .idle)
    for text in [
      "", "4", "4.0", "5.0.0", "4.0.7", "4.-1.0", "4.4294967296.0", "4..0", "4.0.0.",
      "4.0.0.161.0.0",
      "4.0.0.1", "4.0.0.1.2", "4.0.0.1.2.3.4", "4.0.0.1.2.18446744073709551616", "a.b.c", "4.0.0 ",
    ] {
      #expect(AssociationCursor(text) == nil, "\(text)")
    }
  }

  @Test("a cursor beyond the table is at its end")
  func cursorBeyond() throws {
    let browsed = try Browsed()
    browsed.insert(browsed.many(100))
    for text in ["6.4294967295.6", "6.4294967295.6.0.0.0"] {
      let cursor = try #require(AssociationCursor(text))
      let (page, next) = browsed.browser.page(
        AssociationFilter(), order: cursor.order, limit: 10, after: cursor)
      #expect(page == [] && next == nil)
    }
  }
}
