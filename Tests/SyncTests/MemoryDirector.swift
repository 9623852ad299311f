// A daemon's half of the sharing, in memory: the API of the control socket over a table that a test changes.
import Control
import Foundation
import HTTP
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

  private struct Table {
    var generation = UInt64.random(in: 1...UInt64(UInt32.max))
    var entries: [Place: Entry] = [:]
    var overrides: [String: SharedChange] = [:]
    var own: Set<String> = []
    /// What was told, from `first` on.
    var log: [SharedChange] = []
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
        SharedChange(
          at: at, virtualServer: virtualServer,
          .association(client: client, class: .resident, realServer: realServer)))
      cut(&table)
    }
  }

  func forget(_ client: String, at: UInt64 = currentMilliseconds()) {
    remove(client, .forgotten(client: Client(client)!), at)
  }

  func evict(_ client: String, at: UInt64 = currentMilliseconds()) {
    remove(client, .evicted(client: Client(client)!), at)
  }

  private func remove(_ client: String, _ change: Change, _ at: UInt64) {
    table.withLock { table in
      table.entries[Place(virtualServer: "coap", client: Client(client)!)] = nil
      table.log.append(SharedChange(at: at, virtualServer: "coap", change))
      cut(&table)
    }
  }

  func set(
    _ realServer: String, _ state: RealServer.State?, weight: Int?,
    at: UInt64 = currentMilliseconds()
  ) {
    let change = SharedChange(
      at: at, virtualServer: "coap",
      .override(realServer: IPAddress(realServer)!, state: state, weight: weight))
    table.withLock { table in
      table.overrides[realServer] = change
      table.own.insert(realServer)
      table.log.append(change)
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

  func override(of realServer: String) -> Change? {
    table.withLock { $0.overrides[realServer]?.change }
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
      var writer = ChangeWriter()
      var head = isFirst ? "{\"cursor\":\"\(table.generation).\(place ?? 0)\"}\n" : ""
      if let place, place + 1 >= table.first, place <= end {
        for change in table.log.dropFirst(Int(place + 1 - table.first)) { writer.append(change) }
      } else {
        table.resets += 1
        head = "{\"cursor\":\"\(table.generation).0\",\"reset\":true}\n"
        for (place, entry) in table.entries where !entry.isLearned {
          writer.append(
            SharedChange(
              at: entry.at, virtualServer: place.virtualServer,
              .association(
                client: place.client, class: .resident, realServer: entry.realServer)))
        }
        for realServer in table.own { writer.append(table.overrides[realServer]!) }
      }
      let tail = "{\"cursor\":\"\(table.generation).\(end)\"}\n"
      return (Array(head.utf8) + writer.bytes + tail.utf8, end)
    }
  }

  fileprivate func place(_ cursor: String?) -> UInt64? {
    guard let parts = cursor?.split(separator: "."), parts.count == 2 else { return nil }
    let generation = table.withLock { $0.generation }
    return parts[0] == String(generation) ? UInt64(parts[1]) : nil
  }

  private func take(_ body: [UInt8]) -> HTTPResponse {
    var changes: [SharedChange] = []
    for line in body.split(separator: UInt8(ascii: "\n")) {
      guard case .change(let change)? = ChangeLine(line) else { return .init(status: 400) }
      changes.append(change)
    }
    table.withLock { table in
      table.posts += 1
      for change in changes { apply(change, to: &table) }
    }
    return .init(status: 200, body: .bytes(Array("{}".utf8)))
  }

  private func apply(_ change: SharedChange, to table: inout Table) {
    func own(_ client: Client) -> Entry? {
      table.entries[Place(virtualServer: change.virtualServer, client: client)]
    }
    switch change.change {
    case .association(let client, _, let realServer):
      if let own = own(client) {
        if own.at > change.at || own.at == change.at && own.realServer == realServer { return }
        if own.at == change.at, !Self.isGreater(realServer, own.realServer) { return }
        if own.realServer == realServer {
          table.entries[Place(virtualServer: change.virtualServer, client: client)]!.at = change.at
          return
        }
      }
      table.entries[Place(virtualServer: change.virtualServer, client: client)] = Entry(
        at: change.at, realServer: realServer, isLearned: true)
    case .forgotten(let client):
      guard let own = own(client), own.at <= change.at else { return }
      table.entries[Place(virtualServer: change.virtualServer, client: client)] = nil
    case .evicted: break
    case .override(let realServer, _, _):
      if let own = table.overrides["\(realServer)"], own.at > change.at { return }
      table.overrides["\(realServer)"] = change
      table.own.remove("\(realServer)")
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
