// Sockets to listen on: a Unix socket that only who may can connect to, or a TCP port.
// Knows nothing of HTTP.
import Glibc
import SystemPackage

/// Where a server listens.
public enum ListeningSocket: Sendable {
  /// A Unix stream socket with permissions.
  ///
  /// Folders that are missing on the way are made, with mode 0755. A socket that is there is taken
  /// away if nobody listens on it any more.
  ///
  /// - Parameters:
  ///   - path: At most 107 bytes.
  ///   - mode: Permissions, such as `0o660`: who may write may connect (unix(7)).
  ///   - group: The name of its group; the process's own by default.
  case unix(path: String, mode: UInt32 = 0o660, group: String? = nil)

  /// A TCP port.
  ///
  /// - Parameters:
  ///   - address: An IPv4 or IPv6 address; `::` is both families.
  ///   - port: 0 is one that the kernel chooses.
  case tcp(address: String, port: UInt16)
}

/// A socket that listens, and what is to be taken away with it.
struct OpenListeningSocket: Sendable {
  /// Not blocking, close-on-exec; the caller's to close.
  let descriptor: Int32
  /// `nil` for a Unix socket.
  let port: UInt16?
  /// The Unix socket's file.
  private let file: File?

  private struct File: Sendable {
    let path: String
    let device: UInt
    let inode: UInt
    /// Folders that were made for it, the innermost last.
    let folders: [String]
  }

  /// Connections that wait for being accepted.
  private static let backlog: Int32 = 1024

  init(_ socket: ListeningSocket) throws(HTTPServerError) {
    switch socket {
    case .unix(let path, let mode, let group):
      try self.init(path: path, mode: mode, group: group)
    case .tcp(let address, let port): try self.init(address: address, port: port)
    }
  }

  /// Removes the Unix socket's file, if it is still this one's.
  func removeFile() {
    guard let file else { return }
    var status = stat()
    guard lstat(file.path, &status) == 0, UInt(status.st_dev) == file.device,
      UInt(status.st_ino) == file.inode
    else { return }
    unlink(file.path)
    for folder in file.folders.reversed() { rmdir(folder) }
  }

  private init(path: String, mode: UInt32, group: String?) throws(HTTPServerError) {
    guard let address = try? UnixAddress(path) else { throw .pathTooLong(path) }
    let owner = try group.map { name throws(HTTPServerError) in try Self.number(ofGroup: name) }
    try Self.removeStale(path, address)
    let folders = try Self.makeFolders(to: path)
    let descriptor = try Self.open(AF_UNIX, path)
    do throws(HTTPServerError) {
      let status = try Self.bindAndListen(descriptor, path, address, mode, owner)
      self.descriptor = descriptor
      port = nil
      file = File(
        path: path, device: UInt(status.st_dev), inode: UInt(status.st_ino), folders: folders)
    } catch {
      close(descriptor)
      for folder in folders.reversed() { rmdir(folder) }
      throw error
    }
  }

  /// Binds to a path and listens; what is there is nobody's at any moment who may not connect.
  ///
  /// - Returns: The file's status.
  private static func bindAndListen(
    _ descriptor: Int32, _ path: String, _ address: UnixAddress, _ mode: UInt32, _ group: gid_t?
  ) throws(HTTPServerError) -> stat {
    // The file gets the socket's mode as far as the umask lets it (unix_bind_bsd in the kernel), and
    // nobody can connect before listen(2).
    try check(fchmod(descriptor, mode), "fchmod", path)
    try check(address.call { bind(descriptor, $0, $1) }, "bind", path)
    do throws(HTTPServerError) {
      var status = stat()
      try check(lstat(path, &status), "lstat", path)
      if let group { try check(lchown(path, .max, group), "chown", path) }
      try check(chmod(path, mode), "chmod", path)
      try check(listen(descriptor, backlog), "listen", path)
      return status
    } catch {
      unlink(path)
      throw error
    }
  }

  private init(address: String, port: UInt16) throws(HTTPServerError) {
    let name = address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    var hints = addrinfo()
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(address, String(port), &hints, &list) == 0, let found = list?.pointee else {
      throw .invalidAddress(address)
    }
    defer { freeaddrinfo(list) }
    let descriptor = try Self.open(found.ai_family, name)
    do throws(HTTPServerError) {
      var on: Int32 = 1
      try Self.check(
        setsockopt(
          descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout.size(ofValue: on))),
        "setsockopt", name)
      try Self.check(bind(descriptor, found.ai_addr, found.ai_addrlen), "bind", name)
      try Self.check(listen(descriptor, Self.backlog), "listen", name)
      var bound = sockaddr_storage()
      var size = socklen_t(MemoryLayout.size(ofValue: bound))
      let status = withUnsafeMutablePointer(to: &bound) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
      }
      try Self.check(status, "getsockname", name)
      // The port stands at the same place in both families.
      self.port = withUnsafeBytes(of: bound) {
        UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self))
      }
      self.descriptor = descriptor
      file = nil
    } catch {
      close(descriptor)
      throw error
    }
  }

  private static func open(_ family: Int32, _ name: String) throws(HTTPServerError) -> Int32 {
    let type = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
    return try check(socket(family, Int32(type), 0), "socket", name)
  }

  @discardableResult
  private static func check(
    _ result: Int32, _ call: String, _ name: String
  ) throws(HTTPServerError) -> Int32 {
    guard result >= 0 else { throw .systemCall(call, on: name, errno: Errno(rawValue: errno)) }
    return result
  }

  /// Takes a socket away that nobody listens on.
  private static func removeStale(_ path: String, _ address: UnixAddress) throws(HTTPServerError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }  // what else is wrong bind(2) says
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path) }
    guard let error = address.probe() else { throw .inUse(path) }
    guard error == .connectionRefused else {
      throw .systemCall("looking for who listens", on: path, errno: error)
    }
    try check(unlink(path), "unlink", path)
  }

  /// Makes the folders that a path needs, and says which.
  private static func makeFolders(to path: String) throws(HTTPServerError) -> [String] {
    var made: [String] = []
    let parts = path.split(separator: "/").dropLast()
    var folder = path.hasPrefix("/") ? "" : "."
    for part in parts {
      folder += "/" + part
      if mkdir(folder, 0o755) == 0 {
        made.append(folder)
      } else if errno != EEXIST {
        let error = Errno(rawValue: errno)
        for folder in made.reversed() { rmdir(folder) }
        throw .systemCall("mkdir", on: folder, errno: error)
      }
    }
    return made
  }

  private static func number(ofGroup name: String) throws(HTTPServerError) -> gid_t {
    var buffer = [CChar](repeating: 0, count: 64 << 10)
    var entry = group()
    var found: UnsafeMutablePointer<group>?
    let status = getgrnam_r(name, &entry, &buffer, buffer.count, &found)
    switch status {
    case 0 where found != nil: return entry.gr_gid
    // getgrnam_r(3) has these for a name that is not found.
    case 0, ENOENT, ESRCH: throw .unknownGroup(name)
    default: throw .systemCall("getgrnam_r", on: name, errno: Errno(rawValue: status))
    }
  }
}
