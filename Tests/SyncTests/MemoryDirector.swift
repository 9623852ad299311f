// A daemon's half of the sharing, in memory: the API of the control socket over a table that a test changes.
import Control
import Foundation
import HTTP
import JSONCoding
import LoadBalancing
import Synchronization
import TestSupport

@testable import Sync

/// Serves what ulb serves of the sharing.
final class MemoryDirector: Sendable {
  struct Entry: Equatable {
    var at: UInt64
    var realServer: IPAddress
    var isLearned: Bool
  }

  struct Place: Hashable {
    let virtualServer: String
    let client: Client
  }

  /// What is set of a real server.
  struct Setting: Equatable {
    var state: RealServer.State?
    var weight: Int?
  }

  private struct Table {
    var generation = UInt64.random(in: 1...UInt64(UInt32.max))
    var entries: [Place: Entry] = [:]
    var overrides: [String: SharedOverride] = [:]
    var own: Set<String> = []
    /// What was told, from `first` on.
    var log: [AssociationChange] = []
    var first: UInt64 = 2
    var report: SyncReport?
    var resets = 0
    var posts = 0
  }

  let path: String
  private let directory: TemporaryDirectory
  private let table = Mutex(Table())
  private let server = Mutex<HTTPServer?>(nil)
  /// How many changes the log holds.
  private let room: Int

  init(room: Int = 100_000) throws {
    self.room = room
    directory = try TemporaryDirectory()
    path = directory.path(of: "control.sock")
    try start()
  }

  // MARK: What a test does

  func start() throws {
    let server = HTTPServer { [weak self] in self?.answer($0) ?? .init(status: 503) }
    try server.start(on: .unix(path: path, mode: 0o600))
    self.server.withLock { $0 = server }
  }

  func stop() async {
    let running = server.withLock { server in
      defer { server = nil }
      return server
    }
    await running?.stop()
  }

  /// Begins anew, as after a reboot.
  func restart() async throws {
    await stop()
    table.withLock { $0 = Table() }
    try start()
  }

  func associate(
    _ client: String, _ realServer: String, at: UInt64 = currentMilliseconds(),
    virtualServer: String = "coap"
  ) {
    let client = Client(client)!
    let realServer = IPAddress(realServer)!
    table.withLock { table in
      table.entries[Place(virtualServer: virtualServer, client: client)] = Entry(
        at: at, realServer: realServer, isLearned: false)
      table.log.append(
        .association(
          SharedAssociation(
            at: at, clientClass: .resident, client: client, realServer: realServer,
            virtualServer: virtualServer)))
      cut(&table)
    }
  }

  func forget(_ client: String, at: UInt64 = currentMilliseconds()) {
    remove(client, .forgotten, at)
  }

  func evict(_ client: String, at: UInt64 = currentMilliseconds()) {
    remove(client, .evicted, at)
  }

  private func remove(_ client: String, _ reason: GoneAssociation.Reason, _ at: UInt64) {
    let client = Client(client)!
    table.withLock { table in
      table.entries[Place(virtualServer: "coap", client: client)] = nil
      table.log.append(
        .gone(GoneAssociation(at: at, client: client, reason: reason, virtualServer: "coap")))
      cut(&table)
    }
  }

  func set(
    _ realServer: String, _ state: RealServer.State?, weight: Int?,
    at: UInt64 = currentMilliseconds()
  ) {
    let override = SharedOverride(
      at: at, realServer: IPAddress(realServer)!, state: state, virtualServer: "coap",
      weight: weight)
    table.withLock { table in
      table.overrides[realServer] = override
      table.own.insert(realServer)
      table.log.append(.override(override))
      cut(&table)
    }
  }

  private func cut(_ table: inout Table) {
    let surplus = table.log.count - room
    guard surplus > 0 else { return }
    table.log.removeFirst(surplus)
    table.first += UInt64(surplus)
  }

  func entry(_ client: String, virtualServer: String = "coap") -> Entry? {
    table.withLock { $0.entries[Place(virtualServer: virtualServer, client: Client(client)!)] }
  }

  /// Where a client is led; `nil` where it is not known.
  func realServer(of client: String) -> String? { entry(client).map { "\($0.realServer)" } }

  func override(of realServer: String) -> Setting? {
    table.withLock { $0.overrides[realServer] }.map { Setting(state: $0.state, weight: $0.weight) }
  }

  /// Where all clients are led.
  var realServers: [String: String] {
    table.withLock { table in
      Dictionary(
        uniqueKeysWithValues: table.entries.map { ("\($0.key.client)", "\($0.value.realServer)") })
    }
  }

  var count: Int { table.withLock { $0.entries.count } }
  var report: SyncReport? { table.withLock { $0.report } }
  /// How often all was asked for.
  var resets: Int { table.withLock { $0.resets } }
  var posts: Int { table.withLock { $0.posts } }

  // MARK: What it answers

  private func answer(_ request: HTTPRequest) -> HTTPResponse {
    switch (request.method, request.path) {
    case ("GET", "/v1/associations/changes"):
      guard request.header("Accept") == "application/jsonl" else { return .init(status: 406) }
      return HTTPResponse(
        status: 200, headers: [("Content-Type", "application/jsonl")],
        body: .stream(Told(director: self, cursor: request.parameter("since"))))
    case ("POST", "/v1/associations"): return take(request.body)
    case ("PUT", "/v1/sync"):
      guard let report = try? JSON.decode(SyncReport.self, from: request.body) else {
        return .init(status: 400)
      }
      table.withLock { $0.report = report }
      return .init(status: 204)
    default: return .init(status: 404)
    }
  }

  /// The lines after a place, and the place after them.
  ///
  /// - Parameter place: of this generation; `nil` for all.
  fileprivate func lines(after place: UInt64?, isFirst: Bool) -> (bytes: [UInt8], place: UInt64) {
    table.withLock { table in
      let end = table.first + UInt64(table.log.count) - 1
      var writer = AssociationChangeWriter()
      var lines: [UInt8] = []
      func cursor(_ place: UInt64) -> ChangeCursor {
        ChangeCursor(generation: table.generation, sequence: place)
      }
      if let place, place + 1 >= table.first, place <= end {
        if isFirst { lines += AssociationChangeWriter.line(cursor(place)) }
        for change in table.log.dropFirst(Int(place + 1 - table.first)) {
          writer.append(change, to: &lines)
        }
      } else {
        table.resets += 1
        lines += AssociationChangeWriter.line(cursor(0), isReset: true)
        for (place, entry) in table.entries where !entry.isLearned {
          writer.append(
            .association(
              SharedAssociation(
                at: entry.at, clientClass: .resident, client: place.client,
                realServer: entry.realServer, virtualServer: place.virtualServer)), to: &lines)
        }
        for realServer in table.own {
          writer.append(.override(table.overrides[realServer]!), to: &lines)
        }
      }
      return (lines + AssociationChangeWriter.line(cursor(end)), end)
    }
  }

  fileprivate func place(_ cursor: String?) -> UInt64? {
    guard let cursor = cursor.flatMap({ ChangeCursor($0) }) else { return nil }
    return cursor.generation == table.withLock { $0.generation } ? cursor.sequence : nil
  }

  private func take(_ body: [UInt8]) -> HTTPResponse {
    guard let changes = try? AssociationChangeReader.read(body) else { return .init(status: 400) }
    table.withLock { table in
      table.posts += 1
      for change in changes { apply(change, to: &table) }
    }
    return .init(status: 200, body: .bytes(Array("{}".utf8)))
  }

  private func apply(_ change: AssociationChange, to table: inout Table) {
    func place(_ client: Client) -> Place {
      Place(virtualServer: change.virtualServer, client: client)
    }
    switch change {
    case .association(let told):
      let place = place(told.client)
      if let own = table.entries[place] {
        if own.at > told.at || own.at == told.at && own.realServer == told.realServer { return }
        if own.at == told.at, !Self.isGreater(told.realServer, own.realServer) { return }
        if own.realServer == told.realServer {
          table.entries[place]!.at = told.at
          return
        }
      }
      table.entries[place] = Entry(at: told.at, realServer: told.realServer, isLearned: true)
    case .gone(let gone):
      guard gone.reason == .forgotten, let own = table.entries[place(gone.client)],
        own.at <= gone.at
      else { return }
      table.entries[place(gone.client)] = nil
    case .override(let override):
      let realServer = "\(override.realServer)"
      if let own = table.overrides[realServer], own.at > override.at { return }
      table.overrides[realServer] = override
      table.own.remove(realServer)
    }
  }

  private static func isGreater(_ left: IPAddress, _ right: IPAddress) -> Bool {
    right.octets.lexicographicallyPrecedes(left.octets)
  }
}

/// What is told, as it comes.
private struct Told: AsyncSequence, Sendable {
  typealias Failure = Never

  let director: MemoryDirector
  let cursor: String?

  struct AsyncIterator: AsyncIteratorProtocol {
    let director: MemoryDirector
    var place: UInt64?
    var isFirst = true

    mutating func next() async -> [UInt8]? {
      if !isFirst { try? await Task.sleep(for: .milliseconds(20)) }
      if Task.isCancelled { return nil }
      let (bytes, place) = director.lines(after: place, isFirst: isFirst)
      isFirst = false
      self.place = place
      return bytes
    }

    mutating func next(isolation actor: isolated (any Actor)?) async -> [UInt8]? { await next() }
  }

  func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(director: director, place: director.place(cursor))
  }
}
