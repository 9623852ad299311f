// A real server that says who it is: it answers "payload" with "name:payload".
import Foundation
import Synchronization

public final class UDPEchoServer: Sendable {
  public let name: String
  private let socket: UDPSocket
  private let inbox: Inbox

  /// What the thread shares with the server's owner; it ends once the owner is gone.
  private final class Inbox: Sendable {
    let received = Mutex<[ReceivedDatagram]>([])
    let isClosed = Atomic(false)
  }

  public init(
    named name: String, in namespace: NetworkNamespace, address: String, port: UInt16,
    checksum: Bool = true
  ) throws {
    self.name = name
    socket = try UDPSocket(in: namespace, address: address, port: port, checksum: checksum)
    inbox = Inbox()
    let (socket, inbox) = (socket, inbox)
    Thread.detachNewThread {
      while !inbox.isClosed.load(ordering: .relaxed) {
        guard let datagram = try? socket.receive(timeout: .milliseconds(100)) else { continue }
        inbox.received.withLock { $0.append(datagram) }
        // A message, not a question: it gets no answer.
        if datagram.payload.hasPrefix("!") { continue }
        try? socket.send("\(name):\(datagram.payload)", to: datagram.source)
      }
    }
  }

  deinit { inbox.isClosed.store(true, ordering: .relaxed) }

  public var endpoint: Endpoint { socket.endpoint }

  /// All that has come in so far.
  public var received: [ReceivedDatagram] { inbox.received.withLock { $0 } }

  /// Writes to a client of the server's own accord, from the port that it serves.
  public func send(_ payload: String, to client: Endpoint) throws {
    try socket.send(payload, to: client)
  }

  /// Waits for a datagram with this payload.
  public func waitForDatagram(_ payload: String) -> ReceivedDatagram? {
    var found: ReceivedDatagram?
    _ = waitUntil {
      found = received.first { $0.payload == payload }
      return found != nil
    }
    return found
  }
}
