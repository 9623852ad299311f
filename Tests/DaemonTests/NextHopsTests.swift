// What routes and neighbours make of the question from where packets of real servers are to come.
import LoadBalancing
import RouteNetlink
import Testing

@testable import ulb

@Suite struct NextHopsTests {
  private static let gateway = IPAddress("10.60.0.1")!
  private static let servers = (1...3).map { IPAddress("10.70.\($0).2")! }
  private static let first = MACAddress(octets: [2, 0, 0, 0, 0, 1])!
  private static let second = MACAddress(octets: [2, 0, 0, 0, 0, 2])!

  private static func neighbour(
    _ hardware: MACAddress?, _ state: Neighbour.State, of address: IPAddress = gateway
  ) -> Neighbour {
    Neighbour(interface: 1, address: address, hardware: hardware, state: state)
  }

  /// What is asked, as an object: expectations change no value.
  private final class Subject {
    private var value = NextHops()

    var addresses: [IPAddress: MACAddress] { value.addresses }
    var hops: [IPAddress: NextHops.Hop] { value.hops }
    var realServers: Set<IPAddress> { Set(value.realServers) }
    func count(of way: NextHop) -> Int { value.count(of: way) }
    func set(_ way: NextHop?, to server: IPAddress) -> IPAddress? { value.set(way, to: server) }
    func note(_ neighbour: Neighbour) -> Bool { value.note(neighbour) }
    func takeNews() -> [NextHops.News] { value.takeNews() }
  }

  /// All behind one gateway, which is not known yet.
  private static func behindOne() -> Subject {
    let hops = Subject()
    #expect(servers.map { hops.set(.gateway(gateway), to: $0) } == [gateway, nil, nil])
    return hops
  }

  @Test func whatIsBehindAGatewayIsWhereItIs() {
    let hops = Self.behindOne()
    #expect(hops.addresses == [:])
    #expect(hops.note(Self.neighbour(Self.first, .confirmed)))
    #expect(
      hops.addresses == Dictionary(uniqueKeysWithValues: Self.servers.map { ($0, Self.first) }))
    #expect(hops.hops[Self.gateway]?.realServers == 3)
    guard case .learnt(Self.gateway, let hop)? = hops.takeNews().first else {
      Issue.record("nothing was learnt")
      return
    }
    #expect(hop.realServers == 3 && hop.hardware == Self.first)
    #expect(hops.takeNews() == [])
    // Others' neighbours are nothing to us.
    #expect(!hops.note(Self.neighbour(Self.second, .confirmed, of: IPAddress("10.60.0.9")!)))
  }

  @Test func whatWasKnownHoldsUntilThereIsAnother() {
    let hops = Self.behindOne()
    _ = hops.note(Self.neighbour(Self.first, .confirmed))
    _ = hops.takeNews()
    let known = hops.addresses
    for state in [Neighbour.State.stale, .asked, .incomplete, .failed, .absent] {
      #expect(!hops.note(Self.neighbour(state == .stale ? Self.first : nil, state)), "\(state)")
      #expect(hops.addresses == known)
    }
    // What stands beside a state in which it is not valid means nothing.
    #expect(!hops.note(Self.neighbour(Self.second, .incomplete)))
    #expect(!hops.note(Self.neighbour(Self.second, .notAsked)))
    #expect(hops.addresses == known)
    #expect(hops.note(Self.neighbour(Self.second, .stale)))
    #expect(Set(hops.addresses.values) == [Self.second])
    guard case .moved(Self.gateway, from: Self.first, let hop)? = hops.takeNews().first else {
      Issue.record("it is not told that it has moved")
      return
    }
    #expect(hop.hardware == Self.second)
  }

  @Test func whoGoesAndComesBackBetweenIsNoNews() {
    let hops = Self.behindOne()
    _ = hops.note(Self.neighbour(Self.first, .confirmed))
    _ = hops.takeNews()
    _ = hops.note(Self.neighbour(Self.second, .confirmed))
    _ = hops.note(Self.neighbour(Self.first, .confirmed))
    #expect(hops.takeNews() == [])
  }

  @Test func whoDoesNotAnswerIsToldOfOnce() {
    let hops = Self.behindOne()
    #expect(!hops.note(Self.neighbour(nil, .incomplete)))
    #expect(hops.note(Self.neighbour(nil, .failed)))
    guard case .missed(Self.gateway, _)? = hops.takeNews().first else {
      Issue.record("it is not told that it does not answer")
      return
    }
    #expect(!hops.note(Self.neighbour(nil, .incomplete)))
    #expect(!hops.note(Self.neighbour(nil, .failed)))
    #expect(hops.takeNews() == [])
    #expect(hops.note(Self.neighbour(Self.first, .confirmed)))
    // One that was known is not told of: what is known of it holds.
    _ = hops.takeNews()
    #expect(!hops.note(Self.neighbour(nil, .failed)))
  }

  @Test func aServerOnTheLinkIsItsOwnNextHop() {
    let hops = Self.behindOne()
    _ = hops.note(Self.neighbour(Self.first, .confirmed))
    let server = Self.servers[1]
    #expect(hops.set(.onLink, to: server) == server)
    #expect(hops.hops[Self.gateway]?.realServers == 2)
    #expect(hops.addresses[server] == nil)
    #expect(hops.note(Self.neighbour(Self.second, .configured, of: server)))
    #expect(hops.addresses[server] == Self.second)
    #expect(hops.addresses[Self.servers[0]] == Self.first)
  }

  @Test func severalNextHopsAreNotVerified() {
    let hops = Self.behindOne()
    _ = hops.note(Self.neighbour(Self.first, .confirmed))
    #expect(hops.set(.several, to: Self.servers[0]) == nil)
    #expect(hops.addresses[Self.servers[0]] == nil)
    #expect(hops.count(of: .several) == 1)
    #expect(hops.set(.unreachable, to: IPAddress("fd70::1")!) == nil)
    #expect(hops.count(of: .unreachable) == 1)
  }

  @Test func aWayThatIsLostStaysUntilThereIsAnother() {
    let hops = Self.behindOne()
    _ = hops.note(Self.neighbour(Self.first, .confirmed))
    for server in Self.servers { #expect(hops.set(.unreachable, to: server) == nil) }
    #expect(hops.addresses.count == 3)
    let other = IPAddress("10.60.0.7")!
    #expect(hops.set(.gateway(other), to: Self.servers[0]) == other)
    #expect(hops.addresses[Self.servers[0]] == nil)
  }

  @Test func nobodyAsksForAGatewayOfNobody() {
    let hops = Self.behindOne()
    _ = hops.note(Self.neighbour(Self.first, .confirmed))
    for server in Self.servers { #expect(hops.set(nil, to: server) == nil) }
    #expect(hops.hops.isEmpty && hops.addresses.isEmpty && hops.realServers.isEmpty)
    #expect(hops.takeNews() == [])
    // It begins anew.
    #expect(hops.set(.gateway(Self.gateway), to: Self.servers[0]) == Self.gateway)
    #expect(hops.addresses.isEmpty)
  }
}
