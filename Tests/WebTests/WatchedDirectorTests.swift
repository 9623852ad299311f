// The status page and the metrics of a real daemon with real traffic, through the real gateway: in a real
// browser and a real Prometheus.
import Control
import Foundation
import HTTP
import JSONCoding
import TestSupport
import Testing

@Suite struct WatchedDirectorTests {
  private static let rates = """
    [...document.querySelectorAll(".servers td.in")].map((cell) => parseFloat(cell.textContent))
    """

  /// Opens the page as soon as there is a gateway.
  private func browser(on director: WatchedDirector) throws -> Browser {
    let browser = try Browser(in: director.network.topology.director, height: 1200)
    // How many messages of the stream came: one each second.
    try browser.prepare(
      """
      window.messages = 0;
      const Source = EventSource;
      window.EventSource = class extends Source {
        constructor(url) { super(url); this.addEventListener("message", () => (messages += 1)); }
      };
      """)
    let came = waitUntil {
      (try? browser.open("http://\(WatchedDirector.address)/")) != nil
        || !director.gateway.isRunning
    }
    guard came, director.gateway.isRunning else {
      throw TimedOut("the gateway, which wrote:\n\(director.gateway.transcript)")
    }
    return browser
  }

  private func states(_ browser: Browser) throws -> [[String]] {
    try #require(
      try browser.evaluate(
        """
        [...document.querySelectorAll(".servers tbody tr")].map((row) =>
          [row.querySelector("th").textContent, row.querySelector(".state").textContent.trim()])
        """) as? [[String]])
  }

  @Test func thePageFollowsTheDaemon() async throws {
    let director = try WatchedDirector()
    let servers = director.network.addresses([0, 1, 2])
    let browser = try browser(on: director)

    let moves = "\(Self.rates).length === 3 && \(Self.rates).every((rate) => rate > 0)"
    try browser.wait(for: "rates of all real servers", moves)
    #expect(try states(browser) == servers.map { [$0, "up"] })
    let before = try browser.text("document.querySelector('.servers .in-line').getAttribute('d')")
    try browser.wait(
      for: "a curve that moves",
      "document.querySelector('.servers .in-line').getAttribute('d') !== '\(before)'")
    #expect(try browser.text("document.title") == "✓ ulb")

    try findClient(browser, of: director.network)

    // A drain is in sight with the next two messages: within 2 s, however slow this machine is.
    let told = try #require(try browser.evaluate("messages") as? Int)
    try await director.drain(servers[1])
    try browser.wait(for: "the next two messages", "messages >= \(told + 2)")
    #expect(
      try states(browser) == [
        [servers[0], "up"], [servers[1], "draining by hand"], [servers[2], "up"],
      ])

    // The daemon's end is told, and so is that it is back.
    #expect(try director.daemon.stop() == 0)
    try browser.wait(
      for: "the daemon's end",
      "document.querySelector('[data-f=problems]').textContent.includes('does not answer since')")
    #expect(try states(browser).count == 3)
    try director.startDaemon()
    try browser.wait(
      for: "rates after the restart", "document.title === '✓ ulb' && \(moves)")

    // The gateway's too.
    director.gateway.send(signal: SIGTERM)
    #expect(try director.gateway.waitForExit() == 0)
    try browser.wait(
      for: "the gateway's end",
      "document.querySelector('[data-f=headline]').textContent.startsWith('The gateway has told nothing')"
    )
    try director.startGateway()
    try browser.wait(for: "the gateway again", "document.title === '✓ ulb' && \(moves)")
    #expect(browser.complaints == [])
  }

  /// Searches for a new client: it is where it was answered from.
  private func findClient(_ browser: Browser, of network: Network) throws {
    let client = try network.newClient()
    let name = try #require(network.servers(of: [client]).first)
    let number = try #require(Int(name.dropFirst(3)))
    try browser.evaluate(
      """
      document.querySelector("#client").value = "\(client.endpoint)";
      document.querySelector("form").requestSubmit();
      """)
    try browser.wait(for: "the client", "document.querySelector('.found tbody tr')")
    let cells = try browser.evaluate(
      "[...document.querySelectorAll('.found tbody tr > *')].map((cell) => cell.textContent)")
    #expect(
      (cells as? [String])?.prefix(3) == [
        "\(client.endpoint)", network.virtualServer.address,
        network.addresses([number - 1])[0],
      ])
  }

  @Test func prometheusScrapesIt() async throws {
    let director = try WatchedDirector()
    let namespace = director.network.topology.director
    let directory = try TemporaryDirectory()
    let configuration = directory.path(of: "prometheus.yml")
    try """
    global: {scrape_interval: 1s}
    rule_files: [\(Package.path("docs/alerts.yml"))]
    scrape_configs:
    - job_name: ulb
      static_configs: [{targets: ["\(WatchedDirector.address)"]}]
    """.write(toFile: configuration, atomically: true, encoding: .utf8)
    let prometheus = try ChildProcess(
      [
        "prometheus", "--config.file=\(configuration)", "--web.listen-address=127.0.0.1:9090",
        "--storage.tsdb.path=\(directory.path(of: "data"))", "--log.level=warn",
      ], in: namespace)

    /// The lines of an answer: `metric => value @[time]`.
    func query(_ expression: String) throws -> [String] {
      let answer = try run(
        "promtool", "query", "instant", "http://127.0.0.1:9090", expression, in: namespace)
      return answer.status == 0
        ? answer.standardOutput.split(separator: "\n").map(String.init) : []
    }
    let told = try await HTTPClient(unixSocket: director.socket).send(
      "PUT", "/v1/sync", headers: [("Content-Type", "application/json")],
      body: JSON.encode(
        SyncReport(
          director: "a",
          redis: .init(
            server: "/run/redis.sock", state: .connected, since: "2026-01-31T23:59:59Z", error: nil),
          lagMilliseconds: 1.5,
          peers: [
            .init(director: "b", seen: "2026-01-31T23:59:59Z", lagMilliseconds: 2)
          ], sent: 3, received: 4, resyncs: 5)))
    #expect(told.status == 204)
    let names = #"count by (__name__) ({__name__=~"ulb_.*"})"#
    var found: [String] = []
    let came = try waitUntil {
      found = try query(names)
      return found.count >= Metrics.names.count || !prometheus.isRunning
    }
    #expect(came && prometheus.isRunning, "\(found)\n\(prometheus.transcript)")
    // Every metric, each of the real servers, and counts that go up.
    for name in Metrics.names {
      #expect(found.contains { $0.hasPrefix("\(name) ") || $0.hasPrefix("\(name){") }, "\(name)")
    }
    #expect(
      try query(#"ulb_real_server_state{interface="lb0",state="up"} == 1"#).count == 3)
    let sent = #"sum by (direction) (increase(ulb_real_server_packets_total[10s])) > 0"#
    #expect(try waitUntil { try query(sent).count == 2 })
    #expect(try query("up == 1").count == 1)

    // What the daemon itself tells is the same, and Prometheus's linter finds nothing in it.
    let answer = try await HTTPClient(unixSocket: director.socket).send("GET", "/metrics")
    let text = try await answer.collect()
    #expect(text.starts(with: "# HELP ulb_up".utf8))
    let path = directory.path(of: "metrics")
    try Data(text).write(to: URL(fileURLWithPath: path))
    let check = try run("sh", "-c", "exec promtool check metrics <\(path)")
    #expect(check.status == 0 && check.standardError.isEmpty, "\(check.standardError)")

    // A daemon that is gone is told of.
    #expect(try director.daemon.stop() == 0)
    #expect(try waitUntil { try query("ulb_up == 0").count == 1 })
  }
}
