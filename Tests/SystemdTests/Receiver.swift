// The manager's side of sd_notify(3) for the tests: a datagram socket that datagrams and
// descriptors are read from.

import Glibc
import SystemPackage
import Testing

/// A bound UNIX datagram socket.
final class Receiver {
  /// What `$NOTIFY_SOCKET` has to say to reach it.
  let address: String
  private let socket: Int32

  /// Binds to a path, which must not exist, or an `@abstract` name.
  init(_ address: String) throws {
    self.address = address
    socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    try #require(socket >= 0)
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &name.sun_path) {
      $0.copyBytes(from: address.utf8)
      if $0[0] == UInt8(ascii: "@") { $0[0] = 0 }
    }
    let length = socklen_t(2 + address.utf8.count + (address.hasPrefix("@") ? 0 : 1))
    let status = withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, length) }
    }
    try #require(status == 0, "bind: \(Errno(rawValue: errno))")
  }

  deinit {
    close(socket)
    if address.hasPrefix("/") { unlink(address) }
  }

  /// The next datagram that is there, and what descriptors came with it; `nil` if there is none.
  func receive() throws -> (text: String, descriptors: [FileDescriptor])? {
    var bytes = [UInt8](repeating: 0, count: 65536)
    var control = [UInt64](repeating: 0, count: 256)
    return try bytes.withUnsafeMutableBytes { bytes in
      try control.withUnsafeMutableBytes { control in
        var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        return try withUnsafeMutablePointer(to: &part) { part in
          var message = msghdr()
          message.msg_iov = part
          message.msg_iovlen = 1
          message.msg_control = control.baseAddress
          message.msg_controllen = control.count
          let count = recvmsg(socket, &message, Int32(MSG_DONTWAIT))
          if count < 0, Errno(rawValue: errno) == .resourceTemporarilyUnavailable { return nil }
          try #require(count >= 0, "recvmsg: \(Errno(rawValue: errno))")
          try #require(message.msg_flags & Int32(MSG_CTRUNC) == 0)
          let text = String(decoding: bytes[..<count], as: UTF8.self)
          guard message.msg_controllen > 0 else { return (text, []) }
          let header = control.load(as: cmsghdr.self)
          try #require(header.cmsg_level == SOL_SOCKET)
          try #require(header.cmsg_type == Int32(SCM_RIGHTS))
          let passed = control[MemoryLayout<cmsghdr>.size..<Int(header.cmsg_len)]
          let numbers = UnsafeRawBufferPointer(rebasing: passed).bindMemory(to: Int32.self)
          return (text, numbers.map { FileDescriptor(rawValue: $0) })
        }
      }
    }
  }

  /// An environment with `$NOTIFY_SOCKET` and `others`.
  func environment(_ others: [String: String] = [:]) -> (String) -> String? {
    { [address] in $0 == "NOTIFY_SOCKET" ? address : others[$0] }
  }

  /// A name that no other test uses: abstract, or a path in the folder for temporary files.
  static func newAddress(abstract: Bool) -> String {
    let name = "ulb-notify-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    return abstract ? "@" + name : "/tmp/" + name
  }
}

/// Which file a descriptor is open on: one pair for the same file, however often duplicated.
struct FileIdentity: Hashable {
  let device: UInt
  let inode: UInt

  init(_ descriptor: FileDescriptor) throws(Errno) {
    let status = try descriptor.stat()
    device = status.deviceID.rawValue
    inode = status.inode.rawValue
  }

  /// What this process has open now.
  static func ofOpenDescriptors() throws -> Set<FileIdentity> {
    let folder = try #require(opendir("/proc/self/fd"))
    defer { closedir(folder) }
    var found: Set<FileIdentity> = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      // One that another thread has closed since is none of this test's.
      if let number = Int32(name),
        let identity = try? FileIdentity(FileDescriptor(rawValue: number))
      {
        found.insert(identity)
      }
    }
    return found
  }
}

func closeAll(_ descriptors: some Sequence<FileDescriptor>) {
  for descriptor in descriptors { try? descriptor.close() }
}

/// A descriptor of a file that nobody else has open: a socket, whose inode number is unique.
func newFile() throws -> FileDescriptor {
  let file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  try #require(file >= 0, "socket: \(Errno(rawValue: errno))")
  return FileDescriptor(rawValue: file)
}
