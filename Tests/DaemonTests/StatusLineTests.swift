// What `systemctl status` shows.
import Control
import LoadBalancing
import Testing

@testable import ulb

@Suite struct StatusLineTests {
  private let line = StatusLine(
    virtualServers: [Self.virtualServer(nil, "10.0.0.1", [(1, .up), (1, .up), (1, .up)])],
    interface: "eth0", mode: "native")
  private let time = Timestamp(seconds: 1_800_000_000, nanoseconds: 999_999_999)

  private static func virtualServer(
    _ name: String?, _ address: String, _ realServers: [(weight: Int, state: RealServer.State)]
  ) -> VirtualServer {
    VirtualServer(
      name: name, address: IPAddress(address)!, ports: [5683],
      realServers: realServers.map {
        RealServer(IPAddress(address)!, weight: $0.weight, state: $0.state)
      })
  }

  @Test func whoGetsNoNewClientIsCounted() {
    for (states, text): ([(Int, RealServer.State)], String) in [
      ([(3, .up), (256, .up)], "2 real server(s)"),
      ([(1, .up), (1, .draining), (0, .up)], "3 real server(s) (2 draining)"),
      ([(1, .up), (0, .down), (1, .down)], "3 real server(s) (2 down)"),
      ([(1, .down), (0, .draining)], "2 real server(s) (1 draining, 1 down)"),
    ] {
      var line = line
      line.virtualServers = [Self.virtualServer(nil, "fd00::1", states)]
      #expect(line.text == "\(text) behind fd00::1, eth0 in native mode")
    }
  }

  @Test func severalVirtualServersAreCounted() {
    var line = line
    line.virtualServers += [
      Self.virtualServer("lwm2m-v6", "fd00::1", [(1, .up), (1, .draining)]),
      Self.virtualServer("dns", "10.0.0.1", [(1, .up)]),
    ]
    #expect(
      line.text == "3 virtual servers, 6 real server(s) (1 draining), eth0 in native mode")
    line.virtualServers.removeLast()
    line.reload = Reload(result: .applied, at: time.description)
    #expect(
      line.text == """
        2 virtual servers, 5 real server(s) (1 draining), eth0 in native mode; config file applied \
        at 2027-01-15T08:00:00Z
        """)
  }

  @Test func allIsWell() {
    #expect(line.text == "3 real server(s) behind 10.0.0.1, eth0 in native mode")
  }

  @Test func theLastReloadIsShown() {
    var line = line
    let start = line.text
    for (result, reason, text): (Reload.Result, String?, String) in [
      (.applied, nil, "applied at 2027-01-15T08:00:00Z"),
      (.unchanged, nil, "unchanged at 2027-01-15T08:00:00Z"),
      (.refused, "x, line 3: no", "refused at 2027-01-15T08:00:00Z: x, line 3: no"),
    ] {
      line.reload = Reload(result: result, at: time.description, reason: reason)
      #expect(line.text == "\(start); config file \(text)")
    }
  }

  @Test func aFaultOfTheInterfaceIsShown() {
    var line = line
    line.mode = nil
    line.fault = ("the interface eth0 is gone", time)
    #expect(
      line.text == """
        3 real server(s) behind 10.0.0.1, eth0 without ulb's program; the interface eth0 is gone \
        since 2027-01-15T08:00:00Z
        """)
  }

  @Test func aLongReasonIsCut() {
    var line = line
    line.reload = Reload(
      result: .refused, at: time.description, reason: String(repeating: "x", count: 10_000))
    #expect(line.text.utf8.count < 600)
    #expect(line.text.hasSuffix("x… (9600 bytes more)"))
  }
}
