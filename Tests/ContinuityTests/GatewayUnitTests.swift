// Verified gateways as a service, which has few rights and sees little of the machine.
import LoadBalancing
import TestSupport
import Testing

extension SystemdTests {
  @Test(arguments: AddressFamily.allCases)
  func gatewaysAreVerifiedByTheUnit(_ family: AddressFamily) throws {
    let unit = try Unit(options: Unit.options(family, "--verify_gateway"))
    let network = try Network(unit.topology, family)
    try unit.list(network.addresses([0, 1, 2]))
    try unit.systemctl("start")
    let gateway = Topology.directorGateway(family)
    let address = try unit.topology.gatewayInterface.hardwareAddress()
    try unit.waitForJournal("Next hop \(gateway) of 3 real server(s) is at \(address)")
    #expect(try network.serversOfNewClients(3) == ["srv1", "srv2", "srv3"])
    #expect(try !unit.container.run("ulbctl", "counters").contains("EGRESS_UNVERIFIED"))

    // Taken along, and asked for anew.
    try unit.systemctl("restart")
    try unit.waitForJournal("Next hop \(gateway) of 3 real server(s) is at \(address)", times: 2)
    #expect(try network.serversOfNewClients(3) == ["srv1", "srv2", "srv3"])
  }
}
