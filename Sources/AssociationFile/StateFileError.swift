// Why the state file cannot be opened or saved, and why what is in it is not used.
import LoadBalancing
import SystemPackage

/// What is in the way of the state file: at the start it ends the start, at a save the last save
/// stays. Nothing was changed.
public enum StateFileError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What stands there is of another kind, such as `a directory`.
  case notRegular(path: String, kind: String)
  /// A regular file that ulb did not write.
  case foreign(path: String)
  /// Another process has locked it.
  case inUse(path: String)
  /// Somebody else has put another file in its place since the start.
  case replaced(path: String)
  /// A call of the system failed.
  case system(operation: String, path: String, errno: Errno)

  public var description: String {
    switch self {
    case .notRegular(let path, let kind):
      "the state file '\(path)' is \(kind), not a regular file, and left alone; "
        + "name another file with --state"
    case .foreign(let path):
      "'\(path)' is not a state file of ulb, and left alone; "
        + "move it away, or name another file with --state"
    case .inUse(let path):
      "the state file '\(path)' is in use by another ulb; name another file with --state"
    case .replaced(let path):
      "somebody else has put another file in the place of '\(path)'; "
        + "move it away, or restart ulb to use it"
    case .system(let operation, let path, let errno):
      "unable to \(operation) the state file '\(path)': \(errno)" + mend(errno)
    }
  }
}

/// Why a state file of ulb is not used.
public enum Refusal: Error, Sendable, Equatable, CustomStringConvertible {
  case newer(UInt32)
  case header
  case truncated
  case checksum
  /// Of no virtual server that is configured.
  ///
  /// - Parameters:
  ///   - commandLines: the family of the command line's; `nil` where there is none in the file.
  ///   - names: those of the others.
  case notConfigured(commandLines: AddressFamily?, names: [String])
  case unreadable(errno: Errno)

  public var description: String {
    switch self {
    case .newer(let version):
      "it has version \(version), this ulb knows versions up to \(Format.version)"
    case .header: "its header is damaged"
    case .truncated: "it ends too early or too late"
    case .checksum: "its checksum is wrong"
    case .notConfigured(let family, let names):
      "it is of " + virtualServers(commandLines: family, names: names)
    case .unreadable(let errno): "it cannot be read: \(errno)"
    }
  }
}

/// Whose clients they are.
private func virtualServers(commandLines family: AddressFamily?, names: [String]) -> String {
  let most = 8
  var parts: [String] = []
  if let family { parts.append("\(family) clients") }
  if !names.isEmpty {
    var list = names.prefix(most).joined(separator: ", ")
    if names.count > most { list += " and \(names.count - most) more" }
    parts.append("virtual servers that are not configured: \(list)")
  }
  return parts.joined(separator: " and of ")
}

/// What to do, where it does not go without saying.
private func mend(_ errno: Errno) -> String {
  switch errno {
  case .permissionDenied, .notPermitted:
    "; let ulb read and write it and its folder, or name another with --state"
  case .noSuchFileOrDirectory, .notDirectory: "; make its folder, or name another with --state"
  default: ""
  }
}
