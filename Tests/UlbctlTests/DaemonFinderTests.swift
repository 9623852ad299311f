// Which daemon is meant, and what is said where there is none.
import Glibc
import HTTP
import SystemPackage
import TestSupport
import Testing

@testable import ulbctl

@Suite struct DaemonFinderTests {
  @Test func theOnlyDaemonNeedsNoName() throws {
    let machine = try Machine(listening: ["eth0"], gone: ["eth1"])
    #expect(try machine.finder.daemon(interface: nil, socket: nil) == machine.daemon("eth0"))
    #expect(machine.finder.all() == [machine.daemon("eth0"), machine.daemon("eth1")])
  }

  @Test func severalDaemonsAreNamed() throws {
    let machine = try Machine(listening: ["eth1", "eth0"])
    #expect(
      failure { try machine.finder.daemon(interface: nil, socket: nil) }
        == Failure(
          .usage, "several daemons run here, for eth0, eth1: choose one, such as -i eth0"))
    #expect(try machine.finder.daemon(interface: "eth1", socket: nil) == machine.daemon("eth1"))
    let socket = machine.daemon("eth0").socket
    #expect(
      try machine.finder.daemon(interface: "eth1", socket: socket)
        == DaemonFinder.Daemon(socket: socket))
  }

  @Test func itIsSaidWhichSocketsWereLookedFor() throws {
    let machine = try Machine()
    let directory = machine.finder.directory
    #expect(
      failure { try machine.finder.daemon(interface: nil, socket: nil) }
        == Failure(
          .noDaemon,
          "no daemon found: there is no socket \(directory)/*/control.sock; is one running "
            + "(systemctl status 'ulb@*')? A socket elsewhere is named with --socket"))
    #expect(
      failure { try machine.finder.daemon(interface: "eth0", socket: nil) }
        == Failure(
          .noDaemon,
          "no daemon answers: there is no socket \(directory)/eth0/control.sock; is it running "
            + "(systemctl status 'ulb@*'), and with a control socket (--control)?"))
  }

  @Test func anotherInterfaceIsToldWhichThereAre() throws {
    let machine = try Machine(listening: ["eth0", "eth1"])
    let missing = failure { try machine.finder.daemon(interface: "eth7", socket: nil) }
    #expect(missing?.kind == .noDaemon)
    #expect(missing?.description.hasSuffix("; there are daemons for eth0, eth1") == true)
  }

  @Test func aDaemonThatIsGoneIsSaidToBe() throws {
    let machine = try Machine(gone: ["eth0"])
    let gone = failure { try machine.finder.daemon(interface: nil, socket: nil) }
    #expect(gone == failure { try machine.finder.daemon(interface: "eth0", socket: nil) })
    #expect(gone?.kind == .noDaemon)
    #expect(gone?.description.contains("the one that made the socket is gone") == true)
  }

  @Test func whoMayNotIsToldTheGroup() throws {
    // Group 4 is Debian's adm on every machine.
    let machine = try Machine(listening: ["eth0"])
    let socket = machine.daemon("eth0").socket
    #expect(chown(socket, 0, 4) == 0)
    var finder = machine.finder
    finder.user = { User(name: "alice", groups: ["alice"]) }
    #expect(
      finder.failure(socket, .permissionDenied)
        == Failure(
          .refused,
          "no permission for \(socket): you are not in its group 'adm': sudo usermod -aG adm "
            + "alice, and log in again"))
    finder.user = { User(name: "alice", groups: ["alice", "adm"]) }
    #expect(
      finder.failure(socket, .permissionDenied).description.hasSuffix(
        "you are in its group 'adm' only since you logged in: log in again, or: newgrp adm"))
    #expect(chown(socket, 0, 0) == 0)
    #expect(
      finder.failure(socket, .permissionDenied)
        == Failure(.refused, "no permission for \(socket): only root may: sudo ulbctl …"))
  }

  /// One that is too busy to accept is there, and is not waited for.
  @Test func aDaemonWithAFullBacklogIsThere() throws {
    let machine = try Machine(listening: ["eth0"])
    let address = try UnixAddress(machine.daemon("eth0").socket)
    var waiting: [Int32] = []
    defer { for descriptor in waiting { close(descriptor) } }
    let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue)
    repeat {
      waiting.append(socket(AF_UNIX, type, 0))
    } while address.call {
      connect(waiting.last!, $0, $1)
    } == 0
    #expect(errno == EAGAIN)
    #expect(try machine.finder.daemon(interface: nil, socket: nil) == machine.daemon("eth0"))
    #expect(try machine.finder.daemon(interface: "eth0", socket: nil) == machine.daemon("eth0"))
  }

  @Test func aPathThatIsTooLongIsNotCut() throws {
    let path = "/tmp/" + String(repeating: "x", count: 200)
    #expect(
      failure { try DaemonFinder().daemon(interface: nil, socket: path) }?.description
        .contains("File name too long") == true)
  }
}

private func failure(_ body: () throws -> DaemonFinder.Daemon) -> Failure? {
  do {
    _ = try body()
    return nil
  } catch {
    return error as? Failure
  }
}

/// Control sockets that somebody listens on, or has left behind.
private final class Machine {
  let finder: DaemonFinder
  private let directory: TemporaryDirectory
  private var descriptors: [Int32] = []

  init(listening: [String] = [], gone: [String] = []) throws {
    directory = try TemporaryDirectory()
    finder = DaemonFinder(directory: directory.path)
    for interface in listening { descriptors.append(try listen(interface)) }
    for interface in gone { close(try listen(interface)) }
  }

  deinit { for descriptor in descriptors { close(descriptor) } }

  func daemon(_ interface: String) -> DaemonFinder.Daemon {
    DaemonFinder.Daemon(
      interface: interface, socket: "\(directory.path)/\(interface)/control.sock")
  }

  private func listen(_ interface: String) throws -> Int32 {
    guard mkdir("\(directory.path)/\(interface)", 0o755) == 0 else {
      throw Errno(rawValue: errno)
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    let bound = try UnixAddress(daemon(interface).socket).call { bind(descriptor, $0, $1) }
    guard bound == 0, Glibc.listen(descriptor, 4) == 0 else { throw Errno(rawValue: errno) }
    return descriptor
  }
}
