// What this machine's kernel says of routes and neighbours.
import Glibc
import LoadBalancing
import RouteNetlink
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// Two machines with a wire between them, and sockets of the first.
private final class Link: @unchecked Sendable {
  let own, peer: NetworkNamespace
  let routes: RouteSocket
  let news: RouteNews
  /// Of `n0`, the wire's, of `n1`, which leads to nobody, and of `lo`.
  let interface, other, loopback: UInt32

  private static let count = Atomic<Int>(0)

  init() throws {
    let number = Self.count.add(1, ordering: .relaxed).newValue
    let prefix = "ulbroute\(getpid())x\(number)"
    let own = try NetworkNamespace.create(named: prefix + "a")
    let peer = try NetworkNamespace.create(named: prefix + "b")
    (self.own, self.peer) = (own, peer)
    func ip(_ words: String) throws {
      try runSuccessfully(["ip"] + words.split(separator: " ").map(String.init))
    }
    try ip("link add n0 netns \(own.name) type veth peer name n0 netns \(peer.name)")
    try ip("link add n1 netns \(own.name) type veth peer name n1 netns \(peer.name)")
    for (namespace, host) in [(own, 1), (peer, 2)] {
      try ip("-n \(namespace.name) address add 192.0.2.\(host)/24 dev n0")
      try ip("-n \(namespace.name) address add fd00::\(host)/64 dev n0 nodad")
      try ip("-n \(namespace.name) address add 198.51.100.\(host)/24 dev n1")
      for name in ["n0", "n1"] { try ip("-n \(namespace.name) link set \(name) up") }
    }
    let held = try own.run {
      Held(
        routes: try RouteSocket(), news: try RouteNews(),
        numbers: ["n0", "n1", "lo"].map { (name: String) in if_nametoindex(name) })
    }
    (routes, news) = (held.routes, held.news)
    (interface, other, loopback) = (held.numbers[0], held.numbers[1], held.numbers[2])
  }

  private struct Held: @unchecked Sendable {
    let routes: RouteSocket
    let news: RouteNews
    let numbers: [UInt32]
  }

  deinit { for namespace in [own, peer] { try? namespace.delete() } }

  /// Runs ip(8) in the first namespace.
  func ip(_ words: String) throws {
    try runSuccessfully(["ip", "-n", own.name] + words.split(separator: " ").map(String.init))
  }

  func hop(_ address: String) throws -> NextHop {
    routes.nextHop(to: try #require(IPAddress(address)), interface: interface)
  }

  /// Waits for news of a neighbour.
  func waitForNews(
    of address: IPAddress, _ isExpected: (Neighbour) -> Bool, meanwhile: () throws -> Void = {}
  ) throws -> Bool {
    try waitUntil {
      try meanwhile()
      return news.read().neighbours.contains {
        $0.address == address && $0.interface == interface && isExpected($0)
      }
    }
  }
}

@Suite struct KernelTests {
  @Test func theWayToAnAddressIsTold() throws {
    let link = try Link()
    for route in [
      "10.1.0.0/16 via 192.0.2.2", "10.2.0.0/16 via inet6 fd00::2 dev n0",
      "10.3.0.0/16 nexthop via 192.0.2.2 nexthop via 192.0.2.3",
      "10.4.0.0/16 nexthop via 192.0.2.4 nexthop via 198.51.100.2",
      "10.5.0.0/16 via 198.51.100.2", "unreachable 10.6.0.0/16", "10.7.0.0/16 dev n0",
      "10.8.0.0/16 via 198.51.100.2 metric 1", "10.8.0.0/16 via 192.0.2.8 metric 2",
    ] { try link.ip("route add \(route)") }
    for route in [
      "fd01::/64 via fe80::2 dev n0", "fd02::/64 nexthop via fd00::2 nexthop via fd00::3",
      "unreachable fd03::/64", "fd04::/64 dev n0",
    ] { try link.ip("-6 route add \(route)") }
    let expected: [(String, NextHop)] = [
      ("192.0.2.9", .onLink), ("10.1.0.1", .gateway(IPAddress("192.0.2.2")!)),
      ("10.2.0.1", .gateway(IPAddress("fd00::2")!)), ("10.3.0.1", .several),
      ("10.4.0.1", .gateway(IPAddress("192.0.2.4")!)), ("10.5.0.1", .unreachable),
      ("10.6.0.1", .unreachable), ("10.7.0.1", .onLink),
      // Of two routes the one that leads out of this interface.
      ("10.8.0.1", .gateway(IPAddress("192.0.2.8")!)), ("203.0.113.1", .unreachable),
      ("192.0.2.1", .unreachable), ("fd00::9", .onLink),
      ("fd01::1", .gateway(IPAddress("fe80::2")!)), ("fd02::1", .several),
      ("fd03::1", .unreachable), ("fd04::1", .onLink), ("fd09::1", .unreachable),
    ]
    for (address, hop) in expected { #expect(try link.hop(address) == hop, "\(address)") }
  }

  @Test func changesOfRoutesAreNews() throws {
    let link = try Link()
    _ = link.news.read()
    for change in [
      "route add 10.1.0.0/16 via 192.0.2.2", "-6 route add fd01::/64 via fd00::2",
      "rule add to 10.2.0.0/16 table 7", "-6 rule add to fd02::/64 table 7",
      "nexthop add id 9 via 192.0.2.2 dev n0", "link set n1 down", "route del 10.1.0.0/16",
    ] {
      try link.ip(change)
      #expect(waitUntil { link.news.read().areRoutesChanged }, "\(change)")
    }
  }

  @Test(arguments: ["192.0.2.2", "fd00::2"])
  func aNeighbourIsAskedForAndFollowed(_ text: String) throws {
    let link = try Link()
    let address = try #require(IPAddress(text))
    func use() throws { try link.routes.use(address, interface: link.interface) }
    #expect(link.routes.neighbour(address, interface: link.interface).state == .absent)
    let wire = Interface("n0", in: link.peer)
    let first = try wire.hardwareAddress()
    try use()
    #expect(
      try link.waitForNews(of: address) { $0.isKnown && $0.hardware?.description == first })
    #expect(
      link.routes.neighbour(address, interface: link.interface).hardware?.description == first)

    // It gets another one, and says nothing.
    let second = "02:00:00:00:00:99"
    try runSuccessfully(
      ["ip", "-n", link.peer.name, "link", "set", "n0", "address", second])
    try link.routes.probe(address, interface: link.interface)
    let isFollowed = try link.waitForNews(
      of: address, { $0.isKnown && $0.hardware?.description == second }, meanwhile: use)
    #expect(isFollowed)

    try link.ip("neigh replace \(text) lladdr 02:00:00:00:00:77 dev n0 nud permanent")
    #expect(
      try link.waitForNews(of: address) {
        $0.state == .configured && $0.hardware?.description == "02:00:00:00:00:77"
      })
    try link.ip("neigh del \(text) dev n0")
    #expect(try link.waitForNews(of: address) { !$0.isKnown })
  }

  @Test func whoIsNotThereFails() throws {
    let link = try Link()
    let address = try #require(IPAddress("192.0.2.77"))
    try link.routes.use(address, interface: link.interface)
    #expect(try link.waitForNews(of: address) { $0.state == .failed && !$0.isKnown })
    #expect(throws: Errno.self) {
      try link.routes.probe(IPAddress("192.0.2.78")!, interface: link.interface)
    }
  }

  @Test func whereThereAreNeighboursIsTold() throws {
    let link = try Link()
    #expect(link.routes.hasNeighbours(interface: link.interface))
    #expect(!link.routes.hasNeighbours(interface: link.loopback))
    try link.ip("link set n1 arp off")
    #expect(!link.routes.hasNeighbours(interface: link.other))
    #expect(!link.routes.hasNeighbours(interface: 99_999))
  }
}
