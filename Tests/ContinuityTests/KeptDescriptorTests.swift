// Starts with descriptors that a service manager is said to have kept, without one.
import Foundation
import TestSupport
import Testing

@Suite struct KeptDescriptorTests {
  @Test func whatIsNotOursIsSaidAndTheStartGoesOn() throws {
    let stage = try Stage()
    let names = ["control.1", "link", "program.1", "x.9223372036854775807", "associations.-1"]
    let script = """
      exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null 7</dev/null
      LISTEN_PID=$$ LISTEN_FDS=5 LISTEN_FDNAMES=\(names.joined(separator: ":")) exec "$0" "$@"
      """
    let daemon = try stage.start(wrapper: ["sh", "-c", script])
    for name in names {
      #expect(daemon.count("WARNING: The kept descriptor '\(name)' is not used: ") == 1)
    }
    #expect(try stage.network.serversOfNewClients(3) == ["srv1", "srv2", "srv3"])
    #expect(try daemon.stop() == 0)
  }
}
