// What can go wrong between the daemon and its service manager. None of it is fatal to the daemon.

import SystemPackage

/// An error of ``Notifier``.
///
/// A service works without its manager hearing of it, so a caller logs this, best once, and goes on.
public enum SystemdError: Error, Equatable {
  /// `$NOTIFY_SOCKET` holds neither an absolute path nor an `@abstract` name that fits `sun_path`.
  case invalidAddress(String)
  /// A name for stored descriptors that sd_notify(3) does not allow.
  case invalidName(String)
  /// A number of descriptors that one datagram cannot carry (see ``Notifier/maximumDescriptors``).
  case invalidDescriptorCount(Int)
  /// A system call failed. `connectionRefused` and `noSuchFileOrDirectory`: nobody listens at
  /// `address` at present; `resourceTemporarilyUnavailable`: the manager is behind with reading.
  /// Sending again later may help with all three.
  case systemCall(String, address: String, errno: Errno)

  /// Whether the manager is there, and only behind with reading.
  public var isBusy: Bool {
    guard case .systemCall(_, _, let error) = self else { return false }
    return [.resourceTemporarilyUnavailable, .noBufferSpace].contains(error)
  }

  /// Whether the same may be taken when it is sent again.
  public var mayPass: Bool {
    guard case .systemCall(_, _, let error) = self else { return false }
    return ![.badFileDescriptor, .invalidArgument, .messageTooLong, .notPermitted].contains(error)
  }
}

extension SystemdError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidAddress(let address):
      "NOTIFY_SOCKET is '\(address)', which is neither an absolute path nor an @abstract name of"
        + " at most 107 bytes; unset it, or let systemd set it"
    case .invalidName(let name):
      "'\(name)' cannot name stored descriptors: use 1 to 255 printable ASCII characters and no ':'"
    case .invalidDescriptorCount(let count):
      "\(count) descriptors do not fit one datagram: send 1 to \(Notifier.maximumDescriptors)"
    case .systemCall(let call, let address, let error):
      "\(call) to the service manager at \(address) failed: \(error)"
    }
  }
}
