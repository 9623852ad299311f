// Addresses of Unix sockets, and whether anybody listens there. Knows nothing of HTTP.
import Glibc
import SystemPackage

/// The address of a Unix socket as the kernel takes it (unix(7)).
package struct UnixAddress {
  /// In bytes: `sun_path` ends with a zero.
  package static let longestPath =
    MemoryLayout<sockaddr_un>.size - MemoryLayout<sa_family_t>.size - 1

  private var address = sockaddr_un()

  /// - Throws: `ENAMETOOLONG` for a path of more than ``longestPath`` bytes, `ENOENT` for an empty one,
  ///   `EINVAL` for one with a zero in it: as a file of that name could not be opened.
  package init(_ path: String) throws(Errno) {
    guard !path.isEmpty else { throw .noSuchFileOrDirectory }
    guard !path.utf8.contains(0) else { throw .invalidArgument }
    guard path.utf8.count <= Self.longestPath else { throw .fileNameTooLong }
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
  }

  /// For a system call, such as bind(2).
  package func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    withUnsafePointer(to: address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }

  /// Tries to connect, without waiting for who listens to accept it.
  ///
  /// - Returns: Why nobody can be spoken with there; `nil` where somebody listens, be it that many wait
  ///   for that one already.
  package func probe() -> Errno? {
    let type = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
    let descriptor = socket(AF_UNIX, Int32(type), 0)
    guard descriptor >= 0 else { return Errno(rawValue: errno) }
    defer { close(descriptor) }
    guard call({ connect(descriptor, $0, $1) }) < 0 else { return nil }
    let error = Errno(rawValue: errno)
    // A full backlog has an owner.
    return error == .resourceTemporarilyUnavailable ? nil : error
  }
}
