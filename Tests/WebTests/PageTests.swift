// The status page in a real browser, told what a test makes up: no daemon, no gateway, no network.
import Control
import Foundation
import JSONCoding
import LoadBalancing
import StatusPage
import TestSupport
import Testing

@Suite struct PageTests {
  /// The page with a stream that tells what a test wants.
  private static func page(
    width: Int = 1280,
    answer: @escaping @Sendable (String) -> Browser.Answer? = { _ in nil }
  ) throws -> Browser {
    let browser = try Browser(width: width, height: 1600) { path in
      StatusPage.file(at: String(path.prefix { $0 != "?" })).map {
        Browser.Answer(
          mediaType: $0.mediaType,
          headers: ["Content-Security-Policy": StatusPage.contentSecurityPolicy], bytes: $0.bytes)
      } ?? answer(path)
    }
    try browser.prepare(
      """
      window.sources = [];
      window.EventSource = class {
        constructor(url) { this.url = url; sources.push(this); }
        close() { this.isClosed = true; }
      };
      """)
    try browser.open(Browser.origin + "/")
    try browser.wait(for: "the stream", "window.sources.length === 1")
    return browser
  }

  private static func tell(_ browser: Browser, _ daemons: LiveMessage.Daemon...) throws {
    let text = String(decoding: try JSON.encode(LiveMessage(daemons: daemons)), as: UTF8.self)
    let literal = String(decoding: try JSON.encode(text), as: UTF8.self)
    try browser.evaluate("sources.at(-1).onmessage({ data: \(literal) }); 0")
  }

  private static func rows(_ browser: Browser, _ selector: String) throws -> [[String]] {
    try #require(
      try browser.evaluate(
        """
        [...document.querySelectorAll("\(selector)")]
          .map((row) => [...row.children].map((cell) => cell.textContent.trim().replace(/\\s+/g, " ")))
        """) as? [[String]])
  }

  private static func headline(_ browser: Browser) throws -> String {
    try browser.text("document.querySelector('[data-f=headline]').textContent")
  }

  private static func problems(_ browser: Browser) throws -> [String] {
    try rows(browser, "[data-f=problems]").first ?? []
  }

  private static let daemon = LiveMessage.Daemon(
    "lb0",
    [
      VirtualServerDetail(
        "10.40.0.1",
        [
          RealServerDetail("10.0.0.2", clients: 300),
          RealServerDetail("10.0.0.3", weight: 3, clients: 100),
          RealServerDetail("10.0.0.4", .draining, clients: 100),
          RealServerDetail("10.0.0.5", .down),
        ])
    ])

  @Test func whatADaemonTellsIsShown() throws {
    let browser = try Self.page()
    var daemon = Self.daemon
    try Self.tell(browser, daemon)
    // One reading makes no rate.
    #expect(try Self.rows(browser, ".servers tbody tr").map { $0[5] } == ["–", "–", "–", "–"])
    daemon.pass(packets: 1500)
    daemon.counters!.events[2].packets = 7
    daemon.status!.associations[0].clients = ClassCounts(newcomer: 500)
    daemon.counters!.associations[0].forgotten.newcomer = 12
    try Self.tell(browser, daemon)
    #expect(
      try Self.rows(browser, ".servers tbody tr") == [
        ["10.0.0.2", "up", "1", "300", "60% ▲ too many", "1.50K", "750", "1.20M", ""],
        ["10.0.0.3", "up", "3", "100", "20%", "1.50K", "750", "1.20M", ""],
        ["10.0.0.4", "draining by hand", "1", "100", "20%", "1.50K", "750", "1.20M", ""],
        ["10.0.0.5", "down by hand", "1", "0", "0%", "1.50K", "750", "1.20M", ""],
      ])
    #expect(try Self.headline(browser) == "Nothing is wrong")
    #expect(try browser.text("document.title") == "✓ ulb")
    let text = try browser.text("document.querySelector('main').innerText")
    for part in [
      "6.00K packets/s", "3.00K packets/s", "500", "of 1,000", "50% full", "12, 12 /s",
      "2 up", "1 draining", "1 down", "port 5683 5684, round-robin", "/etc/ulb/lb0.cfg",
      "no state file",
    ] {
      #expect(text.contains(part), "\(part) in \(text)")
    }
    #expect(
      try Self.rows(browser, ".drops tbody tr") == [
        ["Invalid size for UDP packet", "7 /s", "7"]
      ])
    // A curve is drawn, and the page draws nothing that its policy forbids.
    try browser.wait(
      for: "a curve",
      "document.querySelector('.traffic .in-line').getAttribute('d')?.startsWith('M')")
    #expect(browser.complaints == [])
    #expect(browser.requests.allSatisfy { $0.hasPrefix(Browser.origin + "/") })
  }

  @Test func everyEventIsCalledAsInTheLog() throws {
    let browser = try Self.page()
    var daemon = Self.daemon
    daemon.counters!.events = Event.allCases.map {
      EventCounter(event: $0.name, verdict: .pass, packets: 1, bytes: 1)
    }
    try Self.tell(browser, daemon)
    #expect(
      try Self.rows(browser, ".decisions tbody tr").map { $0[0] }
        == Event.allCases.map { "pass: \($0.message)" })
  }

  @Test func aRestartBreaksTheCurvesAndNothingElse() throws {
    let browser = try Self.page()
    var daemon = Self.daemon
    for _ in 1...3 {
      daemon.pass(packets: 1000)
      try Self.tell(browser, daemon)
    }
    try Self.tell(browser, .init(interface: "lb0", error: "Connection refused"))
    #expect(try Self.headline(browser) == "1 problem")
    // Another process, whose counters begin anew.
    daemon = Self.daemon
    daemon.status!.startedAt = "2026-02-01T11:00:00.000Z"
    daemon.status!.uptimeSeconds = 1
    try Self.tell(browser, daemon)
    #expect(try Self.rows(browser, ".servers tbody tr").map { $0[5] } == ["–", "–", "–", "–"])
    daemon.pass(packets: 20)
    try Self.tell(browser, daemon)
    #expect(try Self.rows(browser, ".servers tbody tr").map { $0[5] } == ["20", "20", "20", "20"])
    #expect(try Self.headline(browser) == "Nothing is wrong")
    // Told twice, as where a daemon is slow: no second has gone by, and none is made up.
    try Self.tell(browser, daemon)
    #expect(try Self.rows(browser, ".servers tbody tr").map { $0[5] } == ["20", "20", "20", "20"])
  }

  @Test func whatIsWrongStandsOnTop() throws {
    let browser = try Self.page()
    try Self.tell(browser)
    #expect(try Self.headline(browser).hasPrefix("No daemon answers on this machine"))

    var daemon = Self.daemon
    daemon.status!.health = Health(problems: [
      "the config file was refused: line 7", "the table is full",
    ])
    daemon.status!.reload = Reload(result: .refused, at: "2026-02-01T10:01:00Z", reason: "line 7")
    daemon.status!.stateFile = StateFileStatus(
      path: "/s", savedAt: nil, ageSeconds: nil, failure: "No space left on device")
    try Self.tell(browser, daemon, .init(interface: "lb1", error: "Connection refused"))
    #expect(try Self.headline(browser) == "3 problems")
    var problems = try Self.problems(browser)
    #expect(
      problems.prefix(2) == ["lb0: the config file was refused: line 7", "lb0: the table is full"])
    #expect(problems[2].hasPrefix("lb1: does not answer since "))
    #expect(problems[2].hasSuffix(": Connection refused"))
    #expect(try browser.text("document.title") == "▲ 3 problems · ulb")
    let text = try browser.text("document.querySelector('main').innerText")
    #expect(text.contains("refused 40 s ago"))
    #expect(text.contains("failed: No space left on device"))

    // One that was up and is not even told of any more is not forgotten, until somebody says so. Until a
    // daemon answers for the first time, the gateway may know no better name than its socket's.
    try Self.tell(
      browser, daemon, .init(interface: "/run/ulb/lb1/control.sock", error: "Connection refused"))
    try Self.tell(browser, daemon, LiveMessage.Daemon("lb1", []))
    #expect(try Self.headline(browser) == "2 problems")
    try Self.tell(browser, Self.daemon)
    problems = try Self.problems(browser)
    #expect(problems.count == 1 && problems[0].hasSuffix("its socket is gone"))
    try browser.evaluate("document.querySelectorAll('[data-f=dismiss]')[1].click()")
    #expect(try Self.headline(browser) == "Nothing is wrong")
    #expect(browser.complaints == [])
  }

  @Test func withWhomClientsAreSharedIsShown() throws {
    let browser = try Self.page()
    var daemon = Self.daemon
    func row() throws -> [String] {
      try Self.rows(browser, "[data-f=sharingRow]:not([hidden])").first ?? []
    }
    try Self.tell(browser, daemon)
    #expect(try row() == [])
    var report = SyncReport(
      director: "a",
      redis: .init(
        server: "redis.example:6379", state: .connected, since: "2026-02-01T10:00:00.000Z",
        error: nil),
      lagMilliseconds: nil, peers: [], sent: 0, received: 0, resyncs: 2)
    func tell(isStale: Bool = false) throws {
      daemon.pass(packets: 1)
      daemon.status!.sync = SyncStatus(report: report, isStale: isStale)
      try Self.tell(browser, daemon)
    }
    try tell()
    #expect(try row() == ["Sharing", "with no other director", ""])
    report.peers = (1...6).map {
      .init(
        director: "lb\($0)", seen: "2026-02-01T10:01:40.000Z",
        lagMilliseconds: $0 == 1 ? nil : 41.7)
    }
    try tell()
    #expect(
      try row() == [
        "Sharing", "with lb1, lb2, lb3, lb4 and 2 more",
        "lb1: seen 2 s ago; lb2: 42 ms behind, seen 2 s ago; lb3: 42 ms behind, seen 2 s ago; "
          + "lb4: 42 ms behind, seen 2 s ago",
      ])
    report.redis.state = .loading
    try tell()
    #expect(try row() == ["Sharing", "Redis loading", "by redis.example:6379"])
    report.redis.state = .away
    report.redis.error = "Connection refused"
    try tell()
    #expect(try row() == ["Sharing", "Redis away", "Connection refused"])
    let alarm = "document.querySelector('[data-f=sharingRow]').classList.contains('alarm')"
    #expect(try browser.evaluate(alarm) as? Bool == true)
    try tell(isStale: true)
    #expect(try row()[1] == "ulb-sync tells nothing any more")
    #expect(browser.complaints == [])
  }

  @Test func aGatewayThatIsGoneIsAskedUntilItIsBack() throws {
    let browser = try Self.page()
    try Self.tell(browser, Self.daemon)
    try browser.evaluate("sources[0].onerror(); 0")
    #expect(try Self.headline(browser).hasPrefix("The gateway has told nothing since "))
    #expect(try browser.text("document.querySelector('main').className") == "stale")
    // Its last numbers stay in sight, and the old stream is closed.
    #expect(try Self.rows(browser, ".servers tbody tr").count == 4)
    #expect(try browser.evaluate("sources[0].isClosed") as? Bool == true)
    try browser.wait(for: "another try", "sources.length === 2")
    try Self.tell(browser, Self.daemon)
    #expect(try Self.headline(browser) == "Nothing is wrong")
    #expect(try browser.text("document.querySelector('main').className") == "")
  }

  @Test func aClientIsFound() throws {
    let browser = try Self.page { path in
      let known = "/api/lb0/v1/associations?"
      guard path.hasPrefix(known) else { return nil }
      let query = path.dropFirst(known.count)
      let isKnown =
        query.contains("client=10.50.0.2%3A5683") || query.contains("network=fd50%3A%3A2%2F128")
      let entry = AssociationEntry(
        client: "10.50.0.2:5683", virtualServer: "10.40.0.1", realServer: "10.0.0.3",
        class: .newcomer,
        age: 0, lastUsed: nil)
      let page = AssociationPage(
        associations: isKnown ? [entry] : [], next: nil, count: isKnown ? 1 : 0)
      return (try? JSON.encode(page)).map {
        Browser.Answer(mediaType: "application/json", headers: [:], bytes: $0)
      }
    }
    try Self.tell(browser, Self.daemon)
    // As somebody without a mouse does it.
    func find(_ text: String) throws -> String {
      try browser.evaluate(
        "document.querySelector('#client').focus(); document.querySelector('#client').select()")
      try browser.type(text)
      try browser.press("Enter", code: 13)
      let title = "document.querySelector('#found-title')"
      try browser.wait(
        for: "what was found",
        "\(title) === document.activeElement && \(title).textContent.startsWith('\(text)')")
      return try browser.text("\(title).textContent")
    }
    #expect(try find("10.50.0.2:5683") == "10.50.0.2:5683: 1 association")
    #expect(
      try Self.rows(browser, ".found tbody tr")
        == [["10.50.0.2:5683", "10.40.0.1", "10.0.0.3", "newcomer", "not known", "lb0"]])
    #expect(try find("fd50::2") == "fd50::2: 1 association")
    #expect(try find("10.50.0.9") == "10.50.0.9: no client known")
    #expect(try Self.rows(browser, ".found tbody tr") == [])
    #expect(browser.complaints == [])
  }

  /// The answer to a search that comes after that of a later one is not shown, and none is once what was
  /// found is closed.
  @Test func onlyTheLastSearchIsAnswered() throws {
    let browser = try Self.page()
    try Self.tell(browser, Self.daemon)
    try browser.evaluate(
      """
      window.searches = {};
      window.taken = 0;
      window.fetch = (url) => new Promise((answer) => {
        const client = new URLSearchParams(url.split("?")[1]).get("client");
        searches[client] = () => answer({
          ok: true, json: async () => { taken += 1; return { associations: [], count: 0 }; },
        });
      });
      for (const client of ["10.50.0.2:1", "10.50.0.2:2", "10.50.0.2:3"]) {
        document.querySelector("#client").value = client;
        document.querySelector("form").requestSubmit();
        if (client.endsWith(":2")) searches[client]();
      }
      searches["10.50.0.2:3"]();
      """)
    let title = "document.querySelector('#found-title').textContent"
    try browser.wait(for: "the last answer", "\(title).startsWith('10.50.0.2:3')")
    try browser.evaluate("searches['10.50.0.2:1']()")
    try browser.wait(for: "all answers", "taken === 3")
    #expect(try browser.text(title) == "10.50.0.2:3: no client known")

    try browser.evaluate(
      """
      document.querySelector("form").requestSubmit();
      document.querySelector("[data-f=close]").click();
      searches["10.50.0.2:3"]();
      """)
    try browser.wait(for: "one more answer", "taken === 4")
    #expect(try browser.evaluate("document.querySelector('.found').hidden") as? Bool == true)
  }

  @Test func fourThousandServersAreFolded() throws {
    let browser = try Self.page()
    let services = (0..<64).map { service in
      VirtualServerDetail(
        "service-\(service)", (0..<64).map { RealServerDetail("10.0.\(service).\($0)", clients: 1) }
      )
    }
    var daemon = LiveMessage.Daemon("lb0", services)
    try Self.tell(browser, daemon)
    daemon.pass(packets: 10)
    try Self.tell(browser, daemon)
    #expect(try Self.rows(browser, "details.service").count == 64)
    #expect(try Self.rows(browser, ".servers tbody tr").count == 0)
    // What was counted while it was folded is there once it is not.
    try browser.evaluate("document.querySelectorAll('.service summary')[1].click()")
    try browser.wait(
      for: "its rows", "document.querySelectorAll('.servers tbody tr').length === 64")
    #expect(
      try Self.rows(browser, ".servers tbody tr")[0].prefix(6) == [
        "10.0.1.0", "up", "1", "1", "1.5%", "10",
      ])

    // For one that goes unseen nothing is made, and one that comes back is not shown as it was.
    try browser.evaluate(
      """
      window.copies = 0;
      const clone = Node.prototype.cloneNode;
      Node.prototype.cloneNode = function (...how) { copies += 1; return clone.apply(this, how); };
      document.querySelectorAll(".service summary")[1].click();
      """)
    let left = (1...2).map { daemon.virtualServers[$0].realServers.removeFirst() }
    daemon.pass(packets: 10)
    try Self.tell(browser, daemon)
    #expect(try browser.evaluate("copies") as? Int == 0)
    for index in 1...2 { daemon.virtualServers[index].realServers.insert(left[index - 1], at: 0) }
    daemon.virtualServers[1].realServers[0].clients = 7
    daemon.pass(packets: 10)
    try Self.tell(browser, daemon)
    try browser.evaluate("document.querySelectorAll('.service summary')[1].click()")
    try browser.wait(
      for: "the row of who is back",
      "document.querySelectorAll('.servers tbody tr').length === 64 && "
        + "document.querySelector('.servers tbody tr').children[3].textContent.trim() === '7'")
  }

  @Test(arguments: [400, 1280])
  func itIsReadable(width: Int) throws {
    let browser = try Self.page(width: width)
    var daemon = Self.daemon
    daemon.status!.health = Health(problems: ["the table is full"])
    daemon.status!.associations[0].clients = ClassCounts(newcomer: 990, resident: 5)
    for _ in 1...2 {
      daemon.pass(packets: 1500)
      daemon.counters!.events[2].packets += 10
      daemon.counters!.associations[0].forgotten.newcomer += 9
      daemon.counters!.daemon.eventsLost += 1
      try Self.tell(browser, daemon)
    }
    #expect(try browser.evaluate("document.documentElement.scrollWidth") as? Int == width)
    for isDark in [false, true] {
      try browser.prefer(dark: isDark)
      #expect(try browser.evaluate(Self.faintTexts) as? [String] == [])
    }

    // What a screen reader is told of a row is the same in both widths.
    let tree = try browser.accessibility()
    for role in ["banner", "search", "main", "status"] {
      #expect(tree.contains { $0.role == role }, "\(role)")
    }
    #expect(tree.contains { $0.role == "table" && $0.name == "Real servers of 10.40.0.1" })
    #expect(tree.contains { $0.role == "rowheader" && $0.name == "10.0.0.4" })
    #expect(tree.contains { $0.role == "cell" && $0.name == "draining by hand" })
    #expect(tree.contains { $0.role == "region" && $0.name == "lb0" })
    #expect(tree.contains { $0.role == "searchbox" && $0.name == "Client" })
    #expect(tree.contains { $0.role == "button" && $0.name == "Theme: auto" })
  }

  /// The texts whose contrast to what is behind them is below that of WCAG 2.1, level AA (1.4.3).
  private static let faintTexts = """
    (() => {
      const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
      const over = (colors) => {
        for (const color of colors) { context.fillStyle = color; context.fillRect(0, 0, 1, 1); }
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
      };
      const luminance = (color) => {
        const [r, g, b] = color.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const faint = [];
      let looked = 0;
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(".unseen, .skip")) continue;
        const style = getComputedStyle(element);
        const behind = [];
        for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
        const [text, ground] = [luminance(over([...behind, style.color])), luminance(over(behind))];
        const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
        const isLarge = parseFloat(style.fontSize) >= 24;
        looked += 1;
        if (contrast < (isLarge ? 3 : 4.5)) faint.push(`${walker.currentNode.data.trim()}: ${contrast.toFixed(2)}`);
      }
      return looked > 50 ? faint : [`only ${looked} texts`];
    })()
    """

  @Test func theThemeIsChosenAndKept() throws {
    let browser = try Self.page()
    let ground = "getComputedStyle(document.body).backgroundColor"
    let light = try browser.text(ground)
    try browser.evaluate("document.querySelector('[data-f=theme]').focus()")
    for (theme, isLight) in [("light", true), ("dark", false)] {
      try browser.press("Enter", code: 13)
      #expect(
        try browser.text("document.querySelector('[data-f=theme]').textContent")
          == "Theme: \(theme)")
      #expect(try (browser.text(ground) == light) == isLight)
    }
    try browser.open(Browser.origin + "/?again")
    try browser.wait(
      for: "the page again",
      "document.querySelector('[data-f=theme]')?.textContent === 'Theme: dark'")
  }
}
