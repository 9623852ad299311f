// How a network interface is, and when that may have changed: rtnetlink(7), netdevice(7).
import CLinux
import Glibc
import SystemPackage

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
  let descriptor: FileDescriptor

  /// Asks for the news; they cannot be had where that fails.
  init() throws(Errno) {
    let kind = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let number = socket(AF_NETLINK, kind, NETLINK_ROUTE)
    guard number >= 0 else { throw Errno(rawValue: errno) }
    descriptor = FileDescriptor(rawValue: number)
    var address = sockaddr_nl()
    address.nl_family = sa_family_t(AF_NETLINK)
    address.nl_groups = UInt32(RTMGRP_LINK)
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(number, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
      }
    }
    // What fails here is closed by the end of this object.
    guard status == 0 else { throw Errno(rawValue: errno) }
  }

  deinit { try? descriptor.close() }

  /// Forgets the news so far. What they say is asked for anew, so that none that was lost matters.
  func clear() {
    var buffer = [UInt8](repeating: 0, count: 8192)
    while recv(descriptor.rawValue, &buffer, buffer.count, Int32(MSG_DONTWAIT)) > 0
      || Errno(rawValue: errno) == .noBufferSpace
    {}
  }

  /// How the interface of this number is.
  func state(of index: UInt32) -> InterfaceState {
    var request = ifreq()
    // if_indextoname(3) would make a socket for it each time.
    request.ifr_ifru.ifru_ivalue = Int32(bitPattern: index)
    guard ioctl(descriptor.rawValue, UInt(SIOCGIFNAME), &request) == 0,
      ioctl(descriptor.rawValue, UInt(SIOCGIFFLAGS), &request) == 0
    else { return .absent }
    let flags = Int32(request.ifr_ifru.ifru_flags)
    guard flags & Int32(IFF_UP) != 0 else { return .down }
    return flags & Int32(IFF_RUNNING) == 0 ? .withoutCarrier : .up
  }
}
