// Why a request was not answered.
import SystemPackage

/// An error of ``HTTPClient`` and of a response's body. The first value is the server's name: its
/// socket's path, or host and port.
public enum HTTPClientError: Error, Equatable {
  /// `noSuchFileOrDirectory` and `connectionRefused`: nobody listens; `permissionDenied`: who asks
  /// may not write to the socket.
  case cannotConnect(String, Errno)
  /// The name resolver knows no address.
  case unknownHost(String)
  /// No answer in the time that the client gives.
  case timedOut(String)
  /// What came is no response of HTTP/1.
  case notHTTP(String)
  /// The connection ended before the response did.
  case connectionLost(String)
  /// The body is longer than who collects it wants: a number of bytes.
  case tooLong(String, limit: Int)
  /// The task was cancelled.
  case cancelled
}

extension HTTPClientError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .cannotConnect(let name, let error): "cannot connect to \(name): \(error)"
    case .unknownHost(let name): "cannot connect to \(name): the host is not known"
    case .timedOut(let name): "\(name) does not answer"
    case .notHTTP(let name): "what \(name) answers is not HTTP; is it the right one?"
    case .connectionLost(let name):
      "\(name) has closed the connection before its answer was complete"
    case .tooLong(let name, let limit): "the answer of \(name) is longer than \(limit) bytes"
    case .cancelled: "cancelled"
    }
  }
}
