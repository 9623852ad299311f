// What the control socket tells: status, virtual servers, counters, metrics, its own description.
import Control
import DataPlane
import HTTP
import LoadBalancing

extension ControlAPI {
  static let reading: [Endpoint] = [
    Endpoint("GET", "/openapi.json") { _, request in
      _ = try request.preferred(["application/json"])
      return .bytes(OpenAPI.document, "application/json")
    },
    Endpoint("GET", "/metrics") { api, request in
      let format = MetricsFormat(accept: request.http.header("Accept"))
      let (daemon, census) = try await api.counted()
      let reading = Metrics.Reading(
        status: Status(daemon, census, sync: api.sync.status()),
        virtualServers: VirtualServerList(daemon, census).virtualServers,
        counters: Counters(daemon))
      return .bytes(
        Metrics.text(
          of: [Metrics.Daemon(interface: daemon.configuration.interface, reading: reading)],
          as: format),
        format.mediaType)
    },
    Endpoint("GET", "/v1/status") { api, request in
      _ = try request.preferred(["application/json"])
      let (daemon, census) = try await api.counted()
      return .json(Status(daemon, census, sync: api.sync.status()))
    },
    Endpoint("GET", "/v1/counters") { api, request in
      _ = try request.preferred(["application/json"])
      return .json(Counters(try api.snapshot()))
    },
    Endpoint("GET", "/v1/virtual-servers") { api, request in
      _ = try request.preferred(["application/json"])
      let (daemon, census) = try await api.counted()
      return .json(VirtualServerList(daemon, census))
    },
    Endpoint("GET", "/v1/virtual-servers/{name}") { api, request in
      _ = try request.preferred(["application/json"])
      let (daemon, census) = try await api.counted()
      return .json(
        VirtualServerDetail(daemon, census, at: try daemon.virtualServer(request.parameters[0])))
    },
    Endpoint("GET", "/v1/virtual-servers/{name}/real-servers") { api, request in
      _ = try request.preferred(["application/json"])
      let (daemon, census) = try await api.counted()
      let index = try daemon.virtualServer(request.parameters[0])
      return .json(
        RealServerList(
          realServers: VirtualServerDetail(daemon, census, at: index).realServers))
    },
    Endpoint("GET", "/v1/virtual-servers/{name}/real-servers/{address}") { api, request in
      _ = try request.preferred(["application/json"])
      let (daemon, census) = try await api.counted()
      let index = try daemon.virtualServer(request.parameters[0])
      return .json(
        try RealServerDetail(
          daemon, census, daemon.realServer(request.parameters[1], of: index), of: index))
    },
  ]

  /// The daemon and how many clients there are.
  func counted() async throws(Problem) -> (DaemonSnapshot, Census) {
    let daemon = try snapshot()
    guard let census = await censuses.census() else {
      throw .unavailable("the daemon is starting; ask again in a second")
    }
    return (daemon, census)
  }
}

extension DaemonSnapshot {
  /// The index of a virtual server by what the API calls it.
  func virtualServer(_ name: String) throws(Problem) -> Int {
    let servers = dataPlane.configuration.virtualServers
    guard let index = servers.firstIndex(where: { $0.label == name }) else {
      let names = servers.prefix(8).map(\.label).joined(separator: ", ")
      throw .notFound(
        "there is no virtual server '\(name.shortened().onOneLine)'; there is \(names)"
          + (servers.count > 8 ? " and \(servers.count - 8) more" : ""))
    }
    return index
  }

  /// A real server of a virtual server by its address.
  func realServer(_ address: String, of index: Int) throws(Problem) -> IPAddress {
    let virtualServer = dataPlane.configuration.virtualServers[index]
    guard let parsed = IPAddress(address),
      virtualServer.realServers.contains(where: { $0.address == parsed })
    else {
      throw .notFound(
        "the virtual server \(virtualServer.label) has no real server "
          + "'\(address.shortened().onOneLine)'; GET /v1/virtual-servers says which there are")
    }
    return parsed
  }
}
