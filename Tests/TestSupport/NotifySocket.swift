// systemd's side of sd_notify(3): a datagram socket that a daemon reports its state to.
import Foundation
import Synchronization

public final class NotifySocket: Sendable {
  /// For `NOTIFY_SOCKET`.
  public let path: String
  private let descriptor: Int32
  private let inbox = Mutex<[String]>([])

  public init(in directory: TemporaryDirectory) throws {
    path = directory.path(of: "notify")
    let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    descriptor = try check(socket(AF_UNIX, type, 0), "notify socket")
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let capacity = MemoryLayout.size(ofValue: address.sun_path)
    guard path.utf8.count < capacity else { throw SystemError(path, code: ENAMETOOLONG) }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let descriptor = descriptor
    try withUnsafePointer(to: &address) {
      try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = try check(
          bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)), "bind to \(path)")
      }
    }
    // A daemon without privileges reports too.
    chmod(path, 0o777)
  }

  deinit { close(descriptor) }

  /// Each assignment that has come in so far, such as `READY=1`.
  public var assignments: [String] {
    inbox.withLock { inbox in
      var buffer = [UInt8](repeating: 0, count: 65_536)
      while true {
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count <= 0 { return inbox }
        inbox += String(decoding: buffer.prefix(count), as: UTF8.self)
          .split(separator: "\n").map(String.init)
      }
    }
  }
}
