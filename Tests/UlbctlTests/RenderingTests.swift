// Numbers, times, lines and tables.
import Control
import Testing

@testable import ulbctl

@Suite struct RenderingTests {
  @Test(arguments: [
    (0, "0"), (999, "999"), (1000, "1.00K"), (1015, "1.01K"), (9_994, "9.99K"), (9_995, "10.0K"),
    (99_949, "99.9K"), (99_950, "100K"), (999_499, "999K"), (999_500, "1.00M"),
    (1_234_567_890, "1.23G"), (UInt64.max, "18.4E"),
  ])
  func numbersHaveThreeDigits(_ number: UInt64, _ text: String) {
    #expect(NumberFormat.compact.text(number) == text)
    #expect(NumberFormat.exact.text(number) == "\(number)")
  }

  @Test(arguments: [
    (nil, "-", "-"), (0, "0", "0.0"), (0.001, "0.1", "0.0"), (2, "2.0", "2.0"),
    (9.94, "9.9", "9.9"), (9.95, "10", "10.0"), (999.4, "999", "999.4"), (999.5, "1.00K", "999.5"),
    (-1, "-", "-"), (.infinity, "-", "-"),
  ])
  func ratesThatAreNotNothingAreNotShownAsNothing(
    _ rate: Double?, _ compact: String, _ exact: String
  ) {
    #expect(NumberFormat.compact.text(perSecond: rate) == compact)
    #expect(NumberFormat.exact.text(perSecond: rate) == exact)
  }

  @Test(arguments: [
    (0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"),
    (3605, "1 h"), (90_061, "1 d 1 h"), (-1, "?"), (.infinity, "?"),
  ])
  func durationsHaveTwoUnits(_ seconds: Double, _ text: String) {
    #expect(duration(seconds) == text)
  }

  @Test func timesAreReadWithAndWithoutFraction() throws {
    let whole = try #require(RFC3339.seconds("2026-03-01T12:00:00Z"))
    let fraction = try #require(RFC3339.seconds("2026-03-01T12:00:00.250Z"))
    #expect(abs(fraction - whole - 0.25) < 0.001)
    #expect(ago("2026-03-01T11:59:00.000Z", now: whole) == "1 min ago")
    #expect(ago("2026-03-01T12:00:00.250Z", now: whole) == "just now")
    #expect(ago("yesterday", now: whole) == "yesterday")
  }

  @Test func idleTimeIsToldWithinItsBounds() {
    let (two, three) = ("2026-03-01T11:58:00Z", "2026-03-01T11:57:00Z")
    for (span, text) in [
      (nil, "unknown"), (TimeSpan(after: nil, before: nil), "unknown"),
      (TimeSpan(after: nil, before: two), "over 2 min ago"),
      (TimeSpan(after: nil, before: "2026-03-01T11:59:59.5Z"), "in use"),
      (TimeSpan(after: three, before: nil), "less than 3 min ago"),
      (TimeSpan(after: three, before: two), "2 min to 3 min ago"),
      (TimeSpan(after: two, before: two), "2 min ago"),
    ] as [(TimeSpan?, String)] {
      #expect(lastUsed(span, now: Sample.now) == text)
    }
  }

  @Test(arguments: [
    (0, "    "), (0.001, "▏   "), (0.5, "██  "), (0.99, "███▉"), (1, "████"), (7, "████"),
    (.nan, "    "),
  ])
  func barsTellEmptyAndFullFromNearly(_ part: Double, _ text: String) {
    #expect(bar(part, width: 4) == text)
  }

  @Test func curvesEndAtTheRightAndShowNothingLowest() {
    #expect(sparkline([nil, 0, 1, 50, 100], width: 7, top: 100) == "   ▁▂▅█")
    #expect(sparkline([1, 2, 3], width: 2, top: 3) == "▆█")
    #expect(sparkline([0, 0], width: 2, top: 0) == "▁▁")
  }

  @Test func percentagesThatAreNotNothingAreNotShownAsNothing() {
    #expect(
      [nil, 0, 0.0049, 0.005, 0.994, 1].map(percent) == ["-", "0%", "<1%", "1%", "99%", "100%"])
  }

  @Test func linesAreCutWithTheirColors() {
    let line = Line([Span("red", .red), Span("plain")])
    #expect(line.cut(at: 8) == line)
    #expect(line.cut(at: 5).text(isColored: true) == "\u{1B}[31mred\u{1B}[0mp…")
    #expect(line.cut(at: 3).text(isColored: false) == "re…")
    #expect(line.cut(at: 0).text(isColored: true) == "")
  }

  @Test func linesAreWrappedAtBlanksAlone() {
    let line = Line([Span("Label ", .bold), Span("one two "), Span("2001:db8::1234:5678", .red)])
    #expect(
      line.wrapped(14, by: 6).text(isColored: false) == """
        Label one two
              2001:db8::1234:5678

        """)
    #expect(line.wrapped(nil, by: 6) == [line])
  }

  @Test func whatComesFromElsewhereMovesNoCursor() {
    #expect(Line("a\u{1B}[2J\u{9B}\n\u{7F}b").text(isColored: true) == "a?[2J???b")
  }

  @Test func tablesGiveUpTheLeastColumnsFirst() {
    var table = TextTable([
      .init("Name", .left), .init("Least", rank: 2), .init("Less", rank: 1), .init("Most"),
    ])
    table.add([Span("long name"), Span("1"), Span("2"), Span("3")])
    func text(_ width: Int?) -> String { table.lines(width: width).text(isColored: false) }
    #expect(text(nil) == "Name      Least Less Most\nlong name     1    2    3\n")
    #expect(text(25) == text(nil))
    #expect(text(24) == "Name      Less Most\nlong name    2    3\n")
    #expect(text(1) == "Name      Most\nlong name    3\n")
  }

  @Test func whatBeganAgainHasNoRate() {
    let rates = Sample.rates
    func rate(_ virtualServer: String, _ realServer: String) -> RealServerRates? {
      rates.realServers[RealServerKey(virtualServer: virtualServer, realServer: realServer)]
    }
    #expect(
      rate("10.0.0.1", "192.168.100.101")
        == RealServerRates(
          inPackets: 1200, outPackets: 1000, inBytes: 120_000, outBytes: 100_000, associations: 10))
    #expect(rate("lwm2m-v6", "fd70:1::2") == nil)
    #expect(rate("lwm2m-v6", "fd70:2::2")?.inPackets == 0)
    #expect(rates.events["INVALID_CLIENT"] == EventRates(packets: 2, bytes: 0))
  }

  @Test func whoHasTooMuchIsNotAMatterOfChance() {
    func isTooMuch(_ clients: [(UInt64, Int, RealServerState)]) -> [Bool] {
      let servers = clients.map { Sample.realServer("10.0.0.2", $0.2, weight: $0.1) }
      let shares = Shares(clients.map { Double($0.0) }, of: servers)
      return servers.indices.map { shares.isTooMuch($0, tolerance: 0.1) }
    }
    // More than a tenth, but by chance.
    #expect(isTooMuch([(6, 1, .up), (4, 1, .up)]) == [false, false])
    #expect(isTooMuch([(600, 1, .up), (400, 1, .up)]) == [true, false])
    #expect(isTooMuch([(600, 3, .up), (400, 2, .up)]) == [false, false])
    // More than chance, but not by a tenth.
    #expect(isTooMuch([(520_000, 1, .up), (480_000, 1, .up)]) == [false, false])
    // Who takes no new client has what it had; the others share the rest.
    #expect(isTooMuch([(900, 1, .draining), (50, 1, .up), (50, 1, .up)]) == [false, false, false])
    #expect(isTooMuch([(900, 0, .up), (5, 0, .down)]) == [false, false])
    #expect(isTooMuch([(0, 1, .up), (0, 1, .up)]) == [false, false])
  }
}
