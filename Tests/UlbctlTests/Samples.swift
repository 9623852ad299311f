// What a daemon answers, for screens to draw.
import Control

@testable import ulbctl

enum Sample {
  /// When all of it is looked at.
  static let now = RFC3339.seconds("2026-03-01T12:00:00Z")!

  static let wide = ScreenSettings(width: nil, height: nil, now: now)
  static let terminal = ScreenSettings(width: 80, height: nil, now: now)

  static func realServer(
    _ address: String, _ state: RealServerState = .up, weight: Int = 1,
    configured: RealServerSetting? = nil, clients: UInt64 = 0, ingress: Traffic = Traffic(),
    egress: Traffic = Traffic(), created: AssociationsCreated = AssociationsCreated()
  ) -> RealServerDetail {
    RealServerDetail(
      address: address, state: state, weight: weight,
      configured: configured ?? RealServerSetting(state: state, weight: weight),
      isOverridden: configured != nil, clients: clients, ingress: ingress, egress: egress,
      associationsCreated: created)
  }

  /// The command line's virtual server, and one of IPv6 with a name.
  static let virtualServers = [
    VirtualServerDetail(
      name: "10.0.0.1", address: "10.0.0.1", ports: [5683, 5684], scheduler: "round-robin",
      realServers: [
        realServer(
          "192.168.100.101", weight: 3, clients: 612_345,
          ingress: Traffic(packets: 1_000_000, bytes: 900_000_000),
          egress: Traffic(packets: 900_000, bytes: 800_000_000),
          created: AssociationsCreated(byClient: 700_000, byRealServer: 12, takenOver: 3)),
        realServer(
          "192.168.100.102", clients: 402_000, ingress: Traffic(packets: 3_000_000, bytes: 5_000)),
        realServer(
          "192.168.100.103", .draining,
          configured: RealServerSetting(state: .up, weight: 1), clients: 1_000),
        realServer("192.168.100.104", .down, clients: 0),
      ]),
    VirtualServerDetail(
      name: "lwm2m-v6", address: "fd60::10", ports: [5683], scheduler: "maglev",
      realServers: [
        realServer("fd70:1::2", clients: 3), realServer("fd70:2::2", weight: 2, clients: 4),
      ]),
  ]

  static let counters = Counters(
    events: [
      EventCounter(event: "INGRESS_NEW_NAT", verdict: .send, packets: 700_000, bytes: 70_000_000),
      EventCounter(
        event: "INGRESS_REUSED_NAT", verdict: .send, packets: 3_300_000, bytes: 900_000_000),
      EventCounter(event: "LIFETIME_EXPIRED", verdict: .drop, packets: 12, bytes: 1_200),
      EventCounter(event: "INVALID_CLIENT", verdict: .drop, packets: 1_500, bytes: 90_000),
      EventCounter(event: "NOT_UDP", verdict: .pass, packets: 0, bytes: 0),
    ],
    associations: [
      AssociationCounters(
        family: "ipv4",
        created: AssociationsCreated(byClient: 700_000, byRealServer: 12, takenOver: 3),
        forgotten: ClassCounts(newcomer: 20), forgottenByRequest: 1, movedByRequest: 2,
        withoutPlace: 0),
      AssociationCounters(
        family: "ipv6", created: AssociationsCreated(), forgotten: ClassCounts(),
        forgottenByRequest: 0, movedByRequest: 0, withoutPlace: 0),
    ],
    daemon: DaemonCounters(eventsLost: 5, reloadsApplied: 1, compilations: 2, swaps: 1, saves: 9))

  static func status(problems: [String] = []) -> Status {
    Status(
      version: "1.0.0", interface: "eth0", mode: "native", pid: 1234,
      startedAt: "2026-02-26T08:00:00Z", uptimeSeconds: 273_600,
      configuration: ConfigurationInForce(
        configFile: "/etc/ulb/eth0.servers", logLevel: "INFO", debug: 0, maxPorts: 16,
        maxRealServers: 256, maxAssociations: 1_048_576, probation: 1),
      reload: Reload(
        result: .refused, at: "2026-03-01T11:57:00.500Z",
        reason: "/etc/ulb/eth0.servers, line 3: '10.0.0' is no address"),
      lastGoodReloadAt: "2026-02-28T12:00:00Z",
      stateFile: StateFileStatus(
        path: "/var/lib/ulb/eth0.state", savedAt: "2026-03-01T11:59:48Z", ageSeconds: 12.3,
        failure: nil),
      eventsLost: 5,
      associations: [
        AssociationTableStatus(
          family: "ipv4", limit: 1_048_576, places: 1_835_008,
          clients: ClassCounts(newcomer: 1_015_345), forgotten: ClassCounts(newcomer: 20)),
        AssociationTableStatus(
          family: "ipv6", limit: 1_048_576, places: 1_835_008, clients: ClassCounts(newcomer: 7),
          forgotten: ClassCounts()),
      ],
      virtualServers: [], followedClients: ["10.50.0.2:5683"], health: Health(problems: problems))
  }

  /// What half a second brought until ``virtualServers`` and ``counters``.
  static let rates: Rates = {
    let start = ContinuousClock.now
    var (servers, counters) = (virtualServers, Sample.counters)
    servers[0].realServers[0].ingress.packets -= 600
    servers[0].realServers[0].ingress.bytes -= 60_000
    servers[0].realServers[0].egress.packets -= 500
    servers[0].realServers[0].egress.bytes -= 50_000
    servers[0].realServers[0].associationsCreated.byClient -= 5
    servers[0].realServers[1].ingress.packets -= 1_000_000
    // Its counts have begun again.
    servers[1].realServers[0].ingress.packets += 1
    counters.events[1].packets -= 1_000_600
    counters.events[1].bytes -= 60_000
    counters.events[3].packets -= 1
    return Rates(
      from: Reading(time: start, virtualServers: servers, counters: counters),
      to: Reading(
        time: start + .milliseconds(500), virtualServers: virtualServers, counters: Sample.counters)
    )
  }()
}
