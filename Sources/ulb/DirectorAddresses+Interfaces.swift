// The addresses of this machine, asked of the kernel.
import Glibc
import LoadBalancing

extension DirectorAddresses {
  /// Those that all interfaces have now; none where the kernel does not tell.
  static func ofInterfaces() -> DirectorAddresses {
    var first: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&first) == 0 else { return DirectorAddresses() }
    defer { freeifaddrs(first) }
    var result = DirectorAddresses()
    var next = first
    while let entry = next?.pointee {
      next = entry.ifa_next
      if let address = IPAddress(entry.ifa_addr) { result.own.insert(address) }
      if entry.ifa_flags & UInt32(IFF_BROADCAST) != 0,
        let address = IPAddress(entry.ifa_ifu.ifu_broadaddr)
      {
        result.broadcast.insert(address)
      }
    }
    return result
  }
}

extension IPAddress {
  /// The address of a socket address; `nil` where there is none, or of another family.
  fileprivate init?(_ address: UnsafePointer<sockaddr>?) {
    guard let address else { return nil }
    let raw = UnsafeRawPointer(address)
    switch Int32(address.pointee.sa_family) {
    case AF_INET:
      let octets = raw.loadUnaligned(as: sockaddr_in.self).sin_addr
      self.init(octets: withUnsafeBytes(of: octets) { Array($0) })
    case AF_INET6:
      let octets = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
      self.init(octets: withUnsafeBytes(of: octets) { Array($0) })
    default: return nil
    }
  }
}
