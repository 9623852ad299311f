// Why Redis cannot be asked.
import SystemPackage

/// An error of a connection. The first value is what the server is called in messages.
public enum RedisError: Error, Sendable, Equatable {
  case cannotConnect(String, Errno)
  /// The name resolver knows no address.
  case unknownHost(String)
  case timedOut(String)
  /// The server has ended the connection, or the network has.
  case connectionLost(String)
  /// TLS cannot be had: what is wrong with the server's certificate or with ours.
  case insecure(String, String)
  /// What came is not Redis' protocol: a TLS port, or another service's.
  case notRedis(String)
  /// A command was answered with an error: `WRONGPASS invalid username-password pair`.
  case refused(String, String)
  /// No Sentinel names a master: the master's name, and what the last Sentinel said.
  case noMaster(String, String)

  /// Whether Redis is there and reads its data set, which ends by itself.
  public var isLoading: Bool {
    if case .refused(_, let line) = self { line.hasPrefix("LOADING") } else { false }
  }
}

extension RedisError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .cannotConnect(let name, let error): "cannot connect to \(name): \(error)"
    case .unknownHost(let name): "cannot connect to \(name): the host is not known"
    case .timedOut(let name): "\(name) does not answer"
    case .connectionLost(let name): "\(name) has closed the connection"
    case .insecure(let name, let reason): "no TLS with \(name): \(reason)"
    case .notRedis(let name):
      "what \(name) answers is not Redis' protocol; is it the right port, and is TLS set as it is there?"
    case .refused(let name, let line): "\(name) answers: \(line)\(Self.mend(line))"
    case .noMaster(let name, let reason): "no Sentinel knows the master of '\(name)': \(reason)"
    }
  }

  /// What the operator can do about an error of Redis.
  private static func mend(_ line: String) -> String {
    switch line.prefix(while: { $0 != " " }) {
    case "WRONGPASS": "; see username and password_file"
    case "NOAUTH": "; set password_file"
    case "ERR" where line.contains("AUTH"): "; see username and password_file"
    case "ERR" where line.contains("DB index"): "; see the database's number"
    case "MOVED": "; name that server, or one that is no cluster"
    case "READONLY": "; it is a replica: name its master, or set sentinel"
    case "OOM": "; give it more (maxmemory)"
    case "NOPERM": "; give the user the right (ACL SETUSER)"
    default: ""
    }
  }
}
