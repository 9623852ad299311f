// What an operator sees, to the letter.
import Control
import Testing

@testable import ulbctl

@Suite struct ScreenTests {
  @Test func statusFitsIn80ColumnsAndTellsProblemsFirst() {
    let screen = StatusScreen(
      status: Sample.status(problems: ["eth0 is down: ip link set eth0 up"]),
      virtualServers: Sample.virtualServers, counters: Sample.counters,
      columns: .traffic(Sample.rates), rates: Sample.rates, settings: Sample.terminal)
    #expect(
      screen.lines().text(isColored: false) == """
        ulb 1.0.0 on eth0, native mode, up 3 d 4 h, pid 1234
        ✗ eth0 is down: ip link set eth0 up

        10.0.0.1  UDP ports 5683 5684  round-robin  1.02M clients
          Real server     State     Weight Clients Share  Due  InPPS OutPPS InBPS OutBPS
          192.168.100.101 up             3    612K   60%  75%  1.20K  1.00K  120K   100K
          192.168.100.102 up             1   ▲402K   40%  25% ▲2.00M      0     0      0
          192.168.100.103 draining*      1   1.00K   <1%   0%      0      0     0      0
          192.168.100.104 down           1       0    0%   0%      0      0     0      0

        lwm2m-v6  fd60::10  UDP port 5683  maglev  7 clients
          Real server     State     Weight Clients Share  Due  InPPS OutPPS InBPS OutBPS
          fd70:1::2       up             1       3   43%  33%      -      -     -      -
          fd70:2::2       up             2       4   57%  67%      0      0     0      0
          * set by ulbctl, not by the configuration
          ▲ more than its weight gives it

        Table ipv4    ███████████████████▎ 97% 1.02M of 1.05M clients, 20 forgotten
                      700K created, 3 moved from servers that left, 2 moved by request,
                      1 forgotten by request
        Table ipv6    ▏                    <1% 7 of 1.05M clients, 0 forgotten
        Dropped       1.50K packets INVALID_CLIENT, 2.0 a second
                      12 packets LIFETIME_EXPIRED
        Events lost   5
        Config        /etc/ulb/eth0.servers, log level INFO, put in force 1 d ago
        Reload        refused 2 min 59 s ago
                      /etc/ulb/eth0.servers, line 3: '10.0.0' is no address
        State file    /var/lib/ulb/eth0.state, saved 12 s ago
        Following     10.50.0.2:5683

        """)
    #expect(screen.lines().allSatisfy { $0.width <= 80 })
  }

  @Test func theListsOfClientsAreShown() {
    func line(_ lists: ClientListsInForce?) -> String? {
      var status = Sample.status()
      status.configuration.clientLists = lists
      let screen = StatusScreen(
        status: status, virtualServers: [], counters: Sample.counters, columns: .overview,
        rates: nil, settings: Sample.terminal)
      return screen.lines().map { $0.text(isColored: false) }.first { $0.hasPrefix("Clients") }
    }
    let denied = NetworkListInForce(file: "/etc/ulb/deny", networks: 1)
    let allowed = NetworkListInForce(file: "/etc/ulb/allow", networks: 12_345)
    #expect(line(nil) == nil)
    #expect(
      line(ClientListsInForce(allowed: nil, denied: denied, isStrict: false))
        == "Clients       1 network denied by /etc/ulb/deny")
    #expect(
      line(ClientListsInForce(allowed: allowed, denied: nil, isStrict: true))
        == "Clients       12.3K networks allowed by /etc/ulb/allow, asked for residents too")
  }

  @Test func nextHopsAreShown() {
    func lines(_ gateways: GatewayVerification?) -> [String] {
      var status = Sample.status()
      status.configuration.gateways = gateways
      let screen = StatusScreen(
        status: status, virtualServers: [], counters: Sample.counters, columns: .overview,
        rates: nil, settings: Sample.terminal)
      let lines = screen.lines().map { $0.text(isColored: false) }
      guard let first = lines.firstIndex(where: { $0.hasPrefix("Next hops") }) else { return [] }
      return [lines[first]] + lines[(first + 1)...].prefix { $0.hasPrefix(" ") }
    }
    func hop(_ number: Int, _ mac: String?, _ count: Int) -> NextHopStatus {
      NextHopStatus(address: "10.60.0.\(number)", hardwareAddress: mac, realServers: count)
    }
    #expect(lines(nil) == [])
    #expect(
      lines(
        GatewayVerification(
          verifiedRealServers: 3, believedRealServers: 0,
          nextHops: [hop(1, "02:42:0a:3c:00:01", 3)]))
        == ["Next hops     10.60.0.1 at 02:42:0a:3c:00:01, 3 real servers"])
    #expect(
      lines(
        GatewayVerification(
          verifiedRealServers: 5, believedRealServers: 1,
          nextHops: [hop(1, nil, 1)] + (2...6).map { hop($0, "02:42:0a:3c:00:0\($0)", 1) }))
        == [
          "Next hops     10.60.0.1 not known, 1 real server",
          "              10.60.0.2 at 02:42:0a:3c:00:02, 1 real server",
          "              10.60.0.3 at 02:42:0a:3c:00:03, 1 real server",
          "              10.60.0.4 at 02:42:0a:3c:00:04, 1 real server",
          "              and others; 5 real servers verified",
          "              1 real server believed from anywhere",
        ])
  }

  @Test func theSharingOfAssociationsIsShown() {
    func lines(_ sync: SyncStatus?) -> [String] {
      var status = Sample.status()
      status.sync = sync
      let screen = StatusScreen(
        status: status, virtualServers: [], counters: Sample.counters, columns: .overview,
        rates: nil, settings: Sample.terminal)
      let lines = screen.lines().map { $0.text(isColored: false) }
      guard let first = lines.firstIndex(where: { $0.hasPrefix("Sharing") }) else { return [] }
      return [lines[first]] + lines[(first + 1)...].prefix { $0.hasPrefix(" ") }
    }
    func report(
      _ state: SyncReport.Redis.State, error: String? = nil, lag: Double? = nil,
      peers: [(String, Double?)] = []
    ) -> SyncReport {
      let time = "2026-03-01T11:59:00Z"
      return SyncReport(
        director: "a",
        redis: .init(server: "10.0.0.9:6379", state: state, since: time, error: error),
        lagMilliseconds: lag,
        peers: peers.map { .init(director: $0.0, seen: time, lagMilliseconds: $0.1) },
        sent: 12_345, received: 6, resyncs: 1)
    }
    #expect(lines(nil) == [])
    #expect(
      lines(
        SyncStatus(
          report: report(.connected, lag: 3.4, peers: [("b", 20), ("c", nil)]), isStale: false))
        == [
          "Sharing       as a by Redis 10.0.0.9:6379, connected for 1 min",
          "              sent 12.3K, 3 ms behind, received 6",
          "              with b, 20 ms behind, seen 1 min ago",
          "              with c, seen 1 min ago",
        ])
    #expect(
      lines(SyncStatus(report: report(.away, error: "connection refused"), isStale: false))
        == [
          "Sharing       as a by Redis 10.0.0.9:6379, away for 1 min",
          "              connection refused",
          "              sent 12.3K, received 6",
          "              with no other director",
        ])
    #expect(
      lines(SyncStatus(report: report(.connected), isStale: true))
        == ["Sharing       ulb-sync of a tells nothing any more"])
  }

  @Test func problemsAreRedWhereThereAreColors() {
    let screen = StatusScreen(
      status: Sample.status(problems: ["eth0 is down"]), virtualServers: [],
      counters: Sample.counters, columns: .overview, rates: nil, settings: Sample.terminal)
    #expect(screen.lines()[1].text(isColored: true) == "\u{1B}[1;31m✗ eth0 is down\u{1B}[0m")
  }

  @Test func aLowScreenShowsTheTellingServersOfEachVirtualServer() {
    var servers = Sample.virtualServers
    for number in 0..<100 {
      servers[0].realServers.insert(
        Sample.realServer("10.1.0.\(number)", clients: 250_000), at: number)
    }
    var settings = Sample.terminal
    settings.height = 40
    let screen = StatusScreen(
      status: Sample.status(), virtualServers: servers, counters: Sample.counters,
      columns: .overview, rates: nil, settings: settings)
    let lines = screen.lines().map { $0.text(isColored: false) }
    #expect(lines.count <= 40)
    for address in ["192.168.100.103", "192.168.100.104", "fd70:1::2", "fd70:2::2"] {
      #expect(lines.contains { $0.contains(address) }, "\(address) is not up, or one of few")
    }
    #expect(lines.contains { $0.hasPrefix("  … and ") && $0.hasSuffix(" more: ulbctl servers") })
  }

  @Test func serversTellWhatTheConfigurationSays() {
    #expect(
      servers(.overview) == """
        10.0.0.1  UDP ports 5683 5684  round-robin  1.02M clients
          Real server     State     Weight Clients Share  Due Configured
          192.168.100.101 up             3    612K   60%  75%
          192.168.100.102 up             1   ▲402K   40%  25%
          192.168.100.103 draining*      1   1.00K   <1%   0% up, weight 1
          192.168.100.104 down           1       0    0%   0%

        lwm2m-v6  fd60::10  UDP port 5683  maglev  7 clients
          Real server     State     Weight Clients Share  Due Configured
          fd70:1::2       up             1       3   43%  33%
          fd70:2::2       up             2       4   57%  67%
          * set by ulbctl, not by the configuration
          ▲ more than its weight gives it

        """)
  }

  @Test func serversTellCountsAndRates() {
    var settings = Sample.wide
    settings.format = .exact
    #expect(
      servers(.stats, settings) == """
        10.0.0.1  UDP ports 5683 5684  round-robin  1015345 clients
          Real server     Clients ByClient ByServer Taken  InPkts OutPkts   InBytes  OutBytes
          192.168.100.101  612345   700000       12     3 1000000  900000 900000000 800000000
          192.168.100.102  402000        0        0     0 3000000       0      5000         0
          192.168.100.103    1000        0        0     0       0       0         0         0
          192.168.100.104       0        0        0     0       0       0         0         0

        lwm2m-v6  fd60::10  UDP port 5683  maglev  7 clients
          Real server     Clients ByClient ByServer Taken InPkts OutPkts InBytes OutBytes
          fd70:1::2             3        0        0     0      0       0       0        0
          fd70:2::2             4        0        0     0      0       0       0        0

        """)
    #expect(
      servers(.rate(Sample.rates)) == """
        10.0.0.1  UDP ports 5683 5684  round-robin  1.02M clients
          Real server       CPS  InPPS OutPPS InBPS OutBPS
          192.168.100.101    10  1.20K  1.00K  120K   100K
          192.168.100.102     0 ▲2.00M      0     0      0
          192.168.100.103     0      0      0     0      0
          192.168.100.104     0      0      0     0      0

        lwm2m-v6  fd60::10  UDP port 5683  maglev  7 clients
          Real server       CPS  InPPS OutPPS InBPS OutBPS
          fd70:1::2           -      -      -     -      -
          fd70:2::2           0      0      0     0      0
          ▲ more than its weight gives it

        """)
  }

  @Test func curvesTakeThePlaceOfBytes() {
    let key = RealServerKey(virtualServer: "10.0.0.1", realServer: "192.168.100.101")
    let curves: [RealServerKey: [Double?]] = [key: [nil, 0, 0.1, 1, 2, 3, 4, 5, 6, 7]]
    let lines = servers(.curves(Sample.rates, curves)).split(separator: "\n")
    #expect(
      lines[1...2] == [
        "  Real server     State     Weight Clients Share  Due  InPPS OutPPS Packets in",
        "  192.168.100.101 up             3    612K   60%  75%  1.20K  1.00K    ▁▂▂▃▄▅▆▇█",
      ])
    var settings = Sample.terminal
    settings.width = 120
    let wide = servers(.curves(Sample.rates, curves), settings).split(separator: "\n")
    #expect(wide[1].contains("OutBPS"))
    #expect(wide[2].count == 120)
  }

  @Test func aVirtualServerWithoutRealServersSaysSo() {
    var server = Sample.virtualServers[1]
    server.realServers = []
    let screen = ServersScreen(
      virtualServers: [server], columns: .overview, settings: Sample.terminal)
    #expect(
      screen.lines().text(isColored: false) == """
        lwm2m-v6  fd60::10  UDP port 5683  maglev  0 clients
          no real server

        """)
  }

  @Test func countersLeaveOutWhatNeverHappened() {
    let screen = CountersScreen(counters: Sample.counters, settings: Sample.terminal)
    #expect(
      screen.lines().text(isColored: false) == """
        Event                              Verdict    Packets      Bytes
        INGRESS_NEW_NAT                    send          700K      70.0M
        INGRESS_REUSED_NAT                 send         3.30M       900M
        LIFETIME_EXPIRED                   drop            12      1.20K
        INVALID_CLIENT                     drop         1.50K      90.0K

        Associations                             ipv4       ipv6
        created by clients                       700K          0
        created by real servers                    12          0
        taken over from servers that left           3          0
        forgotten newcomers                        20          0
        forgotten by request                        1          0
        moved by request                            2          0

        Daemon
        events lost                                 5
        reloads applied                             1
        compilations                                2
        swaps                                       1
        saves                                       9

        """)
    var all = screen
    all.showsAll = true
    #expect(all.lines().contains { $0.text(isColored: false).hasPrefix("NOT_UDP  ") })
  }

  @Test func countersTellWhatASecondBrings() {
    let screen = CountersScreen(
      counters: Sample.counters, rates: Sample.rates, settings: Sample.terminal)
    #expect(
      screen.lines().text(isColored: false) == """
        Event                              Verdict  Packets/s    Bytes/s
        INGRESS_REUSED_NAT                 send         2.00M       120K
        INVALID_CLIENT                     drop           2.0          0

        """)
  }

  @Test func clientsStandInColumnsThatGrow() {
    var table = ClientLines(now: Sample.now)
    let entries = [
      AssociationEntry(
        client: "10.50.0.2:5683", virtualServer: "10.0.0.1", realServer: "10.0.0.2",
        class: .newcomer, age: 3,
        lastUsed: TimeSpan(after: "2026-03-01T11:57:00Z", before: "2026-03-01T11:58:00Z")),
      AssociationEntry(
        client: "[fd50:1234:5678:9abc:def0:1234:5678:9abc]:65535", virtualServer: "lwm2m-v6",
        realServer: "fd70:1::2", class: .resident, age: 128, lastUsed: nil),
    ]
    table.widen(for: entries.prefix(1))
    let narrow = [table.heading] + entries.prefix(1).map { table.line($0) }
    table.widen(for: entries)
    let wide = entries.map { table.line($0) }
    #expect(
      (narrow + wide).text(isColored: false) == """
        Client                Virtual server  Real server     Class    Age Last used
        10.50.0.2:5683        10.0.0.1        10.0.0.2        newcomer   3 2 min to 3 min ago
        10.50.0.2:5683                                  10.0.0.1        10.0.0.2        newcomer   3 2 min to 3 min ago
        [fd50:1234:5678:9abc:def0:1234:5678:9abc]:65535 lwm2m-v6        fd70:1::2       resident 128 unknown

        """)
  }

  @Test func aClientIsToldWithItsRealServers() {
    let entry = AssociationEntry(
      client: "10.50.0.2:5683", virtualServer: "10.0.0.1", realServer: "192.168.100.103",
      class: .newcomer, age: 0, lastUsed: TimeSpan(after: "2026-03-01T11:59:58.5Z", before: nil))
    let screen = ClientScreen(
      client: ClientAssociations(client: entry.client, associations: [entry]),
      virtualServers: Sample.virtualServers, settings: Sample.terminal)
    #expect(
      screen.lines().text(isColored: false) == """
        10.50.0.2:5683
          10.0.0.1 ─> 192.168.100.103 (draining, weight 1)
            newcomer, last used less than 2 s ago, age 0 of 128
            its real server has 1.00K clients; in 0 packets, 0 bytes; out 0 packets, 0 bytes

        """)
    var inUse = entry
    inUse.lastUsed = TimeSpan(after: nil, before: "2026-03-01T12:00:00Z")
    let other = ClientScreen(
      client: ClientAssociations(client: entry.client, associations: [inUse]),
      virtualServers: Sample.virtualServers, settings: Sample.terminal)
    #expect(other.lines().text(isColored: false).contains("    newcomer, in use, age 0 of 128\n"))
  }

  private func servers(
    _ columns: RealServerColumns, _ settings: ScreenSettings = Sample.terminal
  ) -> String {
    ServersScreen(
      virtualServers: Sample.virtualServers, columns: columns, settings: settings
    ).lines().text(isColored: false)
  }
}
