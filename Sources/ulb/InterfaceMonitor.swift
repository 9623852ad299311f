// How a network interface is, and when that may have changed: rtnetlink(7), netdevice(7).
import CLinux
import Glibc

/// What an interface can do with packets now.
enum InterfaceState: Equatable {
  case up
  /// Up, but what it is connected to is not.
  case withoutCarrier
  /// Taken down by an administrator.
  case down
  /// Not in this network namespace.
  case absent

  /// What keeps packets from an interface of this name, in words; `nil` where nothing does.
  func fault(of name: String) -> String? {
    switch self {
    case .up: nil
    case .withoutCarrier: "the interface \(name) has no carrier"
    case .down: "the interface \(name) is down"
    case .absent: "the interface \(name) is in another network namespace"
    }
  }
}

/// The kernel's news of the interfaces of this network namespace.
final class InterfaceMonitor {
  /// Lent for poll(2): ready to be read when an interface may have changed.
  let descriptor: Int32

  /// `nil`, with `errno`, where the kernel's news cannot be had.
  init?() {
    let kind = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    descriptor = socket(AF_NETLINK, kind, NETLINK_ROUTE)
    guard descriptor >= 0 else { return nil }
    var address = sockaddr_nl()
    address.nl_family = sa_family_t(AF_NETLINK)
    address.nl_groups = UInt32(RTMGRP_LINK)
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
      }
    }
    guard status == 0 else {
      let number = errno
      close(descriptor)
      errno = number
      return nil
    }
  }

  deinit { close(descriptor) }

  /// Forgets the news so far. What they say is asked for anew, so that none that was lost matters.
  func clear() {
    var buffer = [UInt8](repeating: 0, count: 8192)
    while recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT)) > 0 || errno == ENOBUFS {}
  }

  /// How the interface of this number is.
  func state(of index: UInt32) -> InterfaceState {
    var request = ifreq()
    let isNamed = withUnsafeMutableBytes(of: &request.ifr_ifrn) {
      if_indextoname(index, $0.baseAddress!.assumingMemoryBound(to: CChar.self)) != nil
    }
    guard isNamed, ioctl(descriptor, UInt(SIOCGIFFLAGS), &request) == 0 else { return .absent }
    let flags = Int32(request.ifr_ifru.ifru_flags)
    guard flags & Int32(IFF_UP) != 0 else { return .down }
    return flags & Int32(IFF_RUNNING) == 0 ? .withoutCarrier : .up
  }
}
