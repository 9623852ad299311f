// What the gateway tells the page each second, made up: a daemon that a test changes between two seconds.
import Control

extension LiveMessage.Daemon {
  /// A daemon that has run for 100 seconds, without a client so far.
  init(_ interface: String, _ virtualServers: [VirtualServerDetail]) {
    let status = Status(
      version: "1.1.0", interface: interface, mode: "native", pid: 42,
      startedAt: "2026-02-01T10:00:00.000Z", uptimeSeconds: 100,
      configuration: ConfigurationInForce(
        configFile: "/etc/ulb/\(interface).cfg", logLevel: "INFO", debug: 0, maxPorts: 16,
        maxRealServers: 64, maxAssociations: 1000, probation: 1),
      reload: nil, lastGoodReloadAt: "2026-02-01T10:00:00.000Z", stateFile: nil, eventsLost: 0,
      associations: [
        AssociationTableStatus(
          family: "ipv4", limit: 1000, places: 1000, clients: ClassCounts(),
          forgotten: ClassCounts())
      ],
      virtualServers: [], followedClients: [], health: Health(problems: []))
    let counters = Counters(
      events: [
        EventCounter(event: "INGRESS_REUSED_NAT", verdict: .send, packets: 0, bytes: 0),
        EventCounter(event: "EGRESS_REUSED_NAT", verdict: .send, packets: 0, bytes: 0),
        EventCounter(event: "INVALID_UDP_SIZE", verdict: .drop, packets: 0, bytes: 0),
      ],
      associations: [
        AssociationCounters(
          family: "ipv4", created: AssociationsCreated(), forgotten: ClassCounts(),
          forgottenByRequest: 0, movedByRequest: 0, withoutPlace: 0)
      ], daemon: DaemonCounters())
    self.init(
      interface: interface, status: status, virtualServers: virtualServers, counters: counters)
  }

  /// A second goes by in which each real server gets some packets and answers half of them.
  mutating func pass(packets: UInt64) {
    status!.uptimeSeconds += 1
    for index in virtualServers.indices {
      for server in virtualServers[index].realServers.indices {
        virtualServers[index].realServers[server].ingress.packets += packets
        virtualServers[index].realServers[server].ingress.bytes += 100 * packets
        virtualServers[index].realServers[server].egress.packets += packets / 2
        counters!.events[0].packets += packets
        counters!.events[1].packets += packets / 2
      }
    }
  }
}

extension VirtualServerDetail {
  init(_ name: String, _ realServers: [RealServerDetail]) {
    self.init(
      name: name, address: "10.40.0.1", ports: [5683, 5684], scheduler: "round-robin",
      realServers: realServers)
  }
}

extension RealServerDetail {
  init(_ address: String, _ state: RealServerState = .up, weight: Int = 1, clients: UInt64 = 0) {
    let setting = RealServerSetting(state: .up, weight: weight)
    self.init(
      address: address, state: state, weight: weight, configured: setting,
      isOverridden: state != .up, clients: clients, ingress: Traffic(), egress: Traffic(),
      associationsCreated: AssociationsCreated())
  }
}
