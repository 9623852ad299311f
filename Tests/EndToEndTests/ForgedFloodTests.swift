// Honest clients while ulb is flooded with packets of forged sources.
import Control
import Foundation
import LoadBalancing
import Synchronization
import TestSupport
import Testing

/// Sends packets from the gateway until it is stopped, each from a source that nobody has.
private final class ForgedFlood: Sendable {
  private static let batch = 64

  private let isStopped = Atomic(false)
  private let sent = Atomic<Int>(0)
  private let end = DispatchGroup()

  /// How many packets the kernel has taken so far.
  var count: Int { sent.load(ordering: .relaxed) }

  /// - Parameter rate: packets a second at most.
  init(_ topology: Topology, to virtualServer: Endpoint, rate: Double) throws {
    let family = virtualServer.family
    // What ulb sends on of it ends at the gateway: it is not the real servers that are tested.
    let rule = try ChildProcess(
      ["ip", family == .ipv4 ? "-4" : "-6", "-n", topology.gateway.name, "rule", "add", "from"]
        + [family == .ipv4 ? "11.0.0.0/8" : "fd11::/32", "blackhole"])
    try #require(try rule.waitForExit() == 0, "\(rule.transcript)")
    let descriptor = try topology.gateway.run {
      let domain = family == .ipv4 ? AF_INET : AF_INET6
      let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      let descriptor = socket(domain, type, Int32(IPPROTO_RAW))
      guard descriptor >= 0 else { throw SystemError("raw socket") }
      return descriptor
    }
    let address = try Endpoint(virtualServer.address, 0).withSocketAddress {
      Array(UnsafeRawBufferPointer(start: $0, count: Int($1)))
    }
    let packet = Self.packet(to: virtualServer, at: address)
    end.enter()
    Thread.detachNewThread { [self] in
      send(packet, to: address, rate, descriptor)
      close(descriptor)
      end.leave()
    }
  }

  func stop() {
    isStopped.store(true, ordering: .relaxed)
    end.wait()
  }

  /// A packet whose source is yet to be filled in. Where it is of IPv4 the kernel makes the checksum
  /// of its header.
  private static func packet(to virtualServer: Endpoint, at address: [UInt8]) -> [UInt8] {
    let port = [UInt8(virtualServer.port >> 8), UInt8(virtualServer.port & 0xff)]
    // From port 10240, with four octets of data and a checksum that is not looked at.
    let udp = [40, 0] + port + [0, 12, 1, 1, 0, 0, 0, 0]
    switch virtualServer.family {
    case .ipv4:
      return [0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 11, 0, 0, 0] + address[4..<8] + udp
    case .ipv6:
      let source: [UInt8] = [0xfd, 0x11, 0, 0] + [UInt8](repeating: 0, count: 12)
      return [0x60, 0, 0, 0, 0, 12, 17, 64] + source + address[8..<24] + udp
    }
  }

  private func send(_ first: [UInt8], to address: [UInt8], _ rate: Double, _ descriptor: Int32) {
    var packet = first
    let start = ContinuousClock.now
    // Of the source's address, the last three octets.
    let place = packet.count == 32 ? 13 : 21
    var number = 0
    while !isStopped.load(ordering: .relaxed) {
      guard Double(number) < (ContinuousClock.now - start) / .seconds(1) * rate else {
        usleep(500)
        continue
      }
      for _ in 0..<Self.batch {
        number += 1
        for octet in 0..<3 {
          packet[place + octet] = UInt8(truncatingIfNeeded: number >> (16 - 8 * octet))
        }
        let size = packet.withUnsafeBytes { bytes in
          address.withUnsafeBytes { address in
            sendto(
              descriptor, bytes.baseAddress!, bytes.count, 0,
              address.assumingMemoryBound(to: sockaddr.self).baseAddress!,
              socklen_t(address.count))
          }
        }
        if size > 0 { sent.add(1, ordering: .relaxed) }
      }
    }
  }
}

@Suite struct ForgedFloodTests {
  private static let clients = 50
  private static let atOnce = 10
  /// Of the association table, so small that the flood pushes a client out between any two packets of
  /// a handshake.
  private static let size = 64

  private func table(_ daemon: Daemon) async throws -> AssociationTableStatus {
    try #require(try await daemon.get(Status.self, "/v1/status").associations.first)
  }

  @Test(
    "new clients shake hands and stay with one server in a flood of forged sources",
    arguments: AddressFamily.allCases)
  func handshakes(_ family: AddressFamily) async throws {
    let topology = try Topology(realServers: 3)
    let servers = try CoAPServers(family, in: topology)
    let daemon = try servers.balance(["-ma", String(Self.size)])
    let flood = try ForgedFlood(
      topology, to: Endpoint(Topology.virtualServer(family), 5683), rate: 100_000)
    defer { flood.stop() }
    try #require(waitUntil { flood.count >= 100 * Self.size })
    #expect(try await table(daemon).isUnderPressure)

    var answers: [String] = []
    for _ in 0..<(Self.clients / Self.atOnce) {
      let clients = try (0..<Self.atOnce).map { _ in try servers.start("coaps", ["-w", "-G", "3"]) }
      for client in clients {
        try client.waitForExit()
        answers.append(client.standardOutput.filter { !$0.isEmpty }.joined(separator: " "))
      }
    }
    flood.stop()
    let expected = Set((1...3).map { "srv\($0) srv\($0) srv\($0)" })
    #expect(Set(answers) == expected, "\(answers)")
    // It was a flood: each of its packets takes a place.
    #expect(try await table(daemon).forgotten.total >= flood.count / 2)
    #expect(try daemon.stop() == 0)
  }
}
