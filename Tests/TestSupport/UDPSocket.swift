// A UDP socket inside a namespace, for one test's thread or a server's. Knows nothing of load balancing.
import Foundation

/// A datagram with text in it, and where it came from.
public struct ReceivedDatagram: Sendable, Equatable {
  public let payload: String
  public let source: Endpoint

  public init(payload: String, source: Endpoint) {
    self.payload = payload
    self.source = source
  }
}

public final class UDPSocket: Sendable {
  private let descriptor: Int32
  /// The address that it is bound to, with the port that the kernel chose if none was given.
  public let endpoint: Endpoint

  /// - Parameters:
  ///   - port: 0 for one that the kernel chooses.
  ///   - checksum: whether outgoing IPv4 datagrams carry a UDP checksum (RFC 768 allows none).
  public init(
    in namespace: NetworkNamespace, address: String, port: UInt16 = 0, checksum: Bool = true
  ) throws {
    let wanted = Endpoint(address, port)
    let family = wanted.family == .ipv4 ? AF_INET : AF_INET6
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    descriptor = try namespace.run { try check(socket(family, type, 0), "UDP socket") }
    if !checksum {
      var yes: Int32 = 1
      try check(
        setsockopt(descriptor, SOL_SOCKET, SO_NO_CHECK, &yes, socklen_t(MemoryLayout<Int32>.size)),
        "SO_NO_CHECK")
    }
    let descriptor = descriptor
    try wanted.withSocketAddress { try check(bind(descriptor, $0, $1), "bind to \(wanted)") }
    endpoint = try Endpoint { try check(getsockname(descriptor, $0, $1), "getsockname") }
  }

  deinit { close(descriptor) }

  /// Sets the one peer that datagrams come from: what others send, the kernel hides.
  public func connect(to peer: Endpoint) throws {
    try peer.withSocketAddress { try check(Foundation.connect(descriptor, $0, $1), "connect") }
  }

  public func send(_ payload: String, to destination: Endpoint) throws {
    let bytes = Array(payload.utf8)
    let sent = try destination.withSocketAddress {
      sendto(descriptor, bytes, bytes.count, 0, $0, $1)
    }
    try check(Int32(sent), "send to \(destination)")
  }

  /// The next datagram, or nil if none came in time.
  public func receive(timeout: Duration = .seconds(10)) throws -> ReceivedDatagram? {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let (seconds, attoseconds) = timeout.components
    let milliseconds = Int32(seconds) * 1_000 + Int32(attoseconds / 1_000_000_000_000_000)
    let ready = poll(&entry, 1, milliseconds)
    if ready == 0 || (ready < 0 && errno == EINTR) { return nil }
    try check(ready, "poll")
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var count = 0
    let source = try Endpoint {
      count = recvfrom(descriptor, &buffer, buffer.count, 0, $0, $1)
      try check(Int32(count), "receive on \(endpoint)")
    }
    return ReceivedDatagram(
      payload: String(decoding: buffer.prefix(count), as: UTF8.self), source: source)
  }

  /// Sends a datagram and waits for the next that comes in.
  public func exchange(
    _ payload: String, with destination: Endpoint, timeout: Duration = .seconds(10)
  ) throws -> ReceivedDatagram? {
    try send(payload, to: destination)
    return try receive(timeout: timeout)
  }
}
