// What a config file's content changes is told alike to who applies it and to who only asks.
import LoadBalancing
import Testing

@testable import ulb

@Suite struct ConfigFileChangeTests {
  private static let configuration = Configuration(
    interface: "eth0", virtualServer: IPAddress("192.0.2.1")!,
    realServers: [IPAddress("198.51.100.2")!, IPAddress("198.51.100.3")!], ports: [5683])

  private static func change(
    _ text: String, in configuration: Configuration = configuration
  ) throws -> ConfigFileChange {
    try ConfigFileChange(Array(text.utf8), named: "servers", in: configuration)
  }

  @Test func whatIsInForceAlreadyChangesNothing() throws {
    let change = try Self.change("[Real Servers]\n198.51.100.2\n198.51.100.3\n")
    #expect(!change.isChange)
    #expect(!change.needsProgram)
    #expect(change.messages(isRecompiled: false) == [])
    #expect(change.warnings == [])
  }

  /// The program first, then the virtual servers, then what the control socket had set.
  @Test func changesAreToldInTheirOrderAndWarningsApart() throws {
    var configuration = Self.configuration
    configuration.overrides.set(
      state: .down, weight: nil, of: IPAddress("198.51.100.3")!,
      behind: configuration.virtualServers[0])
    let change = try Self.change(
      "[Real Servers]\n198.51.100.2\n[ulb]\nloglevel=DEBUG\n[Virtual Server]\n198.51.100.9\n",
      in: configuration)
    #expect(change.isChange)
    #expect(change.needsProgram)
    let messages = change.messages(isRecompiled: change.needsProgram)
    #expect(
      messages.map(\.text) == [
        "Program compiled anew and swapped in: \(change.after.effective.liveSummary).",
        "New config applied: 1 real server(s); removed 198.51.100.3.",
        "Real server 198.51.100.3 of 192.0.2.1: what the control socket had set has ended: it is no "
          + "longer listed.",
      ])
    #expect(messages.map(\.virtualServer) == [nil, "192.0.2.1", "192.0.2.1"])
    #expect(change.messages(isRecompiled: false) == Array(messages.dropFirst()))
    #expect(
      change.warnings == [
        "servers, line 5: section [Virtual Server] is passed over; write [Virtual Server NAME] if "
          + "that is meant"
      ])
  }
}
