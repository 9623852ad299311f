// ulb ends while clients are being served: nothing of it stays behind.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite struct StopTests {
  @Test(arguments: AddressFamily.allCases, [SIGTERM, SIGINT])
  func signalsUnderTraffic(_ family: AddressFamily, _ signal: Int32) throws {
    let service = try BalancedService(family, usingFile: true)
    let interface = service.topology.directorInterface
    let program = try #require(try interface.xdpProgram())
    var objects = BPFObjects.held(by: service.daemon.process.pid)
    objects.programs.insert(UInt32(program.id))
    #expect(!objects.maps.isEmpty)

    let clients = try (0..<5).map { _ in try service.newClient() }
    let traffic = Traffic(clients, to: service.virtualServer, timeout: .seconds(1))
    #expect(waitUntil { traffic.current.answered > 50 })

    #expect(try service.daemon.stop(with: signal) == 0)
    #expect(try interface.xdpProgram() == nil)
    #expect(service.daemon.notifications.assignments.contains("STOPPING=1"))
    let stopped = traffic.current.answered
    #expect(traffic.waitForProgress())
    #expect(traffic.stop().answered <= stopped + 1)
    #expect(waitUntil { (try? BPFObjects.all().intersection(objects).isEmpty) == true })
    #expect(service.daemon.process.standardError.isEmpty)
  }

  /// The next daemon finds an interface as the first found it.
  @Test func startsAgain() throws {
    let service = try BalancedService()
    #expect(try service.daemon.stop() == 0)
    let arguments = BalancedService.arguments(
      .ipv4, servers: [1, 2].map(service.address(ofServer:)))
    let next = try Daemon.start(arguments, in: service.topology.director)
    #expect(try service.serversOfNewClients(3) == ["srv2", "srv3", "srv2"])
    #expect(try next.stop() == 0)
  }
}
