// Steady traffic of thousands of clients through a director, each packet accounted for.
import Foundation
import Synchronization
import TestSupport

/// Clients that never stop sending, and real servers that write down whom they hear.
///
/// The clients' packets are made in full and sent by one raw socket; a packet says which client it
/// is of, its number and its phase. Real servers answer one packet in sixteen.
final class Load: Sendable {
  static let addresses = 10
  static let portsOfEach = 500
  static let clients = addresses * portsOfEach
  /// Packets a second.
  static let rate = 22_000.0
  static let answered: UInt32 = 16
  static let phases = 8

  /// What one real server has heard.
  struct Heard: Sendable {
    var ofClient = [UInt32](repeating: 0, count: Load.clients)
    var ofPhase = [Int](repeating: 0, count: Load.phases)
    var answers = 0
    var strangers = 0
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
  private let isStopped = Atomic(false)
  private let isDone = Atomic(false)
  private let phase = Atomic<Int>(0)
  private let sentCount = Atomic<Int>(0)
  private let heard: [Mutex<Heard>.Box]
  private let sent = Mutex(Sent())
  private let answers = Mutex(Answers())
  private let threads = DispatchGroup()
  private let senders = DispatchGroup()

  init(_ topology: Topology) throws {
    self.topology = topology
    heard = topology.realServers.map { _ in .init(Heard()) }
    for number in 0..<Load.addresses {
      try need([
        "ip", "-n", topology.client.name, "address", "add", "10.50.0.\(100 + number)/24", "dev",
        "c0",
      ])
    }
    let client = try topology.client.run { try Load.socket(SOCK_RAW, IPPROTO_RAW) }
    let ear = try topology.client.run { try Load.socket(SOCK_RAW, IPPROTO_UDP) }
    for (number, namespace) in topology.realServers.enumerated() {
      let server = try namespace.run { try Load.socket(SOCK_DGRAM, IPPROTO_UDP) }
      var address = Load.address(Topology.realServer(number, .ipv4), Network.port)
      let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      guard bound == 0 else { throw SystemError("bind") }
      start(threads) { self.serve(number, server) }
    }
    start(threads) { self.listen(ear) }
    start(senders) { self.send(client) }
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

  /// Waits until every client has sent another packet.
  func waitForRound() -> Bool {
    let start = sentSoFar
    return waitUntil { sentSoFar >= start + Load.clients }
  }

  /// How many clients have been heard by a real server.
  var knownClients: Int {
    let all = heard.map { $0.value.withLock(\.ofClient) }
    return (0..<Load.clients).count { client in all.contains { $0[client] > 0 } }
  }

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

  private static func socket(_ type: __socket_type, _ proto: Int) throws -> Int32 {
    let descriptor = Foundation.socket(
      AF_INET, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), Int32(proto))
    guard descriptor >= 0 else { throw SystemError("socket") }
    var limit = timeval(tv_sec: 0, tv_usec: 200_000)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var room: Int32 = 16 << 20
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &room, socklen_t(MemoryLayout<Int32>.size))
    return descriptor
  }

  private static func address(_ text: String, _ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    inet_pton(AF_INET, text, &address.sin_addr)
    return address
  }

  // MARK: Clients

  /// A packet of a client but for number, phase and checksum: IPv4, UDP, 16 bytes of payload.
  private static func packet(ofClient client: Int) -> [UInt8] {
    let octet = UInt8(100 + client % addresses)
    let port = UInt16(20_000 + client / addresses)
    var bytes: [UInt8] = [0x45, 0, 0, 44, 0, 0, 0, 0, 64, 17, 0, 0]
    bytes += [10, 50, 0, octet, 10, 60, 0, 10]
    bytes += [UInt8(port >> 8), UInt8(port & 0xff)]
    bytes += [UInt8(Network.port >> 8), UInt8(Network.port & 0xff), 0, 24, 0, 0]
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(client >> shift & 0xff)) }
    return bytes + [UInt8](repeating: 0, count: 12)
  }

  /// The sum of the pseudo header's and the packet's words from the UDP header on (RFC 768).
  private static func sum(_ packet: [UInt8]) -> UInt32 {
    stride(from: 12, to: packet.count, by: 2).reduce(17 + 24) {
      $0 + UInt32(packet[$1]) << 8 + UInt32(packet[$1 + 1])
    }
  }

  private func send(_ descriptor: Int32) {
    defer { close(descriptor) }
    var packets = (0..<Load.clients).map(Load.packet(ofClient:))
    let sums = packets.map(Load.sum)
    var target = Load.address(Topology.virtualServer(.ipv4), 0)
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
        let isSent = packets[client].withUnsafeMutableBytes { bytes in
          bytes.storeBytes(of: checksum.bigEndian, toByteOffset: 26, as: UInt16.self)
          bytes.storeBytes(of: UInt32(number).bigEndian, toByteOffset: 32, as: UInt32.self)
          bytes.storeBytes(of: UInt16(phase).bigEndian, toByteOffset: 36, as: UInt16.self)
          return withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
              sendto(
                descriptor, bytes.baseAddress!, bytes.count, 0, $0,
                socklen_t(MemoryLayout<sockaddr_in>.size)) == bytes.count
            }
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

  /// Hears the answers that reach the clients.
  private func listen(_ descriptor: Int32) {
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 2_048)
    while !isDone.load(ordering: .relaxed) {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      guard count == 44, buffer[16..<19].elementsEqual([10, 50, 0]) else { continue }
      let isRight =
        buffer[12..<16].elementsEqual([10, 60, 0, 10])
        && UInt16(buffer[20]) << 8 + UInt16(buffer[21]) == Network.port
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
          guard count == 16, client < Load.clients, phase < Load.phases else {
            heard[server].value.withLock { $0.strangers += 1 }
            return
          }
          let wantsAnswer = Load.word(buffer, at: 4) % Load.answered == 0
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
    let text = try namespace.run {
      try String(contentsOfFile: "/proc/thread-self/net/snmp", encoding: .utf8)
    }
    let lines = text.split(separator: "\n").filter { $0.hasPrefix(group + ":") }
      .map { $0.split(separator: " ") }
    guard lines.count == 2, let column = lines[0].firstIndex(of: Substring(name)),
      let value = Int(lines[1][column])
    else { throw Failure("no counter \(group) \(name)") }
    return value
  }

  /// Frames that the interfaces of a namespace have dropped, either way.
  static func drops(in namespace: NetworkNamespace) throws -> Int {
    let text = try namespace.run {
      try String(contentsOfFile: "/proc/thread-self/net/dev", encoding: .utf8)
    }
    return text.split(separator: "\n").dropFirst(2).reduce(0) { sum, line in
      let fields = line.split(whereSeparator: { $0 == " " || $0 == ":" })
      return sum + (Int(fields[4]) ?? 0) + (Int(fields[12]) ?? 0)
    }
  }
}
