// The completions of ulbctl's command line, asked from the shells themselves, beside a daemon that answers.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite struct CompletionTests {
  /// With the completion that ulbctl prints, where the shell finds it.
  private func folder(for shell: CompletingShell) async throws -> TemporaryDirectory {
    let script = try await ulbctl("completion", shell.rawValue)
    #expect(script.status == 0)
    let folder = try TemporaryDirectory()
    let file = folder.path(of: shell.fileName(of: "ulbctl"))
    try Data((script.standardOutput + "\n").utf8).write(to: URL(fileURLWithPath: file))
    return folder
  }

  @Test(arguments: CompletingShell.allCases)
  func ulbctlIsCompletedIn(_ shell: CompletingShell) async throws {
    let folder = try await folder(for: shell)
    let socket = try AnsweringSocket()
    let directory = try TemporaryDirectory()
    for name in ["eth0.servers", "eth0.sock"] {
      try Data().write(to: URL(fileURLWithPath: directory.path(of: name)))
    }
    // The verb stands behind what says which daemon is meant, and before it.
    let named = "--socket \(socket.path)"
    let lines = [
      "ulbctl ", "ulbctl dr", "ulbctl -i eth0 dr", "ulbctl --json --interface=eth0 dr",
      "ulbctl \(named) dr",
      "ulbctl clients --order ", "ulbctl -i eth0 clients --class ", "ulbctl completion ",
      "ulbctl check ", "ulbctl --json check ", "ulbctl reload --socket ", "ulbctl --socket ",
      "ulbctl events --event INGRESS_N", "ulbctl status --no",
      "ulbctl clients --limit ", "ulbctl client ", "ulbctl serve --listen ",
      "ulbctl drain \(named) ", "ulbctl \(named) drain ",
      "ulbctl \(named) clients --virtual-server ",
      "ulbctl clients \(named) --server ", "ulbctl \(named) move 10.50.0.2:5683 fd70:1",
      "ulbctl drain --socket /nowhere ",
    ]
    let offered = try await elsewhere {
      try shell.completions(
        of: lines, from: folder.path, in: directory.path,
        path: Package.executables)
    }
    await socket.stop()

    let verbs: Set = [
      "status", "servers", "clients", "client", "counters", "watch", "trace", "events", "health",
      "drain", "up", "down", "weight", "forget", "move", "reload", "check", "serve", "completion",
    ]
    #expect(verbs.isSubset(of: offered["ulbctl "]!))
    for line in lines where line.hasSuffix(" dr") { #expect(offered[line] == ["drain"], "\(line)") }
    #expect(offered["ulbctl clients --order "] == ["idle", "table"])
    #expect(offered["ulbctl -i eth0 clients --class "] == ["answered", "newcomer", "resident"])
    #expect(offered["ulbctl completion "] == ["bash", "fish", "zsh"])
    #expect(offered["ulbctl status --no"] == ["--no-rate"])
    let events = Event.allCases.map(\.name).filter { $0.hasPrefix("INGRESS_N") }.sorted()
    #expect(offered["ulbctl events --event INGRESS_N"] == events)
    // Files, and sockets alone where a socket is meant.
    for line in ["ulbctl check ", "ulbctl --json check "] {
      #expect(offered[line] == ["eth0.servers", "eth0.sock"], "\(line)")
    }
    for line in ["ulbctl reload --socket ", "ulbctl --socket "] {
      #expect(offered[line] == ["eth0.sock"], "\(line)")
    }
    // What nobody can know.
    for line in ["ulbctl clients --limit ", "ulbctl client ", "ulbctl serve --listen "] {
      #expect(offered[line] == [], "\(line)")
    }
    // What the daemon tells; nothing where none answers.
    let servers = Sample.virtualServers.flatMap(\.realServers).map(\.address).sorted()
    for line in [
      "ulbctl drain \(named) ", "ulbctl \(named) drain ", "ulbctl clients \(named) --server ",
    ] {
      #expect(offered[line] == servers, "\(line)")
    }
    #expect(
      offered["ulbctl \(named) clients --virtual-server "]
        == Sample.virtualServers.map(\.name).sorted())
    #expect(offered["ulbctl \(named) move 10.50.0.2:5683 fd70:1"] == ["fd70:1::2"])
    #expect(offered["ulbctl drain --socket /nowhere "] == [])
  }

  /// Where daemons are, in a /run of the test's own.
  @Test(arguments: CompletingShell.allCases)
  func interfacesAreThoseOfDaemons(_ shell: CompletingShell) async throws {
    let folder = try await folder(for: shell)
    let directory = try TemporaryDirectory()
    let lines = [
      "ulbctl status -i ", "ulbctl -i ", "ulbctl --json -i e", "ulbctl drain --interface ",
    ]
    let offered = try await elsewhere {
      try shell.completions(
        of: lines, from: folder.path, in: directory.path,
        path: Package.executables,
        preparation: """
          mount -t tmpfs tmpfs /run
          mkdir -p /run/ulb/eth7 /run/ulb/br-lan /run/ulb/gone
          touch /run/ulb/eth7/control.sock /run/ulb/br-lan/control.sock
          """)
    }
    for line in lines {
      #expect(offered[line] == (line.hasSuffix("e") ? ["eth7"] : ["br-lan", "eth7"]), "\(line)")
    }
  }
}
