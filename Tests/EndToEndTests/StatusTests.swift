// What the service manager and the log are told of reloads and of the interface.
import Foundation
import TestSupport
import Testing

@Suite struct StatusTests {
  /// Waits until the status that was told last satisfies a condition.
  private func expectStatus(
    _ daemon: Daemon, _ what: String, sourceLocation: SourceLocation = #_sourceLocation,
    where matches: (String) -> Bool
  ) {
    var status = ""
    let came = waitUntil(timeout: .seconds(20)) {
      status = daemon.notifications.assignments.last { $0.hasPrefix("STATUS=") } ?? ""
      return matches(status)
    }
    #expect(came, "\(what): \(status)", sourceLocation: sourceLocation)
  }

  @Test func theOutcomeOfEachReloadIsShown() throws {
    let service = try BalancedService(usingFile: true)
    let (daemon, file) = (service.daemon, try #require(service.configFile))
    let start =
      "STATUS=3 real server(s) behind \(Topology.virtualServer(.ipv4)), lb0 in native mode"
    expectStatus(daemon, "the start") { $0 == start }

    let good = try String(contentsOfFile: file.path, encoding: .utf8)
    try "nonsense\n".write(toFile: file.path, atomically: true, encoding: .utf8)
    expectStatus(daemon, "a file that is refused") {
      $0.hasPrefix(start + "; config file refused at ") && $0.contains(file.path)
        && $0.contains("line 1")
    }
    // The all-clear: the file is what is in force again.
    try good.write(toFile: file.path, atomically: true, encoding: .utf8)
    expectStatus(daemon, "a file that is mended") {
      $0.hasPrefix(start + "; config file unchanged at ")
    }
    try daemon.process.waitForLine(containing: "nothing has changed")

    unlink(file.path)
    expectStatus(daemon, "a file that is missing") {
      $0.contains("; config file refused at ") && $0.hasSuffix("No such file or directory")
    }
    try "[Real Servers]\n\(service.address(ofServer: 0))\n"
      .write(toFile: file.path, atomically: true, encoding: .utf8)
    expectStatus(daemon, "another list") {
      $0.hasPrefix("STATUS=1 real server(s)") && $0.contains("; config file applied at ")
    }
    #expect(try daemon.stop() == 0)
  }

  @Test func anInterfaceThatCarriesNothingIsSaid() throws {
    let service = try BalancedService()
    let daemon = service.daemon
    func link(_ namespace: NetworkNamespace, _ words: String) throws {
      let arguments =
        ["ip", "-n", namespace.name, "link"] + words.split(separator: " ").map(String.init)
      #expect(try ChildProcess(arguments).waitForExit() == 0)
    }
    let director = service.topology.director
    try link(director, "set lb0 down")
    try daemon.process.waitForLine(containing: "WARNING: the interface lb0 is down")
    expectStatus(daemon, "down") { $0.contains("; the interface lb0 is down since ") }
    try link(director, "set lb0 up")
    try daemon.process.waitForLine(containing: "The interface lb0 is up again.")
    expectStatus(daemon, "up") { $0.hasSuffix(" in native mode") }

    let peer = service.topology.gatewayInterface
    try link(peer.namespace, "set \(peer.name) down")
    try daemon.process.waitForLine(containing: "WARNING: the interface lb0 has no carrier")
    expectStatus(daemon, "no carrier") { $0.contains("; the interface lb0 has no carrier since ") }
    try link(peer.namespace, "set \(peer.name) up")
    expectStatus(daemon, "carrier") { $0.hasSuffix(" in native mode") }

    try service.topology.directorInterface.remove()
    expectStatus(daemon, "gone") {
      $0.contains(", lb0 without ulb's program; the interface lb0 is gone since ")
    }
    #expect(try daemon.stop() == 0)
  }
}
