// The test network itself, without ulb: what the other tests take for granted holds.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite struct TestNetworkTests {
  @Test(arguments: AddressFamily.allCases)
  func hostsReachEachOther(_ family: AddressFamily) throws {
    let topology = try Topology(realServers: 2)
    let director = Topology.directorAddress(family)
    #expect(try answersPing(Topology.virtualServer(family), from: topology.client))
    #expect(try answersPing(Topology.realServer(1, family), from: topology.client))
    #expect(try acceptsTCP(director, listeningIn: topology.director, from: topology.client))

    let server = try UDPEchoServer(
      named: "srv1", in: topology.realServers[0], address: Topology.realServer(0, family), port: 9)
    let client = try UDPSocket(in: topology.client, address: Topology.clientAddress(family))
    let answer = try client.exchange("hello", with: server.endpoint)
    #expect(answer == ReceivedDatagram(payload: "srv1:hello", source: server.endpoint))
    #expect(server.received == [ReceivedDatagram(payload: "hello", source: client.endpoint)])
  }

  @Test func passProgramComesAndGoes() throws {
    let topology = try Topology(realServers: 0)
    #expect(try topology.gatewayInterface.xdpProgram()?.isGeneric == false)
    let interface = topology.directorInterface
    #expect(try interface.xdpProgram() == nil)
    try interface.attachPassProgram()
    let program = try #require(try interface.xdpProgram())
    #expect(try BPFObjects.all().programs.contains(UInt32(program.id)))
    try interface.detachXDPProgram()
    #expect(try interface.xdpProgram() == nil)
    #expect(waitUntil { (try? BPFObjects.all().programs.contains(UInt32(program.id))) == false })
  }

  @Test func networkLeavesNothing() throws {
    let topology = try Topology(realServers: 1)
    let paths = [topology.client, topology.gateway, topology.director] + topology.realServers
    #expect(paths.allSatisfy { FileManager.default.fileExists(atPath: $0.path) })
    topology.remove()
    #expect(!paths.contains { FileManager.default.fileExists(atPath: $0.path) })
  }

  @Test func programsAreReported() throws {
    let result = try run("sh", "-c", "echo out; echo err >&2; printf rest; exit 3")
    #expect(result.status == 3)
    #expect(result.standardOutput == "out\nrest")
    #expect(result.standardError == "err")
    let sleeper = try ChildProcess(["sleep", "1000"])
    sleeper.send(signal: SIGTERM)
    #expect(try sleeper.waitForExit() == 128 + SIGTERM)
    #expect(throws: SystemError.self) { try ChildProcess(["/no/such/program"]) }
  }
}
