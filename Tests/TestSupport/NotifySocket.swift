// systemd's side of sd_notify(3): a datagram socket that a daemon reports its state to.
import Foundation
import Synchronization

public final class NotifySocket: Sendable {
  /// For `NOTIFY_SOCKET`.
  public let path: String
  private let shared: Shared

  /// What a thread that reads shares with the socket's owner.
  private final class Shared: Sendable {
    let descriptor: Int32
    let inbox = Mutex<(assignments: [String], isClosed: Bool)>(([], false))

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Takes in what has come, without the descriptors, which are closed thereby.
    func read() {
      inbox.withLock { inbox in
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
          let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
          if count <= 0 { return }
          inbox.assignments += String(decoding: buffer.prefix(count), as: UTF8.self)
            .split(separator: "\n").map(String.init)
        }
      }
    }
  }

  /// - Parameter reads: whether somebody reads all the time, as systemd does; else only
  ///   ``assignments`` does.
  public init(in directory: TemporaryDirectory, reads: Bool = true) throws {
    path = directory.path(of: "notify")
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = try check(socket(AF_UNIX, type, 0), "notify socket")
    shared = Shared(descriptor)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let capacity = MemoryLayout.size(ofValue: address.sun_path)
    guard path.utf8.count < capacity else { throw SystemError(path, code: ENAMETOOLONG) }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    try withUnsafePointer(to: &address) {
      try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = try check(
          bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)), "bind to \(path)")
      }
    }
    // A daemon without privileges reports too.
    chmod(path, 0o777)
    guard reads else { return }
    let shared = shared
    Thread.detachNewThread { Self.read(shared) }
  }

  deinit { shared.inbox.withLock { $0.isClosed = true } }

  /// Reads until the owner is gone.
  private static func read(_ shared: Shared) {
    while !shared.inbox.withLock({ $0.isClosed }) {
      var request = pollfd(fd: shared.descriptor, events: Int16(POLLIN), revents: 0)
      if poll(&request, 1, 100) == 1 { shared.read() }
    }
  }

  /// Each assignment that has come in so far, such as `READY=1`.
  public var assignments: [String] {
    shared.read()
    return shared.inbox.withLock { $0.assignments }
  }
}
