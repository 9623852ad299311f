// The address of a UNIX datagram socket (unix(7)) and one datagram to it, with descriptors if wanted.

import Glibc
import SystemPackage

struct SocketAddress {
  private var storage = sockaddr_un()
  private let length: socklen_t

  /// An absolute path, or `@` and an abstract name; `nil` if `text` is neither or too long.
  init?(_ text: String) {
    var bytes = Array(text.utf8)
    let isAbstract = bytes.first == UInt8(ascii: "@")
    guard isAbstract ? bytes.count > 1 : bytes.first == UInt8(ascii: "/") else { return nil }
    guard bytes.count < MemoryLayout.size(ofValue: storage.sun_path), !bytes.contains(0) else {
      return nil
    }
    // An abstract name begins with, a path ends in, a null byte.
    if isAbstract { bytes[0] = 0 } else { bytes.append(0) }
    storage.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &storage.sun_path) { $0.copyBytes(from: bytes) }
    let pathOffset = MemoryLayout.offset(of: \sockaddr_un.sun_path) ?? 0
    length = socklen_t(pathOffset + bytes.count)
  }

  /// Sends one datagram, without waiting (sendmsg(2)).
  func send(_ text: String, descriptors: [FileDescriptor], over socket: FileDescriptor)
    throws(Errno)
  {
    var receiver = storage
    var bytes = Array(text.utf8)
    var control = Self.rights(descriptors)
    let error: Errno? = withUnsafeMutablePointer(to: &receiver) { receiver in
      bytes.withUnsafeMutableBytes { bytes in
        control.withUnsafeMutableBytes { control in
          var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
          return withUnsafeMutablePointer(to: &part) { part in
            var message = msghdr()
            message.msg_name = UnsafeMutableRawPointer(receiver)
            message.msg_namelen = length
            message.msg_iov = part
            message.msg_iovlen = 1
            message.msg_control = control.isEmpty ? nil : control.baseAddress
            message.msg_controllen = control.count
            let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
            while sendmsg(socket.rawValue, &message, flags) < 0 {
              let error = Errno(rawValue: errno)
              if error != .interrupted { return error }
            }
            return nil
          }
        }
      }
    }
    if let error { throw error }
  }

  /// The control message `SCM_RIGHTS` for `descriptors`; empty for none.
  ///
  /// Laid out as cmsg(3)'s macros do it, which Swift does not import: a header, whose size is
  /// aligned already, and the descriptors, padded to the alignment of `size_t`.
  private static func rights(_ descriptors: [FileDescriptor]) -> [UInt8] {
    guard !descriptors.isEmpty else { return [] }
    let header = MemoryLayout<cmsghdr>.size
    let numbers = descriptors.map(\.rawValue)
    let length = header + numbers.count * MemoryLayout<Int32>.size
    let alignment = MemoryLayout<Int>.alignment
    var control = [UInt8](repeating: 0, count: (length + alignment - 1) / alignment * alignment)
    control.withUnsafeMutableBytes { bytes in
      bytes.storeBytes(of: length, toByteOffset: 0, as: Int.self)
      bytes.storeBytes(of: SOL_SOCKET, toByteOffset: 8, as: Int32.self)
      bytes.storeBytes(of: Int32(SCM_RIGHTS), toByteOffset: 12, as: Int32.self)
      numbers.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(rebasing: bytes[header...]).copyMemory(from: $0)
      }
    }
    return control
  }
}
