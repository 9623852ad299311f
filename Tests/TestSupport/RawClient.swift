// A client that sends what it is told, right or wrong. Knows no HTTP.
import Foundation

/// A connected stream socket. Closed with its last owner.
public final class RawClient: Sendable {
  public let descriptor: Int32

  /// - Parameter receiveBuffer: Bytes; the kernel's default where none is given.
  public init(unixSocket path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    try connect(address)
  }

  public init(port: UInt16, receiveBuffer: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if var size = receiveBuffer {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    try connect(address)
  }

  private func connect<Address>(_ address: Address) throws {
    var limit = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout.size(ofValue: limit)))
    let status = withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Foundation.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
      }
    }
    guard status == 0 else { throw SystemError("connect") }
  }

  deinit { close(descriptor) }

  /// - Returns: Whether the kernel has taken all.
  @discardableResult public func send(_ text: String) -> Bool {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// No more is sent; what comes can be read.
  public func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Waits for something to read; `nil` at the end, or where the connection is reset.
  public func receive(upTo size: Int = 64 << 10) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: size)
    let count = recv(descriptor, &buffer, size, 0)
    return count > 0 ? Array(buffer[..<count]) : nil
  }

  /// Reads until a text has come or the connection ends.
  public func receive(until end: String) -> String {
    var bytes: [UInt8] = []
    while !String(decoding: bytes, as: UTF8.self).contains(end), let more = receive() {
      bytes += more
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Reads to the connection's end.
  public func receiveAll() -> String {
    var bytes: [UInt8] = []
    while let more = receive() { bytes += more }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// `POLLRDHUP` (poll(2)), which Swift does not import.
  private var pollReadHangUp: Int16 { 0x2000 }

  /// Whether the other side has read all that was sent (tcp(7), SIOCOUTQ; a Unix socket has it too).
  public var isAllRead: Bool {
    var unread: Int32 = -1
    return ioctl(descriptor, UInt(TIOCOUTQ), &unread) == 0 && unread == 0
  }

  /// Whether the other side is gone; reads nothing.
  public var isResetOrClosed: Bool {
    var state = pollfd(fd: descriptor, events: pollReadHangUp, revents: 0)
    return poll(&state, 1, 0) > 0
  }
}
