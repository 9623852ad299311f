// What the lists of clients say together.
import Testing

@testable import LoadBalancing

@Suite struct ClientListTests {
  private static func list(_ networks: [String]) -> NetworkList {
    NetworkList(file: "list", networks: Set(networks.map { IPNetwork($0)! }))
  }

  @Test func denyWinsAmongEquals() {
    var lists = ClientLists()
    #expect(!lists.isAny && !lists.deniesUnlisted)
    #expect(lists.decisions(of: .ipv4) == [:])
    lists.denied = Self.list(["10.0.0.0/8", "10.50.0.0/16", "fd50::/64"])
    #expect(lists.isAny && !lists.deniesUnlisted)
    lists.allowed = Self.list(["10.50.0.0/16", "10.50.0.0/17", "::/0"])
    #expect(lists.isAny && lists.deniesUnlisted)
    #expect(
      lists.decisions(of: .ipv4) == [
        IPNetwork("10.0.0.0/8")!: true, IPNetwork("10.50.0.0/16")!: true,
        IPNetwork("10.50.0.0/17")!: false,
      ])
    #expect(
      lists.decisions(of: .ipv6) == [
        IPNetwork("fd50::/64")!: true, IPNetwork("::/0")!: false,
      ])
    lists.denied = nil
    #expect(lists.isAny && lists.deniesUnlisted)
  }

  /// What is listed is not compiled in; that there is a list, and how packets ask for it, is.
  @Test func anotherProgramIsWantedWhereTheyAreAskedForInAnotherWay() {
    var configuration = Configuration(
      interface: "eth0", virtualServer: IPAddress("10.60.0.10")!, realServers: [], ports: [5683])
    func changes(_ change: (inout ClientLists) -> Void) -> Bool {
      let before = configuration
      change(&configuration.lists)
      return configuration.isRendered(differentlyFrom: before)
    }
    #expect(changes { $0.denied = Self.list(["10.0.0.0/8"]) })
    #expect(!changes { $0.denied = Self.list(["10.0.0.0/8", "::/0"]) })
    #expect(!changes { $0.denied = Self.list([]) })
    #expect(changes { $0.allowed = Self.list(["10.0.0.0/8"]) })
    #expect(!changes { $0.denied = nil })
    #expect(changes { $0.isStrict = true })
    #expect(!changes { $0.allowed = Self.list(["fd50::/64"]) })
  }
}
