// The answers of the control socket, made of what is known of the daemon.
import Control
import DataPlane
import LoadBalancing

extension Status {
  init(_ daemon: DaemonSnapshot, _ census: Census, sync: SyncStatus?) {
    let configuration = daemon.configuration
    let now = Clock.now
    self.init(
      version: daemon.version, interface: configuration.interface, mode: daemon.mode,
      pid: daemon.pid, startedAt: daemon.startedAt.description,
      uptimeSeconds: now.seconds(since: daemon.startedAt),
      configuration: ConfigurationInForce(
        configFile: configuration.configFile, logLevel: configuration.logLevel.name,
        debug: configuration.debug, maxPorts: configuration.maxPorts,
        maxRealServers: configuration.maxRealServers,
        maxAssociations: configuration.maxAssociations,
        probation: configuration.hasClasses ? configuration.probation : 0,
        clientLists: ClientListsInForce(configuration.lists), gateways: daemon.gateways),
      reload: daemon.reload, lastGoodReloadAt: daemon.lastGoodReloadAt.description,
      stateFile: daemon.state.map { state in
        StateFileStatus(
          path: state.path, savedAt: state.savedAt?.description,
          ageSeconds: state.savedAt.map { now.seconds(since: $0) }, failure: state.failure)
      },
      eventsLost: daemon.dataPlane.eventsLost,
      associations: daemon.dataPlane.families.map { family in
        AssociationTableStatus(
          family: family.name, limit: UInt64(configuration.maxAssociations),
          places: UInt64(daemon.dataPlane.places(of: family)),
          clients: ClassCounts(census, family),
          isUnderPressure: daemon.dataPlane.isUnderPressure(family),
          forgotten: ClassCounts(daemon.dataPlane.associationCounts(of: family)))
      },
      virtualServers: configuration.virtualServers.indices.map {
        VirtualServerSummary(daemon, census, at: $0)
      },
      followedClients: daemon.followed.map(\.description), sync: sync, health: Health(daemon))
  }
}

extension ClientListsInForce {
  /// `nil` where there is no list.
  fileprivate init?(_ lists: ClientLists) {
    guard lists.isAny else { return nil }
    func list(_ list: NetworkList) -> NetworkListInForce {
      NetworkListInForce(file: list.file, networks: list.networks.count)
    }
    self.init(
      allowed: lists.allowed.map(list), denied: lists.denied.map(list), isStrict: lists.isStrict)
  }
}

extension Health {
  init(_ daemon: DaemonSnapshot) {
    var problems: [String] = []
    if let fault = daemon.fault {
      problems.append("\(fault.text) since \(fault.since.toTheSecond)")
    } else if daemon.mode == nil {
      problems.append("the XDP program is on no interface")
    }
    for server in daemon.configuration.virtualServers
    where !server.realServers.contains(where: \.takesNewClients) {
      problems.append(
        "no real server of virtual server \(server.label) takes new clients; "
          + "bring one up or add one")
    }
    problems += daemon.refusals
    if let failure = daemon.state?.failure {
      problems.append("the associations are not saved: \(failure)")
    }
    self.init(problems: problems.map(\.onOneLine))
  }
}

extension VirtualServerSummary {
  init(_ daemon: DaemonSnapshot, _ census: Census, at index: Int) {
    let server = daemon.configuration.virtualServers[index]
    let settings = server.settings
    func count(_ state: RealServer.State) -> Int {
      settings.values.count { $0.service == state }
    }
    let clients = settings.keys.reduce(0) { sum, address in
      sum + (daemon.dataPlane.slot(of: address, ofVirtualServer: index).map(census.clients) ?? 0)
    }
    self.init(
      name: server.label, address: server.address.description, ports: server.ports,
      scheduler: server.scheduler.rawValue, up: count(.up), draining: count(.draining),
      down: count(.down), clients: UInt64(clients))
  }
}

extension VirtualServerList {
  init(_ daemon: DaemonSnapshot, _ census: Census) {
    self.init(
      virtualServers: daemon.configuration.virtualServers.indices.map {
        VirtualServerDetail(daemon, census, at: $0)
      })
  }
}

extension VirtualServerDetail {
  init(_ daemon: DaemonSnapshot, _ census: Census, at index: Int) {
    let server = daemon.configuration.virtualServers[index]
    let reader = RealServerReader(daemon, census, index)
    var seen = Set<IPAddress>()
    let addresses = daemon.dataPlane.configuration.virtualServers[index].realServers
      .map(\.address).filter { seen.insert($0).inserted }
    self.init(
      name: server.label, address: server.address.description, ports: server.ports,
      scheduler: server.scheduler.rawValue, realServers: addresses.map(reader.detail))
  }
}

extension RealServerDetail {
  init(_ daemon: DaemonSnapshot, _ census: Census, _ address: IPAddress, of index: Int) {
    self = RealServerReader(daemon, census, index).detail(of: address)
  }
}

/// Tells of the real servers of one virtual server.
private struct RealServerReader {
  private let daemon: DaemonSnapshot
  private let census: Census
  private let index: Int
  private let present: [IPAddress: RealServer.Setting]
  private let configured: [IPAddress: RealServer.Setting]
  private let overridden: (IPAddress) -> Bool

  init(_ daemon: DaemonSnapshot, _ census: Census, _ index: Int) {
    (self.daemon, self.census, self.index) = (daemon, census, index)
    present = daemon.configuration.virtualServers[index].settings
    let server = daemon.dataPlane.configuration.configured.virtualServers[index]
    configured = server.settings
    let overrides = daemon.dataPlane.configuration.overrides
    overridden = { overrides[$0, behind: server] != nil }
  }

  func detail(of address: IPAddress) -> RealServerDetail {
    let none = RealServer.Setting(state: .down, weight: 0)
    let setting = RealServerSetting(present[address] ?? none)
    let slot = daemon.dataPlane.slot(of: address, ofVirtualServer: index)
    let counts = slot.map(daemon.dataPlane.counts)
    return RealServerDetail(
      address: address.description, state: setting.state, weight: setting.weight,
      configured: RealServerSetting(configured[address] ?? none),
      isOverridden: overridden(address), clients: UInt64(slot.map(census.clients) ?? 0),
      ingress: Traffic(counts?.ingress), egress: Traffic(counts?.egress),
      associationsCreated: AssociationsCreated(counts?.created))
  }
}

extension RealServerSetting {
  init(_ setting: RealServer.Setting) {
    self.init(state: RealServerState(setting.service), weight: setting.weight)
  }
}

extension RealServerState {
  init(_ state: RealServer.State) {
    self =
      switch state {
      case .up: .up
      case .draining: .draining
      case .down: .down
      }
  }
}

extension Counters {
  init(_ daemon: DaemonSnapshot) {
    var own = daemon.counters
    own.eventsLost = daemon.dataPlane.eventsLost
    own.saves = daemon.state?.saves ?? 0
    let counts = daemon.dataPlane.eventCounts()
    self.init(
      events: Event.allCases.map { event in
        let count = counts[event]
        return EventCounter(
          event: event.name, verdict: Verdict(event.verdict), packets: count?.packets ?? 0,
          bytes: count?.bytes ?? 0)
      },
      associations: daemon.dataPlane.families.map { family in
        let counts = daemon.dataPlane.associationCounts(of: family)
        return AssociationCounters(
          family: family.name, created: AssociationsCreated(counts.created),
          forgotten: ClassCounts(counts),
          forgottenByRequest: daemon.requested[family]?.forgotten ?? 0,
          movedByRequest: daemon.requested[family]?.moved ?? 0, withoutPlace: counts.withoutPlace)
      },
      daemon: own)
  }
}

extension Verdict {
  fileprivate init(_ verdict: Event.Verdict) {
    self =
      switch verdict {
      case .pass: .pass
      case .drop: .drop
      case .send: .send
      }
  }
}

extension Traffic {
  fileprivate init(_ count: TrafficCount?) {
    self.init(packets: count?.packets ?? 0, bytes: count?.bytes ?? 0)
  }
}

extension AssociationsCreated {
  fileprivate init(_ count: CreationCount?) {
    self.init(
      byClient: count?.byClient ?? 0, byRealServer: count?.byRealServer ?? 0,
      takenOver: count?.takenOver ?? 0)
  }
}

extension ClassCounts {
  fileprivate init(_ census: Census, _ family: AddressFamily) {
    func count(_ clientClass: ClientClass) -> UInt64 {
      UInt64(census.clients(of: family, clientClass))
    }
    self.init(newcomer: count(.newcomer), answered: count(.answered), resident: count(.resident))
  }

  fileprivate init(_ counts: AssociationCounts) {
    self.init(
      newcomer: counts.forgottenNewcomers, answered: counts.forgottenAnswered,
      resident: counts.forgottenResidents)
  }
}

extension AddressFamily {
  /// As the API calls it.
  var name: String {
    switch self {
    case .ipv4: "ipv4"
    case .ipv6: "ipv6"
    }
  }
}

extension Timestamp {
  func seconds(since other: Timestamp) -> Double {
    let seconds = Double(self.seconds - other.seconds)
    return max(0, seconds + Double(nanoseconds - other.nanoseconds) / 1_000_000_000)
  }
}
