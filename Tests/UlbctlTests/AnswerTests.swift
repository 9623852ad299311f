// What is asked for, what an address means, and what comes back in pieces.
import Control
import Testing

@testable import ulbctl

@Suite struct AnswerTests {
  @Test func targetsAreEncodedWherePathsAndQueriesNeedIt() {
    #expect(Target.client("[fd50::2]:5683").text == "/v1/associations/%5Bfd50%3A%3A2%5D%3A5683")
    #expect(
      Target.realServer("10.0.0.2", of: "a/b ü?").text
        == "/v1/virtual-servers/a%2Fb%20%C3%BC%3F/real-servers/10.0.0.2")
    #expect(
      Target.associations([("network", "10.0.0.0/8"), ("class", nil), ("cursor", "a+b&c")]).text
        == "/v1/associations?network=10.0.0.0%2F8&cursor=a%2Bb%26c")
    #expect(Target.status.text == "/v1/status")
  }

  @Test func eventsAreTheSameHoweverTheyAreCut() {
    let text =
      ": remark\n\nevent: packet\r\ndata: {\"a\":\r\ndata:  1}\r\n\r\nid: 7\ndata\n\n"
      + "event:lost\rdata:x\r\revent: never\n\ndata: \u{FC}\n\nevent: cut\ndata: off\n"
    let events = [
      ServerSentEvent(name: "packet", data: "{\"a\":\n 1}"),
      ServerSentEvent(name: "message", data: ""),
      ServerSentEvent(name: "lost", data: "x"), ServerSentEvent(name: "message", data: "\u{FC}"),
    ]
    let octets = Array(text.utf8)
    for length in 1...octets.count {
      var (parser, found) = (EventStreamParser(), [ServerSentEvent]())
      for start in stride(from: 0, to: octets.count, by: length) {
        found += parser.events(in: octets[start..<min(start + length, octets.count)])
      }
      #expect(found == events, "in pieces of \(length)")
    }
  }

  @Test func anAddressIsAllItsRealServersUnlessAVirtualServerIsNamed() throws {
    var servers = Sample.virtualServers
    servers.append(servers[1])
    servers[2].name = "dtls"
    let list = VirtualServerList(virtualServers: servers)
    func found(_ address: String, _ name: String?) throws -> [String] {
      try list.realServers(address, ofVirtualServer: name).map {
        "\($0.virtualServer.name) \($0.realServer.address)"
      }
    }
    #expect(try found("fd70:1::2", nil) == ["lwm2m-v6 fd70:1::2", "dtls fd70:1::2"])
    #expect(try found("fd70:0001:0::0002", "dtls") == ["dtls fd70:1::2"])
    func refusal(_ address: String, _ name: String?) -> String? {
      do {
        _ = try list.realServers(address, ofVirtualServer: name)
        return nil
      } catch { return error.description }
    }
    #expect(
      refusal("fd70:1::3", nil)
        == "there is no real server fd70:1::3; did you mean fd70:1::2?")
    #expect(
      refusal("192.168.100.1", nil)
        == "there is no real server 192.168.100.1; did you mean 192.168.100.101 or "
        + "192.168.100.102 or 192.168.100.103?")
    #expect(
      refusal("192.168.100.101", "dtls")
        == "there is no real server 192.168.100.101 of dtls; there are fd70:1::2, fd70:2::2")
    #expect(refusal("fd70:1::2", "dlts") == "there is no virtual server dlts; did you mean dtls?")
    let empty = VirtualServerList(virtualServers: [])
    #expect(throws: Failure(.refused, "there is no real server x; there is none at all")) {
      try empty.realServers("x", ofVirtualServer: nil)
    }
  }

  @Test func whatIsAsConfiguredIsLeftToTheConfiguration() {
    let plain = Sample.realServer("10.0.0.2", weight: 3)
    #expect(RealServerOrder.state(.up).patch(for: plain) == RealServerPatch(state: .asConfigured))
    #expect(RealServerOrder.weight(3).patch(for: plain) == RealServerPatch(weight: .asConfigured))
    #expect(RealServerOrder.state(.down).patch(for: plain) == RealServerPatch(state: .set(.down)))
    #expect(RealServerOrder.weight(0).patch(for: plain) == RealServerPatch(weight: .set(0)))
  }

  @Test func whatWasDoneIsSaid() {
    func words(_ order: RealServerOrder, _ change: (inout RealServerDetail) -> Void) -> String {
      var now = Sample.virtualServers[1].realServers[0]
      let before = SelectedRealServer(virtualServer: Sample.virtualServers[1], realServer: now)
      change(&now)
      return String(order.words(before, now: now).dropFirst("fd70:1::2 of lwm2m-v6: ".count))
    }
    #expect(words(.state(.up)) { _ in } == "up, as before")
    #expect(words(.weight(1)) { _ in } == "weight 1, as before")
    #expect(
      words(.state(.draining)) { $0.state = .draining } == "draining, was up; 3 clients stay")
    #expect(
      words(.state(.down)) {
        $0.state = .down
        $0.clients = 1
      } == "down, was up; 1 client goes to others with the next packet")
    #expect(words(.weight(5)) { $0.weight = 5 } == "weight 5, was 1")
    #expect(
      words(.weight(5)) {
        $0.weight = 5
        $0.state = .down
      } == "weight 5, was 1; it is down")
  }

  @Test func theLastForNewClientsIsWarnedOf() {
    let server = Sample.virtualServers[0]
    func isLast(_ index: Int, _ servers: [RealServerDetail]) -> Bool {
      var (virtualServer, changed) = (server, servers[index])
      virtualServer.realServers = servers
      changed.weight = 0
      return SelectedRealServer(virtualServer: virtualServer, realServer: servers[index])
        .isLast(now: changed)
    }
    #expect(!isLast(0, server.realServers))
    #expect(isLast(1, Array(server.realServers[1...]).reversed()) == false)
    #expect(isLast(0, Array(server.realServers[1...])))
  }

  @Test func keysAreToldApart() {
    func keys(_ text: String) -> [FullScreen.Key]? { FullScreen.keys(in: text.utf8) }
    #expect(keys("\u{1B}[A\u{1B}OBj \u{1B}[5~g") == [.up, .down, .down, .pageDown, .pageUp, .home])
    #expect(keys("x\u{1B}[Z") == [])
    #expect(keys("jq") == nil)
    #expect(keys("\u{3}") == nil)
  }

  @Test func aWatchKeepsWhatWasWhileNobodyAnswers() {
    var screen = WatchScreen()
    func text() -> [String] {
      screen.lines(width: 80, height: 60, format: .compact, now: Sample.now).map {
        $0.text(isColored: false)
      }
    }
    #expect(text()[0] == "waiting for the daemon")
    let start = ContinuousClock.now
    var servers = Sample.virtualServers
    for second in 0..<4 {
      servers[0].realServers[0].ingress.packets += UInt64(second * 100)
      screen.add(
        Sample.status(),
        Reading(
          time: start + .seconds(second), virtualServers: servers, counters: Sample.counters))
    }
    #expect(text().count == 60)
    #expect(text()[59] == "q quits")
    let row = text().first { $0.contains("192.168.100.101") }
    #expect(row?.hasSuffix("    300      0          ▄▆█") == true, "\(row ?? "")")
    screen.fail("no daemon answers", now: Sample.now)
    #expect(text()[0] == "✗ no daemon answers; shown is what was 0 s ago")
    #expect(text().contains { $0.contains("192.168.100.101") && $0.contains("      -      -") })
    screen.scroll(by: 1000)
    let last = screen.lines(width: 40, height: 10, format: .compact, now: Sample.now)
    #expect(last.count == 10)
    #expect(last.allSatisfy { $0.width <= 40 })
    #expect(last[9].text(isColored: false) == "↑↓ scroll  q quits")
    #expect(last[8].text(isColored: false).hasPrefix("Following"))
  }
}
