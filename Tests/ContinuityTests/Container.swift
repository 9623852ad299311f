// A real systemd in a container with the real unit installed, and the director's wire put into it.
import Foundation
import LoadBalancing
import TestSupport
import Testing

/// A program of the test's own surroundings that did not do its work.
struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Runs a program that a test cannot go on without.
@discardableResult
func need(
  _ arguments: [String], in namespace: NetworkNamespace? = nil, timeout: Duration = patience
) throws -> String {
  let child = try ChildProcess(arguments, in: namespace)
  let status = try child.waitForExit(timeout: timeout)
  guard status == 0 else {
    throw Failure("\(arguments.joined(separator: " ")): status \(status)\n\(child.transcript)")
  }
  return child.standardOutput.joined(separator: "\n")
}

/// systemd in a container of scripts/systemd/container; it goes when nobody holds it any more.
final class Container: Sendable {
  let name: String
  /// Its systemd, as the test sees it.
  let leader: pid_t

  private static let script = Package.path("scripts/systemd/container")

  init(_ name: String) throws {
    self.name = name
    guard let leader = pid_t(try need([Self.script, "start", name])) else {
      throw Failure("the container does not say its process id")
    }
    self.leader = leader
  }

  deinit { _ = try? need([Self.script, "stop", name]) }

  /// The path of a file of the container outside of it.
  func path(_ inside: String) -> String { "/proc/\(leader)/root\(inside)" }

  /// Runs a command inside that the test cannot go on without.
  @discardableResult
  func run(_ command: String...) throws -> String { try run(command) }

  @discardableResult
  func run(_ command: [String]) throws -> String {
    try need([Self.script, "exec", name] + command)
  }

  /// The process id outside of a process that has this one inside.
  func process(_ inside: pid_t) throws -> pid_t {
    let files = FileManager.default
    let namespace = try files.destinationOfSymbolicLink(atPath: "/proc/\(leader)/ns/pid")
    for entry in try files.contentsOfDirectory(atPath: "/proc") {
      guard let pid = pid_t(entry),
        (try? files.destinationOfSymbolicLink(atPath: "/proc/\(pid)/ns/pid")) == namespace,
        let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
        let line = status.split(separator: "\n").first(where: { $0.hasPrefix("NSpid:") }),
        line.split(whereSeparator: \.isWhitespace).last.flatMap({ pid_t($0) }) == inside
      else { continue }
      return pid
    }
    throw Failure("no process \(inside) in the container")
  }
}

extension Container {
  /// The director's namespace becomes the container's, under the same name, and its interface one of
  /// the container's.
  func take(_ topology: Topology, interface: String = "lb0") throws {
    let name = topology.director.name
    try need(["ip", "-n", name, "link", "set", "lb0", "netns", String(leader), "name", interface])
    try need(["ip", "netns", "delete", name])
    try need(["ip", "netns", "attach", name, String(leader)])
    try topology.director.run {
      for setting in ["all/disable_ipv6", "default/disable_ipv6", "all/accept_dad"] {
        try "0".write(
          toFile: "/proc/sys/net/ipv6/conf/\(setting)", atomically: false,
          encoding: .utf8)
      }
    }
    try Topology.setUpDirector(in: topology.director, interface: interface)
  }
}

/// ulb@lb0.service under a real systemd, with real servers behind it.
final class Unit {
  static let name = "ulb@lb0.service"

  let topology: Topology
  let container: Container

  /// - Parameters:
  ///   - options: ULB_OPTIONS.
  ///   - dropIn: lines that change the unit.
  ///   - install: puts programs and unit into the container.
  init(
    servers: Int = 3, options: String? = nil, dropIn: String? = nil,
    install: (Container) throws -> Void = Unit.installBuilt(in:)
  ) throws {
    topology = try Topology(realServers: servers)
    container = try Container(topology.director.name)
    try container.take(topology)
    try install(container)
    if let dropIn {
      try FileManager.default.createDirectory(
        atPath: container.path("/etc/systemd/system/ulb@.service.d"),
        withIntermediateDirectories: true)
      try write("[Service]\n\(dropIn)\n", to: "/etc/systemd/system/ulb@.service.d/test.conf")
    }
    try setOptions(options ?? Unit.options())
    try list((0..<servers).map { Topology.realServer($0, .ipv4) })
    try container.run("systemctl", "daemon-reload")
  }

  /// What was built together with the tests, as the packages install it.
  private static func installBuilt(in container: Container) throws {
    let files = FileManager.default
    try files.createDirectory(
      atPath: container.path("/etc/ulb"), withIntermediateDirectories: true)
    for program in [Package.executable, Package.operatorCommand] {
      let name = URL(fileURLWithPath: program).lastPathComponent
      try files.copyItem(atPath: program, toPath: container.path("/usr/bin/\(name)"))
    }
    try files.copyItem(
      atPath: Package.path("debian/ulb@.service"),
      toPath: container.path("/etc/systemd/system/ulb@.service"))
    try container.run("systemd-sysusers", "--inline", #"u ulb - "UDP load balancer""#)
  }

  static func options(_ family: AddressFamily = .ipv4, _ more: String = "") -> String {
    "-vs \(Topology.virtualServer(family)) -cfg /etc/ulb/lb0.servers -p \(Network.port) \(more)"
  }

  func write(_ text: String, to path: String) throws {
    let new = container.path(path + ".new")
    try text.write(toFile: new, atomically: false, encoding: .utf8)
    guard rename(new, container.path(path)) == 0 else { throw SystemError("rename to \(path)") }
  }

  func setOptions(_ options: String) throws {
    try write("ULB_OPTIONS=\"\(options)\"\n", to: "/etc/ulb/lb0.conf")
  }

  /// Writes the config file.
  func list(_ servers: [String], settings: String = "") throws {
    let section = settings.isEmpty ? "" : "[ulb]\n\(settings)\n"
    try write(
      section + "[Real Servers]\n" + servers.joined(separator: "\n") + "\n",
      to: "/etc/ulb/lb0.servers")
  }

  func systemctl(_ verb: String) throws { try container.run("systemctl", verb, Unit.name) }

  func property(_ name: String) throws -> String {
    try container.run("systemctl", "show", "--value", "--property", name, Unit.name)
  }

  /// The process id inside the container; 0 where it does not run.
  func mainPID() throws -> pid_t { pid_t(try property("MainPID")) ?? 0 }

  /// Sends a signal to the running daemon itself.
  func signal(_ signal: Int32) throws {
    guard kill(try container.process(mainPID()), signal) == 0 else { throw SystemError("kill") }
  }

  /// Waits until another process than `former` serves.
  func waitForSuccessor(of former: pid_t) throws {
    let came = try waitUntil {
      let state = try container.run(
        "systemctl", "show", "--property", "MainPID,ActiveState", Unit.name)
      let isNew = !state.contains("MainPID=\(former)\n") && !state.hasSuffix("MainPID=\(former)")
      if isNew, !state.contains("MainPID=0"), state.contains("ActiveState=active") { return true }
      usleep(200_000)
      return false
    }
    guard came else { throw TimedOut("another process after \(former):\n\(try journal())") }
  }

  func journal() throws -> String {
    try container.run("journalctl", "--no-pager", "--output=cat", "--unit", Unit.name)
  }

  /// Waits for a line of the journal.
  func waitForJournal(_ text: String, times: Int = 1) throws {
    let came = try waitUntil {
      if try journal().components(separatedBy: text).count > times { return true }
      usleep(200_000)
      return false
    }
    guard came else { throw TimedOut("\"\(text)\" in the journal:\n\(try journal())") }
  }
}
