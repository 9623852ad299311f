// Packets of ever new clients, as fast as is asked for. Nobody counts what becomes of them.
import Foundation
import LoadBalancing
import Synchronization
import TestSupport

/// Sends until it is stopped: each packet is of a client that has sent none for long.
///
/// The clients' addresses are those of ``Load``, which must be there; their ports are others.
final class Flood: Sendable {
  private static let ports: Range<Int> = 21_000..<65_000

  /// What the thread holds, so that it ends with the last who holds the flood.
  private final class State: Sendable {
    let isStopped = Atomic(false)
    let sent = Atomic<Int>(0)
  }

  private let state = State()
  private let end = DispatchGroup()

  /// How many packets the kernel has taken so far.
  var count: Int { state.sent.load(ordering: .relaxed) }

  /// - Parameters:
  ///   - virtualServer: of IPv4.
  ///   - rate: packets a second at most.
  init(_ topology: Topology, to virtualServer: Endpoint, rate: Double) throws {
    let descriptor = try topology.client.run {
      try Load.socket(.ipv4, SOCK_RAW, IPPROTO_RAW)
    }
    let address = try Endpoint(virtualServer.address, 0).withSocketAddress {
      Array(UnsafeRawBufferPointer(start: $0, count: Int($1)))
    }
    let packets = (0..<Load.addresses).map { Load.packet(ofClient: $0, to: virtualServer) }
    end.enter()
    Thread.detachNewThread { [state, end] in
      Self.send(packets, to: address, rate, descriptor, state)
      close(descriptor)
      end.leave()
    }
  }

  func stop() {
    state.isStopped.store(true, ordering: .relaxed)
    end.wait()
  }

  deinit { state.isStopped.store(true, ordering: .relaxed) }

  private static func send(
    _ all: [[UInt8]], to address: [UInt8], _ rate: Double, _ descriptor: Int32, _ state: State
  ) {
    var packets = all
    let start = ContinuousClock.now
    var (number, taken) = (0, 0)
    while !state.isStopped.load(ordering: .relaxed) {
      guard Double(number) < (ContinuousClock.now - start) / .seconds(1) * rate else {
        usleep(500)
        continue
      }
      for _ in 0..<64 {
        let of = number % packets.count
        let port = ports.lowerBound + number / packets.count % ports.count
        number += 1
        // No UDP checksum (RFC 768), so that none has to be made.
        packets[of][20] = UInt8(port >> 8)
        packets[of][21] = UInt8(port & 0xff)
        let size = packets[of].withUnsafeBytes { bytes in
          address.withUnsafeBytes { address in
            sendto(
              descriptor, bytes.baseAddress!, bytes.count, 0,
              address.assumingMemoryBound(to: sockaddr.self).baseAddress!,
              socklen_t(address.count))
          }
        }
        if size > 0 { taken += 1 }
      }
      state.sent.store(taken, ordering: .relaxed)
    }
  }
}
