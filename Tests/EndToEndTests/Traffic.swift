// Clients that never stop asking while something else happens to ulb.
import Foundation
import Synchronization
import TestSupport

/// Known clients that ask their virtual servers in turn on a thread of its own, one question at a time.
final class Traffic: Sendable {
  struct Record: Sendable {
    /// For each client the servers that answered, one entry for each change.
    var servers: [[String]]
    var answered = 0
    var unanswered = 0
  }

  private let isStopped = Atomic(false)
  private let record: Mutex<Record>
  private let finished = DispatchSemaphore(value: 0)

  /// - Parameter timeout: how long a client waits for an answer before it counts as none.
  convenience init(
    _ clients: [UDPSocket], to virtualServer: Endpoint, timeout: Duration = .seconds(10)
  ) {
    self.init(clients.map { ($0, virtualServer) }, timeout: timeout)
  }

  /// - Parameters:
  ///   - clients: each with the virtual server that it asks.
  ///   - timeout: how long a client waits for an answer before it counts as none.
  init(_ clients: [(socket: UDPSocket, virtualServer: Endpoint)], timeout: Duration = .seconds(10))
  {
    record = Mutex(Record(servers: clients.map { _ in [] }))
    Thread.detachNewThread { [self] in
      var number = 0
      while !isStopped.load(ordering: .relaxed) {
        let index = number % clients.count
        let question = String(number)
        number += 1
        let (client, virtualServer) = clients[index]
        let answer = ask(client, question, virtualServer, timeout)
        record.withLock { record in
          guard let answer else {
            record.unanswered += 1
            return
          }
          record.answered += 1
          if record.servers[index].last != answer { record.servers[index].append(answer) }
        }
      }
      finished.signal()
    }
  }

  private func ask(
    _ client: UDPSocket, _ question: String, _ virtualServer: Endpoint, _ timeout: Duration
  ) -> String? {
    try? client.send(question, to: virtualServer)
    // A late answer to an earlier question is no answer to this one.
    while let answer = try? client.receive(timeout: timeout) {
      let parts = answer.payload.split(separator: ":")
      if answer.source == virtualServer, parts.count == 2, parts[1] == question {
        return String(parts[0])
      }
    }
    return nil
  }

  var current: Record { record.withLock { $0 } }

  /// Waits until every client has asked some more times.
  func waitForProgress() -> Bool {
    let start = current
    let enough = 2 * start.servers.count
    return waitUntil {
      let now = current
      return now.answered + now.unanswered >= start.answered + start.unanswered + enough
    }
  }

  /// Ends it and returns what came of it.
  func stop() -> Record {
    isStopped.store(true, ordering: .relaxed)
    finished.wait()
    finished.signal()
    return current
  }

  deinit { isStopped.store(true, ordering: .relaxed) }
}
