// What the control socket has the daemon do: overrides, followed clients, associations. Called on the
// loop.
import Control
import DataPlane
import LoadBalancing

extension Daemon {
  /// Puts a wish of the control socket's over what is configured of a real server.
  ///
  /// - Parameters:
  ///   - address: the real server's.
  ///   - name: what the API calls the virtual server.
  /// - Returns: the daemon after it.
  /// - Throws: a `Problem`; then nothing has changed.
  func set(
    _ patch: RealServerPatch, realServer address: String, of name: String
  ) throws -> DaemonSnapshot {
    let before = snapshot
    let index = try before.virtualServer(name)
    let realServer = try before.realServer(address, of: index)
    let next = dataPlane.configuration.with(patch, of: realServer, behind: index)
    guard next != dataPlane.configuration else { return before }
    do {
      let changes = try dataPlane.apply(next).virtualServers
      for change in changes {
        guard let message = change.message else { continue }
        log.notice(
          "By the control socket: \(message)", virtualServer: change.virtualServer.label)
      }
    } catch {
      throw Problem.unprocessable("\(error)".onOneLine)
    }
    dataPlane.changes.tellOverride(
      of: realServer, behind: next.configured.virtualServers[index])
    showChange()
    return snapshot
  }

  /// Takes over what other directors have told, in pieces.
  ///
  /// - Parameter completion: is told what became of it.
  func takeOver(
    _ changes: [AssociationChange], _ completion: @escaping (TakenOver) -> Void
  ) {
    var taking = dataPlane.takingOver(changes)
    work.add { [unowned self] in
      if taking.next() { return true }
      for change in taking.changes {
        guard let message = change.message else { continue }
        log.notice("By another director: \(message)", virtualServer: change.virtualServer.label)
      }
      if taking.counts.overrides > 0 { showChange() }
      completion(taking.counts)
      return false
    }
  }

  /// Has packets of some clients reported, until as many times ``leave(_:)`` is called.
  func follow(_ clients: Set<Client>) throws(Problem) { try followed.follow(clients) }

  func leave(_ clients: Set<Client>) { followed.leave(clients) }

  /// Forgets what a filter lets through, in pieces.
  ///
  /// - Parameter completion: is told how many were forgotten.
  func forget(_ filter: AssociationFilter, _ completion: @escaping (UInt64) -> Void) {
    var forgetting = dataPlane.forgetting(filter)
    work.add { [unowned self] in
      guard forgetting.next() == nil else { return true }
      let count = forgetting.counts.values.reduce(0, +)
      for (family, count) in forgetting.counts {
        requested[family, default: RequestedChanges()].forgotten += UInt64(count)
      }
      if count > 0 {
        log.notice("By the control socket: \(count) association(s) forgotten\(filter.words).")
      }
      publish()
      completion(UInt64(count))
      return false
    }
  }

  /// Leads a client to a real server. One that is there already is neither counted nor logged.
  ///
  /// - Parameter name: what the API calls the virtual server.
  /// - Returns: the daemon after it.
  /// - Throws: a `Problem`; then nothing has changed.
  func lead(
    _ client: Client, to realServer: IPAddress, ofVirtualServer name: String?
  ) throws(Problem) -> DaemonSnapshot {
    let (label, isChanged): (String, Bool)
    do throws(AssociationRefusal) {
      (label, isChanged) = try dataPlane.lead(client, to: realServer, ofVirtualServer: name)
    } catch {
      let detail = "\(error)".onOneLine
      switch error {
      case .noVirtualServer, .invalidClient, .unknown: throw .unprocessable(detail)
      case .ambiguous, .notInService, .noRoom: throw .conflict(detail)
      }
    }
    guard isChanged else { return snapshot }
    requested[client.address.family, default: RequestedChanges()].moved += 1
    log.notice(
      "By the control socket: client \(client) of \(label) goes to \(realServer).",
      virtualServer: label)
    publish()
    return snapshot
  }
}

extension AssociationFilter {
  /// What it lets through, for the log; begins with a blank.
  fileprivate var words: String {
    var words = ""
    if let client { words += " of client \(client)" }
    if let network { words += " of clients in \(network)" }
    if let realServer { words += " with real server \(realServer)" }
    if let virtualServer { words += " of virtual server \(virtualServer)" }
    if let clientClass { words += " of class \(clientClass.rawValue)" }
    return words
  }
}
