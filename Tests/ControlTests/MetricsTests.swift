// Metrics as Prometheus reads them: the whole text of two daemons, and what Prometheus's own tool says of it.
import Control
import Foundation
import TestSupport
import Testing

@Suite struct MetricsTests {
  private static func text(_ daemons: [Metrics.Daemon], as format: MetricsFormat = .prometheus)
    -> String
  {
    String(decoding: Metrics.text(of: daemons, as: format), as: UTF8.self)
  }

  private static let two = [
    Metrics.Daemon(interface: "lb0", reading: .example),
    Metrics.Daemon(interface: "lb1", reading: nil),
  ]

  @Test func allThatADaemonAnswersIsThere() {
    let expected = """
      # HELP ulb_up Whether the daemon answers.
      # TYPE ulb_up gauge
      ulb_up{interface="lb0"} 1
      ulb_up{interface="lb1"} 0
      # HELP ulb_build_info The daemon's version.
      # TYPE ulb_build_info gauge
      ulb_build_info{interface="lb0",version="1.1.0"} 1
      # HELP ulb_start_time_seconds When the daemon began, in seconds since 1970.
      # TYPE ulb_start_time_seconds gauge
      ulb_start_time_seconds{interface="lb0"} 1769903999.5
      # HELP ulb_packets_total Frames that came in, by what was decided.
      # TYPE ulb_packets_total counter
      ulb_packets_total{interface="lb0",event="NOT_UDP",verdict="pass"} 7
      ulb_packets_total{interface="lb0",event="INGRESS_REUSED_NAT",verdict="send"} 18446744073709551615
      # HELP ulb_bytes_total Bytes of these frames, Ethernet header included.
      # TYPE ulb_bytes_total counter
      ulb_bytes_total{interface="lb0",event="NOT_UDP",verdict="pass"} 420
      ulb_bytes_total{interface="lb0",event="INGRESS_REUSED_NAT",verdict="send"} 9000
      # HELP ulb_virtual_server_real_servers Real servers of the virtual server by their state; one without weight counts as draining.
      # TYPE ulb_virtual_server_real_servers gauge
      ulb_virtual_server_real_servers{interface="lb0",virtual_server="a\\\\b\\"c",state="up"} 0
      ulb_virtual_server_real_servers{interface="lb0",virtual_server="a\\\\b\\"c",state="draining"} 1
      ulb_virtual_server_real_servers{interface="lb0",virtual_server="a\\\\b\\"c",state="down"} 0
      # HELP ulb_real_server_packets_total Packets from clients to the real server (ingress) and from it to clients (egress).
      # TYPE ulb_real_server_packets_total counter
      ulb_real_server_packets_total{interface="lb0",virtual_server="a\\\\b\\"c",real_server="10.0.0.4",direction="ingress"} 11
      ulb_real_server_packets_total{interface="lb0",virtual_server="a\\\\b\\"c",real_server="10.0.0.4",direction="egress"} 13
      # HELP ulb_real_server_bytes_total Bytes of these, Ethernet header included.
      # TYPE ulb_real_server_bytes_total counter
      ulb_real_server_bytes_total{interface="lb0",virtual_server="a\\\\b\\"c",real_server="10.0.0.4",direction="ingress"} 12
      ulb_real_server_bytes_total{interface="lb0",virtual_server="a\\\\b\\"c",real_server="10.0.0.4",direction="egress"} 14
      # HELP ulb_real_server_state 1 for the state that the real server is in: up, draining (no new client) or down.
      # TYPE ulb_real_server_state gauge
      ulb_real_server_state{interface="lb0",virtual_server="a\\\\b\\"c",real_server="10.0.0.4",state="up"} 0
      ulb_real_server_state{interface="lb0",virtual_server="a\\\\b\\"c",real_server="10.0.0.4",state="draining"} 1
      ulb_real_server_state{interface="lb0",virtual_server="a\\\\b\\"c",real_server="10.0.0.4",state="down"} 0
      # HELP ulb_real_server_weight Turns of the real server in the round of new clients.
      # TYPE ulb_real_server_weight gauge
      ulb_real_server_weight{interface="lb0",virtual_server="a\\\\b\\"c",real_server="10.0.0.4"} 3
      # HELP ulb_real_server_clients Associations with the real server.
      # TYPE ulb_real_server_clients gauge
      ulb_real_server_clients{interface="lb0",virtual_server="a\\\\b\\"c",real_server="10.0.0.4"} 5
      # HELP ulb_associations Clients in the association table.
      # TYPE ulb_associations gauge
      ulb_associations{interface="lb0",family="ipv4",class="newcomer"} 1
      ulb_associations{interface="lb0",family="ipv4",class="answered"} 2
      ulb_associations{interface="lb0",family="ipv4",class="resident"} 3
      ulb_associations{interface="lb0",family="ipv6",class="newcomer"} 4
      ulb_associations{interface="lb0",family="ipv6",class="answered"} 0
      ulb_associations{interface="lb0",family="ipv6",class="resident"} 0
      # HELP ulb_associations_limit For how many clients the table has room.
      # TYPE ulb_associations_limit gauge
      ulb_associations_limit{interface="lb0",family="ipv4"} 100
      ulb_associations_limit{interface="lb0",family="ipv6"} 200
      # HELP ulb_associations_created_total Associations made as a client wrote first (client), as a real server did (real_server), or as a client's real server was no longer in service (takeover).
      # TYPE ulb_associations_created_total counter
      ulb_associations_created_total{interface="lb0",initiator="client"} 101
      ulb_associations_created_total{interface="lb0",initiator="real_server"} 202
      ulb_associations_created_total{interface="lb0",initiator="takeover"} 303
      # HELP ulb_associations_forgotten_total Associations that were forgotten because another client needed the place.
      # TYPE ulb_associations_forgotten_total counter
      ulb_associations_forgotten_total{interface="lb0",class="newcomer"} 404
      ulb_associations_forgotten_total{interface="lb0",class="answered"} 505
      ulb_associations_forgotten_total{interface="lb0",class="resident"} 606
      # HELP ulb_under_pressure Whether new clients push each other out of the association table within two seconds.
      # TYPE ulb_under_pressure gauge
      ulb_under_pressure{interface="lb0",family="ipv4"} 0
      ulb_under_pressure{interface="lb0",family="ipv6"} 0
      # HELP ulb_new_clients_without_place_total Packets of new clients that were served without a place in the table.
      # TYPE ulb_new_clients_without_place_total counter
      ulb_new_clients_without_place_total{interface="lb0"} 707
      # HELP ulb_events_lost_total Events of packets that nobody could read in time.
      # TYPE ulb_events_lost_total counter
      ulb_events_lost_total{interface="lb0"} 21
      # HELP ulb_config_last_reload_successful Whether the config file was good when it was last read.
      # TYPE ulb_config_last_reload_successful gauge
      ulb_config_last_reload_successful{interface="lb0"} 1
      # HELP ulb_config_last_reload_success_timestamp_seconds When a configuration was last read and good, in seconds since 1970.
      # TYPE ulb_config_last_reload_success_timestamp_seconds gauge
      ulb_config_last_reload_success_timestamp_seconds{interface="lb0"} 1769904000.0
      # HELP ulb_config_reloads_total Readings of the config file, by what became of them.
      # TYPE ulb_config_reloads_total counter
      ulb_config_reloads_total{interface="lb0",result="applied"} 22
      ulb_config_reloads_total{interface="lb0",result="unchanged"} 23
      ulb_config_reloads_total{interface="lb0",result="refused"} 24

      """
    let text = Self.text(Self.two)
    for (line, other) in zip(text.split(separator: "\n"), expected.split(separator: "\n")) {
      #expect(line == other)
    }
    #expect(text == expected)
  }

  @Test func openMetricsCallsCountersWithoutTheirSuffix() {
    let text = Self.text(Self.two, as: .openMetrics)
    #expect(text.hasSuffix("\n# EOF\n"))
    #expect(text.contains("# TYPE ulb_build info\nulb_build_info{"))
    #expect(text.contains("# TYPE ulb_packets counter\nulb_packets_total{"))
    #expect(!text.contains("_total counter"))
    // The samples are the same.
    func samples(_ text: String) -> [Substring] {
      text.split(separator: "\n").filter { !$0.hasPrefix("#") }
    }
    #expect(samples(text) == samples(Self.text(Self.two)))
  }

  @Test func aLineFeedInANameStaysOnItsLine() {
    var reading = Metrics.Reading.example
    reading.virtualServers[0].name = "a\nb"
    reading.status.virtualServers[0].name = "a\nb"
    let text = Self.text([Metrics.Daemon(interface: "lb0", reading: reading)])
    #expect(text.contains(#"virtual_server="a\nb""#))
    #expect(text.split(separator: "\n").allSatisfy { $0.hasPrefix("#") || $0.hasPrefix("ulb_") })
  }

  @Test func aRefusedReloadIsToldOf() {
    var reading = Metrics.Reading.example
    reading.status.reload = Reload(result: .refused, at: "2026-01-31T23:59:59Z", reason: "line 1")
    let text = Self.text([Metrics.Daemon(interface: "lb0", reading: reading)])
    #expect(text.contains("ulb_config_last_reload_successful{interface=\"lb0\"} 0\n"))
  }

  /// What ulb-sync tells is there where it has told anything; what it told long ago is not in force.
  @Test(arguments: [false, true])
  func theSharingOfAssociationsIsToldOf(isStale: Bool) {
    var reading = Metrics.Reading.example
    let redis = SyncReport.Redis(
      server: "10.0.0.9:6379", state: .connected, since: "2026-01-31T23:59:59Z", error: nil)
    func peer(_ name: String, _ lag: Double?) -> SyncReport.Peer {
      SyncReport.Peer(director: name, seen: "2026-01-31T23:59:59Z", lagMilliseconds: lag)
    }
    reading.status.sync = SyncStatus(
      report: SyncReport(
        director: "a", redis: redis, lagMilliseconds: 12.5,
        peers: [peer("b", 250), peer(#"c"d"#, nil)], sent: 1, received: 2, resyncs: 3),
      isStale: isStale)
    let text = Self.text([Metrics.Daemon(interface: "lb0", reading: reading)])
    let lines = text.split(separator: "\n").filter { $0.hasPrefix("ulb_sync") }.map(String.init)
    let inForce = isStale ? 0 : 1
    #expect(
      lines == [
        #"ulb_sync_up{interface="lb0"} \#(inForce)"#,
        #"ulb_sync_redis_connected{interface="lb0"} \#(inForce)"#,
        #"ulb_sync_lag_seconds{interface="lb0"} 0.0125"#,
        #"ulb_sync_peers{interface="lb0"} 2"#,
        #"ulb_sync_peer_lag_seconds{interface="lb0",director="b"} 0.25"#,
        #"ulb_sync_sent_total{interface="lb0"} 1"#,
        #"ulb_sync_received_total{interface="lb0"} 2"#,
        #"ulb_sync_resyncs_total{interface="lb0"} 3"#,
      ])
  }

  @Test func noDaemonIsNoSample() {
    #expect(Self.text([]) == "")
    #expect(Self.text([], as: .openMetrics) == "# EOF\n")
  }

  /// Prometheus's linter finds nothing in it.
  @Test func promtoolFindsNothing() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path(of: "metrics")
    try Data(Metrics.text(of: Self.two)).write(to: URL(fileURLWithPath: path))
    let check = try run("sh", "-c", "exec promtool check metrics <\(path)")
    #expect(check.status == 0, "\(check.standardError)")
    #expect(check.standardOutput + check.standardError == "")
  }

  @Test(
    arguments: [
      (nil, .prometheus), ("", .prometheus), ("*/*", .prometheus),
      ("text/html,*/*;q=0.8", .prometheus),
      // As Prometheus 2.42 asks, and 3.
      (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
          + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
      ),
      (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
          + "text/plain;version=0.0.4;q=0.4,*/*;q=0.3", .openMetrics
      ),
      ("text/plain;version=0.0.4;q=0.5, application/openmetrics-text; q=0.4", .prometheus),
      ("Application/OpenMetrics-Text", .openMetrics),
      ("application/openmetrics-text;q=0", .prometheus),
      ("application/openmetrics-text;version=0.0.1", .prometheus),
    ] as [(String?, MetricsFormat)])
  func theFormatIsTheOneAskedFor(accept: String?, format: MetricsFormat) {
    #expect(MetricsFormat(accept: accept) == format)
  }
}

@Suite struct RFC3339Tests {
  @Test(
    arguments: [
      ("1970-01-01T00:00:00Z", 0), ("1969-12-31T23:59:59.5Z", -0.5),
      ("2000-02-29T12:00:00Z", 951_825_600),
      ("2026-01-31T23:59:59.999Z", 1_769_903_999.999), ("2100-03-01T00:00:00Z", 4_107_542_400),
      ("2024-12-31T00:00:00.123456789Z", 1_735_603_200.123456789),
    ] as [(String, Double)])
  func aTimeIsSeconds(text: String, seconds: Double) {
    #expect(RFC3339.seconds(text) == seconds)
  }

  @Test(arguments: [
    "", "Z", "2026-01-31", "2026-01-31T23:59:59", "2026-01-31T23:59:59+01:00",
    "2026-13-31T23:59:59Z",
    "2026-00-01T23:59:59Z", "2026-01-32T23:59:59Z", "2026-01-31T24:00:00Z", "2026-01-31T23:60:00Z",
    "2026-01-31T23:59:59.Z", "2026-01-31T23:59:59,5Z", "2026-01-31T23:59:59.1234567890Z",
    "2026-01-31 23:59:59Z", "20x6-01-31T23:59:59Z", "2026-01-31T23:59:59.1 Z",
  ])
  func anythingElseIsNone(text: String) {
    #expect(RFC3339.seconds(text) == nil)
  }
}

extension Metrics.Reading {
  /// A daemon of which every number differs from the others.
  static var example: Self {
    let traffic = (Traffic(packets: 11, bytes: 12), Traffic(packets: 13, bytes: 14))
    let server = RealServerDetail(
      address: "10.0.0.4", state: .draining, weight: 3,
      configured: RealServerSetting(state: .up, weight: 3), isOverridden: true, clients: 5,
      ingress: traffic.0, egress: traffic.1, associationsCreated: AssociationsCreated(byClient: 6))
    func table(_ family: String, limit: UInt64, _ clients: ClassCounts) -> AssociationTableStatus {
      AssociationTableStatus(
        family: family, limit: limit, places: limit, clients: clients, forgotten: ClassCounts())
    }
    func counters(_ family: String, times scale: UInt64) -> AssociationCounters {
      AssociationCounters(
        family: family,
        created: AssociationsCreated(
          byClient: scale, byRealServer: 2 * scale, takenOver: 3 * scale),
        forgotten: ClassCounts(newcomer: 4 * scale, answered: 5 * scale, resident: 6 * scale),
        forgottenByRequest: 0, movedByRequest: 0, withoutPlace: 7 * scale)
    }
    return Self(
      status: Status(
        version: "1.1.0", interface: "lb0", mode: "native", pid: 1,
        startedAt: "2026-01-31T23:59:59.500Z", uptimeSeconds: 1,
        configuration: ConfigurationInForce(
          configFile: nil, logLevel: "INFO", debug: 0, maxPorts: 1, maxRealServers: 1,
          maxAssociations: 100, probation: 1),
        reload: nil, lastGoodReloadAt: "2026-02-01T00:00:00.000Z", stateFile: nil, eventsLost: 0,
        associations: [
          table("ipv4", limit: 100, ClassCounts(newcomer: 1, answered: 2, resident: 3)),
          table("ipv6", limit: 200, ClassCounts(newcomer: 4)),
        ],
        virtualServers: [
          VirtualServerSummary(
            name: #"a\b"c"#, address: "10.0.0.1", ports: [5683], scheduler: "maglev", up: 0,
            draining: 1, down: 0, clients: 5)
        ], followedClients: [], health: Health(problems: [])),
      virtualServers: [
        VirtualServerDetail(
          name: #"a\b"c"#, address: "10.0.0.1", ports: [5683], scheduler: "maglev",
          realServers: [server])
      ],
      counters: Counters(
        events: [
          EventCounter(event: "NOT_UDP", verdict: .pass, packets: 7, bytes: 420),
          EventCounter(event: "INGRESS_REUSED_NAT", verdict: .send, packets: .max, bytes: 9000),
        ],
        associations: [counters("ipv4", times: 1), counters("ipv6", times: 100)],
        daemon: DaemonCounters(
          eventsLost: 21, reloadsApplied: 22, reloadsUnchanged: 23, reloadsRefused: 24,
          compilations: 25, swaps: 26, saves: 27)))
  }
}
