// Learns from where packets of real servers are to come, and follows it: with --verify_gateway.
import Control
import DataPlane
import LoadBalancing
import RouteNetlink
import SystemPackage

/// Asks the kernel for the way to each real server and for its neighbours, and has the data plane verify
/// what it knows.
///
/// The director sends nothing to its neighbours by the kernel, which so would never find out that one
/// has another address: it is made to ask them.
final class GatewayWatch {
  /// Called when what ``report`` tells has changed.
  var onChange: () -> Void = {}

  private let dataPlane: DataPlane
  private let log: Log
  private var sockets: (routes: RouteSocket, news: RouteNews)?
  /// The kernel's number of the interface; `nil` where nothing is verified.
  private var interface: UInt32?
  /// Whether it has neighbours with addresses to be verified.
  private var hasNeighbours = false
  private var nextHops = NextHops()
  /// Real servers whose way is yet to be asked for.
  private var pending: [IPAddress] = []
  /// What was said of real servers that cannot be verified, and what of asking neighbours.
  private var said: Set<String> = []
  /// Where the next hops go on that are asked next.
  private var asked = 0
  private var droppedBefore: UInt64 = 0

  private var piece: EventLoop.Timer?
  private var renewal: EventLoop.Timer?

  /// How many ways are asked for before everything else has its turn, and how many neighbours in a second.
  private static let pieceSize = 512
  /// Routes that change together are asked for once.
  private static let settleTime = Duration.milliseconds(200)
  /// The most next hops that are told of one by one.
  private static let most = 8

  init(_ dataPlane: DataPlane, log: Log) {
    self.dataPlane = dataPlane
    self.log = log
  }

  /// Learns what the kernel knows already, so that packets are verified from the first on.
  func learn() {
    prepare()
    while !pending.isEmpty { askForWays() }
    finish()
  }

  func start(on loop: EventLoop) {
    piece = loop.timer { [unowned self] in proceed() }
    renewal = loop.timer { [unowned self] in
      pending = realServers
      proceed()
    }
    _ = loop.watch(self.sockets?.news.descriptor, for: .reading) { [unowned self] in hear() }
    loop.every(.seconds(1)) { [unowned self] in keepFresh() }
    follow()
  }

  /// To be called when the configuration in force, or the interface, may have changed.
  func follow() {
    prepare()
    proceed()
  }

  // MARK: What is to be verified

  private var realServers: [IPAddress] {
    Array(
      Set(
        dataPlane.configuration.effective.virtualServers.flatMap { $0.realServers.map(\.address) }))
  }

  /// Brings what is asked for in line with the configuration and the interface.
  private func prepare() {
    guard dataPlane.configuration.effective.verifiesGateway else { return stop() }
    let name = dataPlane.configuration.interface
    // One that is gone comes back with another number.
    guard let index = dataPlane.attachment?.interfaceIndex ?? (try? Attachment.index(of: name)),
      open()
    else { return }
    if index != interface {
      if interface != nil { forget() }
      interface = index
      droppedBefore = dataPlane.snapshot().count(of: .egressUnverified).packets
      hasNeighbours = sockets!.routes.hasNeighbours(interface: index)
      if !hasNeighbours {
        warn(
          "\(name) has no link-layer addresses of neighbours: gateways are not verified there; leave "
            + "--verify_gateway out")
      }
    }
    guard hasNeighbours else { return }
    let wanted = Set(realServers)
    for gone in nextHops.realServers where !wanted.contains(gone) {
      _ = nextHops.set(nil, to: gone)
    }
    // One that has gone while its way was yet to be asked for would be verified for ever.
    pending.removeAll { !wanted.contains($0) }
    let known = Set(nextHops.realServers).union(pending)
    pending += wanted.subtracting(known)
  }

  /// Whether the kernel can be asked.
  private func open() -> Bool {
    guard sockets == nil else { return true }
    do throws(Errno) {
      sockets = (try RouteSocket(), try RouteNews())
      return true
    } catch {
      warn(
        "gateways are not verified: the kernel cannot be asked for routes and neighbours: \(error); "
          + "allow sockets of AF_NETLINK")
      return false
    }
  }

  private func stop() {
    guard interface != nil || sockets != nil else { return }
    (interface, sockets, hasNeighbours) = (nil, nil, false)
    forget()
    said = []
    dataPlane.verify([:])
  }

  private func forget() {
    nextHops = NextHops()
    pending = []
  }

  // MARK: Ways

  private func proceed() {
    askForWays()
    if pending.isEmpty { finish() } else { piece?.set(after: .zero) }
  }

  private func askForWays() {
    guard let interface, let routes = sockets?.routes else {
      pending = []
      return
    }
    for realServer in pending.suffix(Self.pieceSize) {
      let way = routes.nextHop(to: realServer, interface: interface)
      guard let hop = nextHops.set(way, to: realServer) else { continue }
      look(at: hop)
    }
    pending.removeLast(min(pending.count, Self.pieceSize))
  }

  /// Asks for what is known of a next hop, and has it asked where it is.
  private func look(at hop: IPAddress) {
    guard let interface, let routes = sockets?.routes else { return }
    let neighbour = routes.neighbour(hop, interface: interface)
    _ = nextHops.note(neighbour)
    if !neighbour.isKnown { use(hop) }
  }

  /// Has packets verified by what is known now, and says what is new.
  private func finish() {
    guard interface != nil else { return }
    let addresses = nextHops.addresses
    if addresses != dataPlane.nextHops { dataPlane.verify(addresses) }
    tell()
    onChange()
  }

  // MARK: News

  private func hear() {
    guard let interface, let news = sockets?.news.read() else { return }
    if news.areRoutesChanged || news.isIncomplete { renewal?.setIfUnset(after: Self.settleTime) }
    if news.isIncomplete { for hop in nextHops.hops.keys { look(at: hop) } }
    var isChanged = news.isIncomplete
    for neighbour in news.neighbours where neighbour.interface == interface {
      if nextHops.note(neighbour) { isChanged = true }
    }
    if isChanged { finish() }
  }

  /// Has the kernel ask next hops where they are: those that were not confirmed for long, and where
  /// packets were dropped, all: one of them may have another address.
  private func keepFresh() {
    guard hasNeighbours, let interface, let routes = sockets?.routes else { return }
    let dropped = dataPlane.snapshot().count(of: .egressUnverified).packets
    let isDoubted = dropped != droppedBefore
    droppedBefore = dropped
    let all = Array(nextHops.hops.keys)
    guard !all.isEmpty else { return }
    for offset in 0..<min(all.count, Self.pieceSize) {
      let hop = all[(asked + offset) % all.count]
      switch nextHops.hops[hop]!.state {
      case .absent, .failed: use(hop)
      case .stale where !isDoubted: use(hop)
      case .confirmed, .stale:
        guard isDoubted else { continue }
        attempt { () throws(Errno) in try routes.probe(hop, interface: interface) }
      case .configured, .asked, .incomplete, .notAsked: continue
      }
    }
    asked = (asked + Self.pieceSize) % all.count
  }

  private func use(_ hop: IPAddress) {
    guard let interface, let routes = sockets?.routes else { return }
    attempt { () throws(Errno) in try routes.use(hop, interface: interface) }
  }

  private func attempt(_ ask: () throws(Errno) -> Void) {
    do throws(Errno) {
      try ask()
    } catch {
      // Whatever else it is, it is tried again in a second.
      guard error == .notPermitted else { return }
      warn(
        "neighbours are not asked where they are: that wants CAP_NET_ADMIN; what the kernel finds out "
          + "by itself is followed")
    }
  }

  // MARK: What the operator is told

  private func tell() {
    let news = nextHops.takeNews()
    for news in news.prefix(Self.most) { tell(news) }
    if news.count > Self.most {
      log.notice("\(news.count - Self.most) more next hop(s) were learnt, or do not answer.")
    }
    let name = dataPlane.configuration.interface
    let several = nextHops.count(of: .several)
    if several > 0 {
      warn(
        "the route to \(several) real server(s) has several next hops on \(name): their packets are "
          + "not verified")
    }
    let none = nextHops.count(of: .unreachable)
    if none > 0 {
      warn("no route leads to \(none) real server(s) by \(name): their packets are not verified")
    }
  }

  private func tell(_ news: NextHops.News) {
    switch news {
    case .learnt(let address, let hop):
      log.notice(
        "Next hop \(address) of \(hop.realServers) real server(s) is at \(hop.words): their packets "
          + "are to come from there.")
    case .moved(let address, let former, let hop):
      log.warning(
        "next hop \(address) of \(hop.realServers) real server(s) is at \(hop.words), was at "
          + "\(former)")
    case .missed(let address, let hop):
      log.warning(
        "next hop \(address) of \(hop.realServers) real server(s) does not answer: until it does, what "
          + "claims to come from them is believed")
    }
  }

  /// Says something once.
  private func warn(_ text: String) {
    if said.insert(text).inserted { log.warning(text) }
  }

  /// What is verified; `nil` where nothing is to be.
  var report: GatewayVerification? {
    guard dataPlane.configuration.effective.verifiesGateway else { return nil }
    let verified = dataPlane.nextHops.count
    return GatewayVerification(
      verifiedRealServers: verified, believedRealServers: max(0, realServers.count - verified),
      nextHops: nextHops.hops.prefix(GatewayVerification.most).sorted { $0.key < $1.key }.map {
        NextHopStatus(
          address: $0.key.description, hardwareAddress: $0.value.hardware?.description,
          realServers: $0.value.realServers)
      })
  }
}

extension NextHops.Hop {
  fileprivate var words: String { hardware?.description ?? "" }
}
