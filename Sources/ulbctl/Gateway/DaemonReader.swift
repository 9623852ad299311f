// What all daemons of the machine say of themselves. Knows nothing of who asks.
import Control
import HTTP
import JSONCoding
import Synchronization
import SystemPackage

/// Reads the daemons' control sockets.
final class DaemonReader: Sendable {
  /// A daemon, and how to ask it.
  struct Daemon: Sendable {
    let socket: String
    /// The interface's; the socket's path while nothing better is known.
    var name: String
    let client: HTTPClient
  }

  /// What a daemon has answered, or why it has not.
  struct Reading: Sendable {
    let name: String
    let result: Result<Metrics.Reading, Silence>
  }

  /// Why a daemon does not answer: one line.
  struct Silence: Error, CustomStringConvertible {
    let description: String
  }

  /// A list of some thousand real servers has a few MB.
  private static let longestAnswer = 32 << 20

  private let finder: DaemonFinder
  private let sockets: [String]
  private let patience: Duration
  /// The reading that is under way.
  private let current = Mutex<Task<[Reading], Never>?>(nil)
  /// What the daemons behind ``sockets`` have called their interfaces.
  private let learned = Mutex<[String: String]>([:])

  /// - Parameters:
  ///   - sockets: Those that are asked; all that the finder finds, each time, where there are none.
  ///   - patience: In which a daemon must have answered.
  init(
    _ finder: DaemonFinder = DaemonFinder(), sockets: [String] = [],
    patience: Duration = .seconds(2)
  ) {
    self.finder = finder
    self.sockets = sockets
    self.patience = patience
  }

  private func all() -> [Daemon] {
    let found =
      sockets.isEmpty ? finder.all() : sockets.map { DaemonFinder.Daemon(socket: $0) }
    return found.map { daemon in
      let name = daemon.interface ?? learned.withLock { $0[daemon.socket] } ?? daemon.socket
      return Daemon(
        socket: daemon.socket, name: name,
        client: HTTPClient(unixSocket: daemon.socket, timeout: patience))
    }
  }

  /// The daemon of an interface; `nil` where there is none.
  func daemon(called name: String) async -> Daemon? {
    if let daemon = all().first(where: { $0.name == name }) { return daemon }
    if sockets.isEmpty { return nil }
    // Which interfaces they have is known when they were read once.
    _ = await readAll()
    return all().first { $0.name == name }
  }

  /// What all daemons say, in their order: one reading for all who ask while it is under way, so that
  /// many who ask cost the daemons no more than one.
  func readAll() async -> [Reading] {
    let reading = current.withLock { current in
      if let current { return current }
      let reading = Task {
        let readings = await self.readEach()
        self.current.withLock { $0 = nil }
        return readings
      }
      current = reading
      return reading
    }
    return await reading.value
  }

  /// Reads them at once.
  private func readEach() async -> [Reading] {
    await withTaskGroup(of: (Int, Reading).self) { group in
      let daemons = all()
      for (index, daemon) in daemons.enumerated() {
        group.addTask { (index, await self.read(daemon)) }
      }
      var readings = [Reading?](repeating: nil, count: daemons.count)
      for await (index, reading) in group { readings[index] = reading }
      return readings.compactMap { $0 }
    }
  }

  private func read(_ daemon: Daemon) async -> Reading {
    do {
      let reading = try await withTimeLimit(patience) {
        let status = try await self.get(Status.self, "/v1/status", of: daemon)
        let list = try await self.get(VirtualServerList.self, "/v1/virtual-servers", of: daemon)
        let counters = try await self.get(Counters.self, "/v1/counters", of: daemon)
        return Metrics.Reading(
          status: status, virtualServers: list.virtualServers, counters: counters)
      }
      let interface = reading.status.interface
      if !sockets.isEmpty { learned.withLock { $0[daemon.socket] = interface } }
      return Reading(name: sockets.isEmpty ? daemon.name : interface, result: .success(reading))
    } catch let silence as Silence {
      return Reading(name: daemon.name, result: .failure(silence))
    } catch {
      return Reading(
        name: daemon.name, result: .failure(Silence(description: text(error, of: daemon))))
    }
  }

  private func get<Answer: Decodable>(
    _ type: Answer.Type, _ target: String, of daemon: Daemon
  ) async throws -> Answer {
    let reply = try await daemon.client.send("GET", target)
    let body = try await reply.collect(upTo: Self.longestAnswer)
    guard reply.status == 200 else {
      let problem = try? JSON.decode(Problem.self, from: body)
      throw Silence(
        description: "\(daemon.socket) answers GET \(target) with \(reply.status)"
          + (problem.map { ": \($0.detail)" } ?? ""))
    }
    do {
      return try JSON.decode(type, from: body)
    } catch {
      throw Silence(
        description: "what \(daemon.socket) answers to GET \(target) is not understood; "
          + "is it of another version than this gateway?")
    }
  }

  /// Why a daemon cannot be asked, and what to do.
  func text(_ error: any Error, of daemon: Daemon) -> String {
    switch error {
    case HTTPClientError.cannotConnect(_, let error):
      finder.failure(daemon.socket, error).description
    case is TimeIsOver: HTTPClientError.timedOut(daemon.socket).description
    default: "\(error)"
    }
  }
}

/// What ``withTimeLimit(_:_:)`` throws when the time is over.
struct TimeIsOver: Error {}

/// Runs a body, and cancels it when a time is over.
func withTimeLimit<Value: Sendable>(
  _ limit: Duration, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask(operation: body)
    group.addTask {
      try await Task.sleep(for: limit)
      throw TimeIsOver()
    }
    defer { group.cancelAll() }
    guard let value = try await group.next() else { throw TimeIsOver() }
    return value
  }
}
