// The section [ulb] of the config file changes the program of a running daemon, or fails to.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite struct LiveSettingsTests {
  private static let other: UInt16 = 5_684

  /// A director whose own kernel answers on both ports, and so do the real servers.
  private func everywhere(_ stage: Stage) throws -> [UDPEchoServer] {
    let address = stage.network.virtualServer.address
    let own = try [Network.port, Self.other].map {
      try UDPEchoServer(
        named: "stage", in: stage.topology.director, address: address, port: $0)
    }
    return own
      + (try stage.topology.realServers.indices.map { number in
        try UDPEchoServer(
          named: "srv\(number + 1)", in: stage.topology.realServers[number],
          address: stage.network.addresses([number])[0], port: Self.other)
      })
  }

  @Test(arguments: AddressFamily.allCases)
  func settingsOfARunningDaemon(_ family: AddressFamily) throws {
    let stage = try Stage(family)
    let network = stage.network
    let others = try everywhere(stage)
    let daemon = try stage.start()
    let process = daemon.process
    let clients = try network.newClients(4)
    let servers = network.servers(of: clients)
    #expect(servers == ["srv1", "srv2", "srv3", "srv1"])
    let none = ["stage", "stage", "stage", "stage"]
    #expect(network.servers(of: clients, port: Self.other) == none)
    let swapped = "Program compiled anew and swapped in"
    var swaps = 0
    func wait() throws {
      swaps += 1
      #expect(waitUntil { daemon.count(swapped) == swaps }, "\(process.transcript)")
    }

    // Both ports; the clients stay where they are on either.
    try stage.list([0, 1, 2], settings: "port = 5683, 5684")
    try wait()
    #expect(network.servers(of: clients, port: Self.other) == servers)
    #expect(network.servers(of: clients) == servers)
    // The new port in the place of the old one, and at SIGHUP.
    try stage.list([0, 1, 2], settings: "port = 5684")
    process.send(signal: SIGHUP)
    try daemon.waitForNotification("READY=1", times: 2)
    try wait()
    #expect(network.servers(of: clients, port: Self.other) == servers)
    #expect(network.servers(of: clients) == none)
    // Another level, with the servers' list changed in one go.
    try stage.list([0, 1], settings: "port = 5684\nloglevel = DEBUG\n")
    try wait()
    #expect(network.servers(of: [clients[0], clients[1]], port: Self.other) == ["srv1", "srv2"])
    try process.waitForLine(containing: "(REUSED ASSOCIATION)")
    // libbcc's dump and trace points.
    try stage.list([0, 1, 2], settings: "debug = 4")
    try wait()
    let isDumped = waitUntil {
      process.standardError.contains { $0.contains("BPF_TABLE") || $0.contains("struct") }
    }
    #expect(isDumped)
    #expect(network.servers(of: clients) == [servers[0], servers[1], servers[2], servers[3]])

    // The command line's own values again.
    try stage.list([0, 1, 2])
    try wait()
    let lines = process.lines.count
    #expect(network.servers(of: clients) == servers)
    #expect(network.servers(of: clients, port: Self.other) == none)
    Thread.sleep(forTimeInterval: 1)
    #expect(process.lines.dropFirst(lines).isEmpty, "\(process.transcript)")
    #expect(daemon.errors == [])
    #expect(try daemon.stop() == 0)
    withExtendedLifetime(others) {}
  }

  @Test(arguments: [
    ("loglevel = LOUD", "line 2", "no such level"), ("debug = 5", "line 2", "no such verbosity"),
    ("loglevel = INFO\nport = 0", "line 3", "no port number"),
    ("speed = 9", "line 2", "no such setting"),
    ("port = 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "too many ports", "-mp"),
  ])
  func wrongSettings(_ settings: String, _ place: String, _ reason: String) throws {
    let stage = try Stage()
    let network = stage.network
    let daemon = try stage.start()
    let clients = try network.newClients(3)
    #expect(network.servers(of: clients) == ["srv1", "srv2", "srv3"])
    let program = try #require(try stage.topology.directorInterface.xdpProgram())
    // What else the file says is not applied either.
    try stage.list([2], settings: settings)
    try daemon.process.waitForLine(containing: "Unable to load config file")
    Thread.sleep(forTimeInterval: 1.5)
    #expect(daemon.errors.count == 1)
    for word in [stage.file, place, reason] {
      #expect(daemon.errors[0].contains(word), "\(word) in \(daemon.errors)")
    }
    #expect(network.servers(of: clients) == ["srv1", "srv2", "srv3"])
    #expect(try stage.topology.directorInterface.xdpProgram() == program)
    try stage.list([2], settings: "loglevel = INFO")
    try network.waitForListing(["srv3"])
    #expect(try stage.topology.directorInterface.xdpProgram() != program)
    #expect(try daemon.stop() == 0)
  }

  enum Compilation: String, CaseIterable { case noFolder, noHeaders, brokenHeaders }

  @Test(arguments: Compilation.allCases)
  func compilationFails(_ fault: Compilation) throws {
    let stage = try Stage()
    let network = stage.network
    let folder = stage.path("folder")
    let hidden = stage.path("hidden")
    var environment = ["RUNTIME_DIRECTORY": folder]
    if fault == .noFolder {
      try need(["mkdir", folder])
    } else {
      try need(["cp", "-r", Package.path("bpf-templates/kernel-headers"), folder])
      environment = [
        "BCC_KERNEL_SOURCE": folder,
        "C_INCLUDE_PATH": "/usr/include:/usr/include/\(Self.machine)-linux-gnu",
      ]
    }
    let daemon = try stage.start(environment: environment)
    let clients = try network.newClients(3)
    #expect(network.servers(of: clients) == ["srv1", "srv2", "srv3"])
    let program = try #require(try stage.topology.directorInterface.xdpProgram())

    switch fault {
    case .noFolder, .noHeaders: try need(["mv", folder, hidden])
    case .brokenHeaders:
      try need(["cp", "-r", folder, hidden])
      try "#error broken on purpose\n".write(
        toFile: folder + "/include/linux/log2.h", atomically: true, encoding: .utf8)
      try "#error broken on purpose\n".write(
        toFile: folder + "/include/linux/kconfig.h", atomically: true, encoding: .utf8)
    }
    try stage.list([0, 1, 2], settings: "loglevel = DEBUG")
    try daemon.process.waitForLine(containing: "Unable to apply config file \(stage.file)")
    Thread.sleep(forTimeInterval: 1.5)
    #expect(daemon.errors.count == 1, "\(daemon.process.transcript)")
    let reason = fault == .brokenHeaders ? "broken on purpose" : folder
    #expect(daemon.process.transcript.contains(reason), "\(daemon.process.transcript)")
    #expect(network.servers(of: clients) == ["srv1", "srv2", "srv3"])
    #expect(try stage.topology.directorInterface.xdpProgram() == program)
    #expect(daemon.count("ASSOCIATION)") == 0)

    try need(["rm", "-rf", folder])
    try need(["mv", hidden, folder])
    daemon.process.send(signal: SIGHUP)
    try daemon.process.waitForLine(containing: "Program compiled anew and swapped in")
    #expect(network.servers(of: clients) == ["srv1", "srv2", "srv3"])
    try daemon.process.waitForLine(containing: "(REUSED ASSOCIATION)")
    #expect(try daemon.stop() == 0)
  }

  private static var machine: String {
    #if arch(arm64)
      "aarch64"
    #else
      "x86_64"
    #endif
  }
}
