// Two readings of the counters, and what has gone by between them. Pure.
import Control

/// What was read at one time.
struct Reading: Sendable {
  /// When, on a clock that goes on alone.
  let time: ContinuousClock.Instant
  let virtualServers: [VirtualServerDetail]
  let counters: Counters
}

/// A real server of a virtual server.
struct RealServerKey: Hashable, Sendable {
  let virtualServer: String
  let realServer: String
}

/// Something a second.
struct RealServerRates: Sendable, Equatable {
  var inPackets: Double
  var outPackets: Double
  /// Bytes, of whole frames.
  var inBytes: Double
  var outBytes: Double
  /// Associations that were made.
  var associations: Double
}

struct EventRates: Sendable, Equatable {
  var packets: Double
  var bytes: Double
}

/// What a second brought between two readings. What is not there is not known: it was not there
/// before, or its counts have begun again.
struct Rates: Sendable {
  let seconds: Double
  private(set) var realServers: [RealServerKey: RealServerRates] = [:]
  private(set) var events: [String: EventRates] = [:]

  init(from before: Reading, to after: Reading) {
    let seconds = (after.time - before.time) / .seconds(1)
    self.seconds = seconds
    guard seconds > 0 else { return }
    func rate(_ before: UInt64, _ after: UInt64) -> Double? {
      after >= before ? Double(after - before) / seconds : nil
    }
    var former: [RealServerKey: RealServerDetail] = [:]
    for (key, server) in Self.realServers(before) { former[key] = server }
    for (key, now) in Self.realServers(after) {
      guard let then = former[key],
        let inPackets = rate(then.ingress.packets, now.ingress.packets),
        let outPackets = rate(then.egress.packets, now.egress.packets),
        let inBytes = rate(then.ingress.bytes, now.ingress.bytes),
        let outBytes = rate(then.egress.bytes, now.egress.bytes),
        let associations = rate(then.associationsCreated.total, now.associationsCreated.total)
      else { continue }
      realServers[key] = RealServerRates(
        inPackets: inPackets, outPackets: outPackets, inBytes: inBytes, outBytes: outBytes,
        associations: associations)
    }
    let formerEvents = Dictionary(
      before.counters.events.map { ($0.event, $0) }, uniquingKeysWith: { $1 })
    for now in after.counters.events {
      guard let then = formerEvents[now.event], let packets = rate(then.packets, now.packets),
        let bytes = rate(then.bytes, now.bytes)
      else { continue }
      events[now.event] = EventRates(packets: packets, bytes: bytes)
    }
  }

  private static func realServers(_ reading: Reading) -> [(RealServerKey, RealServerDetail)] {
    reading.virtualServers.flatMap { virtualServer in
      virtualServer.realServers.map {
        (RealServerKey(virtualServer: virtualServer.name, realServer: $0.address), $0)
      }
    }
  }
}

extension AssociationsCreated {
  var total: UInt64 { byClient &+ byRealServer &+ takenOver }
}
