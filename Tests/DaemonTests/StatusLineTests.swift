// What `systemctl status` shows.
import LoadBalancing
import Testing

@testable import ulb

@Suite struct StatusLineTests {
  private let line = StatusLine(
    realServers: 3, virtualServer: IPAddress("10.0.0.1")!, interface: "eth0", mode: "native")
  private let time = Timestamp(seconds: 1_800_000_000, nanoseconds: 999_999_999)

  @Test func allIsWell() {
    #expect(line.text == "3 real server(s) behind 10.0.0.1, eth0 in native mode")
  }

  @Test func theLastReloadIsShown() {
    var line = line
    let start = line.text
    for (outcome, text): (StatusLine.Reload, String) in [
      (.applied, "applied at 2027-01-15T08:00:00Z"),
      (.unchanged, "unchanged at 2027-01-15T08:00:00Z"),
      (.refused("x, line 3: no"), "refused at 2027-01-15T08:00:00Z: x, line 3: no"),
    ] {
      line.reload = (outcome, time)
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
    line.reload = (.refused(String(repeating: "x", count: 10_000)), time)
    #expect(line.text.utf8.count < 600)
    #expect(line.text.hasSuffix("x… (9600 bytes more)"))
  }
}
