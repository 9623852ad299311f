// Steady traffic of thousands of clients through a director, each packet accounted for.
import Foundation
import LoadBalancing
import Synchronization
import TestSupport

/// Clients that never stop sending, and real servers that write down whom they hear.
///
/// The clients' packets are made in full and sent by one raw socket; a packet says which client it
/// is of, its number and its phase. Real servers answer one packet in sixteen, or in another number: in
/// seven each client is answered every seventh time.
final class Load: Sendable {
  static let addresses = 10
  static let portsOfEach = 500
  static let clients = addresses * portsOfEach
  /// Packets a second.
  static let rate = 22_000.0
  private let answered: UInt32
  /// How many clients there are beside that never sent before, and send once.
  private let newcomers = Mutex(0)
  static let phases = 32

  /// What one real server has heard.
  struct Heard: Sendable {
    var ofClient = [UInt32](repeating: 0, count: Load.clients)
    var ofPhase = [Int](repeating: 0, count: Load.phases)
    var answers = 0
    var strangers = 0
    var newcomers = 0
  }

  struct Sent: Sendable {
    var ofPhase = [Int](repeating: 0, count: Load.phases)
    var refused = 0
    var time = Duration.zero
  }

  /// The answers that clients have received, and those that do not come from the virtual server.
  struct Answers: Sendable {
    var right = 0
    var wrong = 0
  }

  private let topology: Topology
  private let virtualServer: Endpoint
  private var family: AddressFamily { virtualServer.family }
  private let isStopped = Atomic(false)
  private let isDone = Atomic(false)
  private let phase = Atomic<Int>(0)
  private let sentCount = Atomic<Int>(0)
  private let heard: [Mutex<Heard>.Box]
  private let sent = Mutex(Sent())
  private let answers = Mutex(Answers())
  private let threads = DispatchGroup()
  private let senders = DispatchGroup()

  /// - Parameters:
  ///   - virtualServer: where clients send to; by default the topology's IPv4 one.
  ///   - answered: of how many packets one is answered.
  ///   - newcomers: how many new clients there are each second.
  init(
    _ topology: Topology, to virtualServer: Endpoint? = nil, answered: UInt32 = 16,
    newcomers: Int = 0
  ) throws {
    self.answered = answered
    let target = virtualServer ?? Endpoint(Topology.virtualServer(.ipv4), Network.port)
    self.topology = topology
    self.virtualServer = target
    heard = topology.realServers.map { _ in .init(Heard()) }
    let family = target.family
    for number in 0..<Load.addresses {
      let address = Load.clientAddress(number, family)
      try need(
        ["ip", "-n", topology.client.name, "address", "add"]
          + (family == .ipv4 ? [address + "/24"] : [address + "/64", "nodad"]) + ["dev", "c0"])
    }
    let client = try topology.client.run { try Load.socket(family, SOCK_RAW, IPPROTO_RAW) }
    let ear = try topology.client.run { try Load.socket(family, SOCK_RAW, IPPROTO_UDP) }
    for (number, namespace) in topology.realServers.enumerated() {
      let server = try namespace.run { try Load.socket(family, SOCK_DGRAM, IPPROTO_UDP) }
      let address = Endpoint(Topology.realServer(number, family), target.port)
      guard try address.withSocketAddress({ bind(server, $0, $1) }) == 0 else {
        throw SystemError("bind to \(address)")
      }
      start(threads) { self.serve(number, server) }
    }
    start(threads) { self.listen(ear) }
    let packets = (0..<Load.clients).map { Load.packet(ofClient: $0, to: target) }
    let address = try Endpoint(target.address, 0).withSocketAddress {
      Array(UnsafeRawBufferPointer(start: $0, count: Int($1)))
    }
    start(senders) { self.send(packets, to: address, client) }
    guard newcomers > 0 else { return }
    let stranger = try topology.client.run { try Load.socket(family, SOCK_RAW, IPPROTO_RAW) }
    start(senders) { self.sendNew(newcomers, to: address, stranger) }
  }

  private func start(_ group: DispatchGroup, _ body: @escaping @Sendable () -> Void) {
    group.enter()
    Thread.detachNewThread {
      body()
      group.leave()
    }
  }

  /// What packets are counted under from now on.
  func enter(phase number: Int) { phase.store(number, ordering: .relaxed) }

  var sentSoFar: Int { sentCount.load(ordering: .relaxed) }

  /// Waits until so many packets a second were sent from the start on: who was held up catches up.
  func waitForRate(_ rate: Double) -> Bool {
    waitUntil {
      let sent = sent.withLock { $0 }
      return Double(sent.ofPhase.reduce(0, +)) >= rate * (sent.time / .seconds(1))
    }
  }

  /// Waits until every client has sent another packet.
  func waitForRound() -> Bool {
    let start = sentSoFar
    return waitUntil { sentSoFar >= start + Load.clients }
  }

  /// Forgets which real servers have heard each client.
  func forgetServers() {
    for heard in heard {
      heard.value.withLock { $0.ofClient = [UInt32](repeating: 0, count: Load.clients) }
    }
  }

  /// How many clients have been heard by a real server.
  var knownClients: Int {
    let all = heard.map { $0.value.withLock(\.ofClient) }
    return (0..<Load.clients).count { client in all.contains { $0[client] > 0 } }
  }

  /// How many packets real servers have heard.
  private var heardSoFar: Int {
    heard.reduce(0) { $0 + $1.value.withLock { $0.ofPhase.reduce(0, +) } }
  }

  /// Looks for how long no real server hears anything, on a thread of its own.
  final class Silence: Sendable {
    private let longest = Mutex(Duration.zero)
    private let isOver = Atomic(false)
    private let done = DispatchGroup()

    fileprivate init(_ load: Load) {
      done.enter()
      Thread.detachNewThread { [self] in
        var count = load.heardSoFar
        var last = ContinuousClock.now
        let end = last + patience
        // What is still silent at the end is heard out.
        while true {
          usleep(1_000)
          let now = ContinuousClock.now
          let next = load.heardSoFar
          let isHeard = next != count
          if isHeard { (count, last) = (next, now) }
          longest.withLock { $0 = max($0, now - last) }
          if isOver.load(ordering: .relaxed), isHeard || now > end { break }
        }
        done.leave()
      }
    }

    /// - Returns: the longest silence since the beginning.
    func end() -> Duration {
      isOver.store(true, ordering: .relaxed)
      done.wait()
      return longest.withLock { $0 }
    }
  }

  func watchForSilence() -> Silence { Silence(self) }

  /// Ends the traffic; what is under way arrives.
  func stop() -> (sent: Sent, heard: [Heard], answers: Answers) {
    isStopped.store(true, ordering: .relaxed)
    senders.wait()
    var last = -1
    _ = waitUntil {
      let now = heard.reduce(0) { $0 + $1.value.withLock { $0.ofPhase.reduce(0, +) } }
      defer { last = now }
      usleep(300_000)
      return now == last
    }
    isDone.store(true, ordering: .relaxed)
    threads.wait()
    return (
      sent.withLock { $0 }, heard.map { $0.value.withLock { $0 } }, answers.withLock { $0 }
    )
  }

  deinit {
    isStopped.store(true, ordering: .relaxed)
    isDone.store(true, ordering: .relaxed)
  }

  // MARK: Sockets

  static func socket(
    _ family: AddressFamily, _ type: __socket_type, _ proto: Int
  ) throws -> Int32 {
    let descriptor = Foundation.socket(
      family == .ipv4 ? AF_INET : AF_INET6, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue),
      Int32(proto))
    guard descriptor >= 0 else { throw SystemError("socket") }
    var limit = timeval(tv_sec: 0, tv_usec: 200_000)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var room: Int32 = 16 << 20
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &room, socklen_t(MemoryLayout<Int32>.size))
    return descriptor
  }

  // MARK: Clients

  /// A client by its number, as ulb writes it.
  static func client(_ number: Int, _ family: AddressFamily = .ipv4) -> String {
    Endpoint(clientAddress(number % addresses, family), port(ofClient: number)).description
  }

  /// Those that never stop sending, as ulb writes them.
  var allClients: Set<String> { Set((0..<Load.clients).map { Load.client($0, family) }) }

  private static func port(ofClient client: Int) -> UInt16 { UInt16(20_000 + client / addresses) }

  /// The last octet of all clients' addresses is from 100 up.
  private static func clientAddress(_ number: Int, _ family: AddressFamily) -> String {
    let last = String(100 + number, radix: family == .ipv4 ? 10 : 16)
    return Topology.clientAddress(family).dropLast(1) + last
  }

  private static func octets(_ address: String) -> [UInt8] {
    let isIPv4 = !address.contains(":")
    var octets = [UInt8](repeating: 0, count: isIPv4 ? 4 : 16)
    precondition(inet_pton(isIPv4 ? AF_INET : AF_INET6, address, &octets) == 1, address)
    return octets
  }

  /// Where the UDP header begins.
  private static func udp(_ family: AddressFamily) -> Int { family == .ipv4 ? 20 : 40 }

  /// A packet of a client but for number, phase and checksum: IP, UDP, 16 bytes of payload.
  static func packet(ofClient client: Int, to target: Endpoint) -> [UInt8] {
    let port = port(ofClient: client)
    var bytes: [UInt8] =
      target.family == .ipv4
      ? [0x45, 0, 0, 44, 0, 0, 0, 0, 64, 17, 0, 0] : [0x60, 0, 0, 0, 0, 24, 17, 64]
    bytes += octets(clientAddress(client % addresses, target.family)) + octets(target.address)
    bytes += [UInt8(port >> 8), UInt8(port & 0xff)]
    bytes += [UInt8(target.port >> 8), UInt8(target.port & 0xff), 0, 24, 0, 0]
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(client >> shift & 0xff)) }
    return bytes + [UInt8](repeating: 0, count: 12)
  }

  /// The sum of the pseudo header's and the packet's words from the UDP header on (RFC 768, RFC 8200,
  /// section 8.1). The addresses stand before the UDP header in both families.
  private static func sum(_ packet: [UInt8], _ family: AddressFamily) -> UInt32 {
    let addresses = family == .ipv4 ? 12 : 8
    return stride(from: addresses, to: packet.count, by: 2).reduce(17 + 24) {
      $0 + UInt32(packet[$1]) << 8 + UInt32(packet[$1 + 1])
    }
  }

  /// - Parameter address: a `sockaddr_in` or `sockaddr_in6`, which tells a raw socket no port.
  private func send(_ all: [[UInt8]], to address: [UInt8], _ descriptor: Int32) {
    defer { close(descriptor) }
    var packets = all
    let sums = packets.map { Load.sum($0, family) }
    let udp = Load.udp(family)
    let start = ContinuousClock.now
    var count = 0
    while !isStopped.load(ordering: .relaxed) {
      let due = Int((ContinuousClock.now - start) / .seconds(1) * Load.rate) - count
      guard due > 0 else {
        usleep(500)
        continue
      }
      let phase = phase.load(ordering: .relaxed)
      let burst = min(due, 64)
      var refused = 0
      for number in count..<(count + burst) {
        let client = number % Load.clients
        let (high, low) = (UInt32(number) >> 16, UInt32(number) & 0xffff)
        var sum = sums[client] + high + low + UInt32(phase)
        while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
        let checksum = sum == 0xffff ? 0xffff : ~UInt16(sum)
        packets[client].withUnsafeMutableBytes { bytes in
          bytes.storeBytes(of: checksum.bigEndian, toByteOffset: udp + 6, as: UInt16.self)
          bytes.storeBytes(of: UInt32(number).bigEndian, toByteOffset: udp + 12, as: UInt32.self)
          bytes.storeBytes(of: UInt16(phase).bigEndian, toByteOffset: udp + 16, as: UInt16.self)
        }
        let isSent = packets[client].withUnsafeBytes { bytes in
          address.withUnsafeBytes { address in
            sendto(
              descriptor, bytes.baseAddress!, bytes.count, 0,
              address.assumingMemoryBound(to: sockaddr.self).baseAddress!,
              socklen_t(address.count)) == bytes.count
          }
        }
        if !isSent { refused += 1 }
      }
      count += burst
      sentCount.store(count, ordering: .relaxed)
      sent.withLock { sent in
        sent.ofPhase[phase] += burst - refused
        sent.refused += refused
        sent.time = ContinuousClock.now - start
      }
    }
  }

  /// The numbers of clients that send once: each has an address and a port of its own.
  private static let newNumbers = clients..<clients + 400_000

  private func sendNew(_ rate: Int, to address: [UInt8], _ descriptor: Int32) {
    defer { close(descriptor) }
    let udp = Load.udp(family)
    let start = ContinuousClock.now
    var count = 0
    while !isStopped.load(ordering: .relaxed) {
      guard count < Int((ContinuousClock.now - start) / .seconds(1) * Double(rate)) else {
        usleep(2_000)
        continue
      }
      let client = Load.newNumbers.lowerBound + count % Load.newNumbers.count
      var packet = Load.packet(ofClient: client, to: virtualServer)
      var sum = Load.sum(packet, family)
      while sum > 0xffff { sum = sum >> 16 + sum & 0xffff }
      let checksum = sum == 0xffff ? 0xffff : ~UInt16(sum)
      (packet[udp + 6], packet[udp + 7]) = (UInt8(checksum >> 8), UInt8(checksum & 0xff))
      let isSent = packet.withUnsafeBytes { bytes in
        address.withUnsafeBytes {
          sendto(
            descriptor, bytes.baseAddress!, bytes.count, 0,
            $0.assumingMemoryBound(to: sockaddr.self).baseAddress!, socklen_t($0.count))
            == bytes.count
        }
      }
      if isSent { newcomers.withLock { $0 += 1 } }
      count += 1
    }
  }

  /// Hears the answers that reach the clients.
  private func listen(_ descriptor: Int32) {
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 2_048)
    // A raw socket hands over IPv4's header, not IPv6's.
    let udp = family == .ipv4 ? Load.udp(family) : 0
    while !isDone.load(ordering: .relaxed) {
      var count = 0
      let source = try? Endpoint {
        count = recvfrom(descriptor, &buffer, buffer.count, 0, $0, $1)
        guard count >= 0 else { throw SystemError("receive") }
      }
      // Other clients of this network have other questions.
      guard let source, count == udp + 24 else { continue }
      let port = UInt16(buffer[udp]) << 8 + UInt16(buffer[udp + 1])
      let isRight = Endpoint(source.address, port) == virtualServer
      answers.withLock { if isRight { $0.right += 1 } else { $0.wrong += 1 } }
    }
  }

  // MARK: Real servers

  private func serve(_ server: Int, _ descriptor: Int32) {
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 2_048)
    var source = sockaddr_storage()
    while !isDone.load(ordering: .relaxed) {
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      withUnsafeMutablePointer(to: &source) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { source in
          let count = recvfrom(descriptor, &buffer, buffer.count, 0, source, &length)
          guard count > 0 else { return }
          let client = Int(Load.word(buffer, at: 0))
          let phase = Int(Load.word(buffer, at: 8) >> 16)
          if count == 16, Load.newNumbers.contains(client) {
            heard[server].value.withLock { $0.newcomers += 1 }
            sendto(descriptor, buffer, count, 0, source, length)
            return
          }
          guard count == 16, client < Load.clients, phase < Load.phases else {
            heard[server].value.withLock { $0.strangers += 1 }
            return
          }
          let wantsAnswer = Load.word(buffer, at: 4) % answered == 0
          heard[server].value.withLock { heard in
            heard.ofClient[client] += 1
            heard.ofPhase[phase] += 1
            if wantsAnswer { heard.answers += 1 }
          }
          if wantsAnswer { sendto(descriptor, buffer, count, 0, source, length) }
        }
      }
    }
  }

  private static func word(_ bytes: [UInt8], at offset: Int) -> UInt32 {
    bytes.withUnsafeBytes {
      UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
  }
}

extension Mutex where Value == Load.Heard {
  /// A lock that arrays can hold.
  final class Box: Sendable {
    let value: Mutex<Load.Heard>
    init(_ heard: Load.Heard) { value = Mutex(heard) }
  }
}

/// Counters of a namespace's kernel.
enum KernelCounters {
  /// A counter of `/proc/net/snmp`, such as `NoPorts` of `Udp`: datagrams that nobody wanted.
  static func snmp(_ group: String, _ name: String, in namespace: NetworkNamespace) throws -> Int {
    let lines = try read("snmp", in: namespace).filter { $0.hasPrefix(group + ":") }
      .map { $0.split(separator: " ") }
    guard lines.count == 2, let column = lines[0].firstIndex(of: Substring(name)),
      let value = Int(lines[1][column])
    else { throw Failure("no counter \(group) \(name)") }
    return value
  }

  /// A counter of UDP, of both families together.
  static func udp(_ name: String, in namespace: NetworkNamespace) throws -> Int {
    let line = try read("snmp6", in: namespace).first { $0.hasPrefix("Udp6\(name) ") }
    guard let value = line?.split(whereSeparator: \.isWhitespace).last.flatMap({ Int($0) }) else {
      throw Failure("no counter Udp6\(name)")
    }
    return try value + snmp("Udp", name, in: namespace)
  }

  /// Frames that the interfaces of a namespace have dropped, either way.
  static func drops(in namespace: NetworkNamespace) throws -> Int {
    try read("dev", in: namespace).dropFirst(2).reduce(0) { sum, line in
      let fields = line.split(whereSeparator: { $0 == " " || $0 == ":" })
      return sum + (Int(fields[4]) ?? 0) + (Int(fields[12]) ?? 0)
    }
  }

  /// The lines of a file of `/proc/net`.
  private static func read(
    _ file: String, in namespace: NetworkNamespace
  ) throws -> [Substring] {
    let text = try namespace.run {
      try String(contentsOfFile: "/proc/thread-self/net/" + file, encoding: .utf8)
    }
    return text.split(separator: "\n")
  }
}
