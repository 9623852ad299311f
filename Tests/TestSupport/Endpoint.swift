// An address and a port, as sockets take and give them.
import Foundation
import LoadBalancing

/// An IPv4 or IPv6 address in its usual text form, and a port in host byte order.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
  public let address: String
  public let port: UInt16

  public init(_ address: String, _ port: UInt16) {
    self.address = address
    self.port = port
  }

  public var family: AddressFamily { address.contains(":") ? .ipv6 : .ipv4 }

  public var description: String {
    family == .ipv6 ? "[\(address)]:\(port)" : "\(address):\(port)"
  }

  /// Calls C with the endpoint as a socket address.
  @discardableResult
  public func withSocketAddress<Value>(
    _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Value
  ) throws -> Value {
    var storage = sockaddr_storage()
    let parsed = withUnsafeMutableBytes(of: &storage) { bytes -> (Int32, Int) in
      switch family {
      case .ipv4:
        let pointer = bytes.assumingMemoryBound(to: sockaddr_in.self).baseAddress!
        pointer.pointee.sin_family = sa_family_t(AF_INET)
        pointer.pointee.sin_port = port.bigEndian
        return (
          inet_pton(AF_INET, address, &pointer.pointee.sin_addr), MemoryLayout<sockaddr_in>.size
        )
      case .ipv6:
        let pointer = bytes.assumingMemoryBound(to: sockaddr_in6.self).baseAddress!
        pointer.pointee.sin6_family = sa_family_t(AF_INET6)
        pointer.pointee.sin6_port = port.bigEndian
        return (
          inet_pton(AF_INET6, address, &pointer.pointee.sin6_addr), MemoryLayout<sockaddr_in6>.size
        )
      }
    }
    guard parsed.0 == 1 else { throw SystemError("address \(address)", code: EINVAL) }
    return try withUnsafePointer(to: &storage) {
      try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        try body($0, socklen_t(parsed.1))
      }
    }
  }

  /// The endpoint that C fills in.
  public init(
    filledInBy body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) throws ->
      Void
  ) throws {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    try withUnsafeMutablePointer(to: &storage) {
      try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { try body($0, &length) }
    }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    let isIPv4 = storage.ss_family == sa_family_t(AF_INET)
    let port = withUnsafeBytes(of: &storage) { bytes -> UInt16 in
      if isIPv4 {
        var address = bytes.assumingMemoryBound(to: sockaddr_in.self)[0]
        inet_ntop(AF_INET, &address.sin_addr, &text, socklen_t(text.count))
        return UInt16(bigEndian: address.sin_port)
      }
      var address = bytes.assumingMemoryBound(to: sockaddr_in6.self)[0]
      inet_ntop(AF_INET6, &address.sin6_addr, &text, socklen_t(text.count))
      return UInt16(bigEndian: address.sin6_port)
    }
    let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    self.init(String(decoding: bytes, as: UTF8.self), port)
  }
}
