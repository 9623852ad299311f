// Tables for at most seven clients: they remember exactly as many, and forget exactly the least
// recently used.
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Exact order of use", .serialized)
struct ExactOrderTests {
  /// Packets of both directions at random, among lists that come and go. A few servers more than
  /// there are slots, so that some are swept for.
  @Test("as the model has it, after each packet", arguments: AddressFamily.allCases, 1...7)
  func trace(family: AddressFamily, capacity: Int) throws {
    let all = Addresses(family: family).servers(1..<8)
    let director = try Director(
      family, servers: Array(all.prefix(3)), level: .trace, maxServers: 3,
      maxAssociations: UInt32(capacity))
    let addresses = director.addresses
    var model = Model(addresses, servers: Array(all.prefix(3)), maxAssociations: capacity)
    var numbers = SeededNumbers(seed: UInt64(capacity))
    var seen: [Event: Int] = [:]
    for step in 0..<3_000 {
      if step % 60 == 59 {
        model.servers = Array(
          all.shuffled(using: &numbers).prefix(.random(in: 1...3, using: &numbers)))
        let slots = director.dataPlane.slots
        for slot in try director.dataPlane.apply(model.servers) {
          if let former = slots[Int(slot)] { model.forget(former.member.address) }
        }
      }
      let client = Int.random(in: 0..<capacity + 3, using: &numbers)
      let lifetime: UInt8 = Int.random(in: 0..<20, using: &numbers) == 0 ? 1 : 64
      let server = all.firstIndex(of: model.servers.randomElement(using: &numbers)!)! + 1
      let datagram =
        Bool.random(using: &numbers)
        ? addresses.request(client: client, lifetime: lifetime)
        : addresses.reply(server: server, client: client, lifetime: lifetime)
      let expected = model.decide(datagram.bytes)
      seen[expected.record.event, default: 0] += 1
      let entries = { director.buckets.entries.sorted { $0.stamp < $1.stamp }.map(\.client) }
      guard try director.run(datagram) == expected.outcome,
        director.events() == [director.labelled(expected.record)],
        entries() == model.orderOfUse
      else {
        Issue.record(
          "step \(step): \(datagram) \(expected.record) \(model.orderOfUse) \(director.buckets.entries)"
        )
        return
      }
    }
    #expect(director.buckets.count == 1)
    let events: [Event] = [
      .ingressNewNAT, .ingressReusedNAT, .egressNewNAT, .egressReusedNAT, .egressNotAuthorized,
      .lifetimeExpired,
    ]
    for event in events { #expect(seen[event, default: 0] > 50, "\(event)") }
  }
}
