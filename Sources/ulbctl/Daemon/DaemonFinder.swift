// Which daemon a command speaks with. Knows the control sockets' places, and nothing of what is
// said there.
import Glibc
import HTTP
import SystemPackage

/// Finds the control socket of the daemon that is meant.
struct DaemonFinder: Sendable {
  /// A folder for each interface, with the socket in it.
  var directory = "/run/ulb"
  var user: @Sendable () -> User = { .current }

  static let socketName = "control.sock"

  /// Where a daemon listens, and the interface that it balances, where that is known.
  struct Daemon: Sendable, Equatable {
    var interface: String?
    var socket: String
  }

  /// The daemon that is named, or the only one.
  ///
  /// - Parameters:
  ///   - interface: what it balances.
  ///   - socket: where it listens; wins over an interface.
  /// - Throws: ``Failure`` that says where was looked, and what to do.
  func daemon(interface: String?, socket: String?) throws(Failure) -> Daemon {
    if let socket { return try reachable(Daemon(socket: socket)) }
    if let interface { return try reachable(daemon(of: interface)) }
    let daemons = all()
    let answers = daemons.map { ($0, probe($0.socket)) }
    let running = answers.filter { $0.1 == nil }.map(\.0)
    switch running.count {
    case 1: return running[0]
    case 2...:
      let names = running.compactMap(\.interface)
      throw Failure(
        .usage,
        "several daemons run here, for \(names.joined(separator: ", ")): choose one, "
          + "such as -i \(names[0])")
    default: break
    }
    guard let (daemon, error) = answers.first(where: { $0.1 == .permissionDenied }) ?? answers.first
    else {
      throw Failure(
        .noDaemon,
        "no daemon found: there is no socket \(directory)/*/\(Self.socketName); is one running "
          + "(systemctl status 'ulb@*')? A socket elsewhere is named with --socket")
    }
    throw failure(daemon.socket, error!)
  }

  /// All daemons that may run on this machine, by interface.
  func all() -> [Daemon] {
    guard let folder = opendir(directory) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted().map(daemon(of:)).filter {
      var information = stat()
      // A folder that may not be entered is one to speak of.
      return stat($0.socket, &information) == 0 || errno == EACCES
    }
  }

  private func daemon(of interface: String) -> Daemon {
    Daemon(interface: interface, socket: "\(directory)/\(interface)/\(Self.socketName)")
  }

  private func reachable(_ daemon: Daemon) throws(Failure) -> Daemon {
    if let error = probe(daemon.socket) { throw failure(daemon.socket, error) }
    return daemon
  }

  /// - Returns: why nobody can be spoken with at a socket; nothing where somebody listens.
  private func probe(_ path: String) -> Errno? {
    do throws(Errno) { return try UnixAddress(path).probe() } catch { return error }
  }

  /// Why there is nobody to speak with at a socket, and what to do.
  func failure(_ socket: String, _ error: Errno) -> Failure {
    switch error {
    case .noSuchFileOrDirectory, .notDirectory:
      let others = all().compactMap(\.interface)
      let hint =
        others.isEmpty
        ? "is it running (systemctl status 'ulb@*'), and with a control socket (--control)?"
        : "there are daemons for \(others.joined(separator: ", "))"
      return Failure(.noDaemon, "no daemon answers: there is no socket \(socket); \(hint)")
    case .connectionRefused:
      return Failure(
        .noDaemon,
        "no daemon answers at \(socket): the one that made the socket is gone; start it "
          + "(systemctl start ulb@INTERFACE)")
    case .permissionDenied:
      return Failure(.refused, "no permission for \(socket): \(permissionHint(socket))")
    case .resourceTemporarilyUnavailable:
      return Failure(.noDaemon, "no daemon answers at \(socket): too many wait for it; try again")
    default:
      return Failure(.noDaemon, "no daemon answers at \(socket): \(error)")
    }
  }

  /// Who may, and how to become one of them.
  private func permissionHint(_ socket: String) -> String {
    var information = stat()
    // Who may not enter the folder is told of the folder's group.
    let folder = socket.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    guard
      stat(socket, &information) == 0 || stat(folder.joined(separator: "/"), &information) == 0,
      information.st_gid != 0, let group = User.groupName(information.st_gid)
    else { return "only root may: sudo ulbctl …" }
    let user = user()
    if user.groups.contains(group) {
      return "you are in its group '\(group)' only since you logged in: log in again, "
        + "or: newgrp \(group)"
    }
    return "you are not in its group '\(group)': sudo usermod -aG \(group) \(user.name), and log "
      + "in again"
  }
}

/// Who asks.
struct User: Sendable {
  var name: String
  /// Groups that the system's database has it in.
  var groups: Set<String>

  static var current: User {
    guard let entry = getpwuid(geteuid()) else { return User(name: "\(geteuid())", groups: []) }
    let name = String(cString: entry.pointee.pw_name)
    var count: Int32 = 256
    var numbers = [gid_t](repeating: 0, count: Int(count))
    guard getgrouplist(name, entry.pointee.pw_gid, &numbers, &count) >= 0 else {
      return User(name: name, groups: [])
    }
    return User(name: name, groups: Set(numbers.prefix(Int(count)).compactMap(groupName)))
  }

  static func groupName(_ number: gid_t) -> String? {
    getgrgid(number).map { String(cString: $0.pointee.gr_name) }
  }
}
