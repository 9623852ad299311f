// What the control socket changes: the configuration in force, by its file or over it.
import CommandLine
import Control
import DataPlane
import HTTP
import LoadBalancing

extension ControlAPI {
  static let changing: [Endpoint] = [
    Endpoint("POST", "/v1/reload") { api, request in
      _ = try request.preferred(["application/json"])
      try request.expectNoBody()
      _ = try api.snapshot()
      let reload = try await api.mailbox.begin { daemon, reply in
        daemon.reload { reply.resume($0) }
      }
      if reload.result == .refused { throw Problem.unprocessable(reload.reason ?? "refused") }
      return .json(reload)
    },
    Endpoint("POST", "/v1/check") { api, request in
      _ = try request.preferred(["application/json"])
      let text = try request.text(["text/plain", "application/octet-stream"])
      return .json(try api.snapshot().check(text))
    },
    Endpoint("PUT", "/v1/sync") { api, request in
      _ = try request.preferred(["application/json"])
      let report = try request.json(
        SyncReport.self,
        members: ["director", "redis", "lag_ms", "peers", "sent", "received", "resyncs"],
        atMost: 128 << 10)
      try report.check()
      api.sync.put(report)
      return HTTPResponse(status: 204, headers: [("Cache-Control", "no-store")], body: .bytes([]))
    },
    Endpoint("PATCH", "/v1/virtual-servers/{name}/real-servers/{address}") { api, request in
      _ = try request.preferred(["application/json"])
      let (name, address) = (request.parameters[0], request.parameters[1])
      // What is not there is said before what is wrong with the wish for it.
      let daemon = try api.snapshot()
      _ = try daemon.realServer(address, of: daemon.virtualServer(name))
      let patch = try request.json(
        RealServerPatch.self, mediaTypes: ["application/json", "application/merge-patch+json"],
        members: ["state", "weight"])
      if case .set(let weight) = patch.weight, !(0...RealServer.mostWeight).contains(weight) {
        throw Problem.badRequest(
          "the body's member 'weight' is \(weight); use 0 to \(RealServer.mostWeight), or null for "
            + "what is configured")
      }
      let next = try await api.onLoop { daemon in
        try daemon.set(patch, realServer: address, of: name)
      }
      let census = try await api.counted().1
      let index = try next.virtualServer(name)
      return .json(
        try RealServerDetail(next, census, next.realServer(address, of: index), of: index))
    },
  ]
}

extension DaemonSnapshot {
  /// What would become of a config file with this content.
  func check(_ text: [UInt8]) throws(Problem) -> Reload {
    let configuration = dataPlane.configuration
    do {
      let change = try ConfigFileChange(
        text, named: configuration.configFile ?? "the text", in: configuration)
      return Reload(
        result: change.isChange ? .applied : .unchanged, at: Clock.now.description,
        changes: change.messages(isRecompiled: change.needsProgram).map(\.text),
        warnings: change.warnings)
    } catch {
      throw .unprocessable("\(error)".onOneLine)
    }
  }
}

extension Configuration {
  /// The configuration with a wish of the control socket's put over it.
  ///
  /// - Parameter index: that of the virtual server.
  func with(
    _ patch: RealServerPatch, of address: IPAddress, behind index: Int
  ) -> Configuration {
    var next = self
    let virtualServer = configured.virtualServers[index]
    let before = overrides[address, behind: virtualServer]
    let state: RealServer.State? =
      switch patch.state {
      case .stay: before?.state
      case .asConfigured: nil
      case .set(let state): RealServer.State(state)
      }
    let weight: Int? =
      switch patch.weight {
      case .stay: before?.weight
      case .asConfigured: nil
      case .set(let weight): weight
      }
    next.overrides.set(state: state, weight: weight, of: address, behind: virtualServer)
    return next
  }
}

extension RealServer.State {
  init(_ state: RealServerState) {
    self =
      switch state {
      case .up: .up
      case .draining: .draining
      case .down: .down
      }
  }
}
