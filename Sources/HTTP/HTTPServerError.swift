// Why a server could not begin to listen.
import SystemPackage

/// An error of ``HTTPServer/start(on:)``.
public enum HTTPServerError: Error, Equatable {
  /// Another process answers on this Unix socket.
  case inUse(String)
  /// Something that is not a socket has the path.
  case notASocket(String)
  /// The path is empty, or longer than a Unix socket's address can hold (107 bytes).
  case pathTooLong(String)
  case unknownGroup(String)
  /// Not an IPv4 or IPv6 address.
  case invalidAddress(String)
  /// A call of the system failed on the path, the address or the group's name.
  case systemCall(String, on: String, errno: Errno)
  /// ``HTTPServer/start(on:)`` was called before.
  case alreadyStarted
}

extension HTTPServerError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .inUse(let path):
      "another process listens on \(path); stop it, or choose another path"
    case .notASocket(let path):
      "\(path) is there and is no socket; remove it, or choose another path"
    case .pathTooLong(let path):
      "'\(path)' cannot be a socket's path: use 1 to \(UnixAddress.longestPath) bytes"
    case .unknownGroup(let name):
      "there is no group '\(name)'; make it (addgroup --system \(name)), or name another"
    case .invalidAddress(let address):
      "'\(address)' is neither an IPv4 nor an IPv6 address"
    case .systemCall(let call, let name, let error):
      "cannot listen on \(name): \(call): \(error)"
    case .alreadyStarted: "the server listens already"
    }
  }
}
