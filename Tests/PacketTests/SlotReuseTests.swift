// Slots that are given one address after another while packets come in: no client is ever sent to a
// server because another had its slot.
import BCC
import LoadBalancing
import Synchronization
import Testing

@Suite("Slots that are reused", .serialized)
struct SlotReuseTests {
  /// Each change of the list gives the slots of servers that left to others. Meanwhile clients write
  /// as fast as they can, and remember by whom they were served last.
  @Test("no client follows a slot to its next address", arguments: AddressFamily.allCases)
  func underTraffic(family: AddressFamily) throws {
    let addresses = Addresses(family: family)
    let director = try Director(
      family, servers: addresses.servers(0..<2), maxServers: 2, maxAssociations: 1024)
    let dataPlane = director.dataPlane
    let program = dataPlane.program
    let clients = 0..<400
    let frames = clients.map { addresses.request(client: $0).bytes }
    let isOver = Atomic<Bool>(false)
    /// How often all clients have written.
    let rounds = Atomic<Int>(0)
    /// By whom each client was served last.
    struct Served {
      var last: [IPAddress?]
      var dropped = 0
    }
    let traffic = { () throws -> Served in
      // Who changes the list does not wait for one that has failed.
      defer { rounds.store(.max, ordering: .releasing) }
      var served = Served(last: [IPAddress?](repeating: nil, count: frames.count))
      repeat {
        for (client, frame) in frames.enumerated() {
          let outcome = Director.Outcome(try program.testRun(frame: frame))
          if let server = outcome.destination(family) {
            served.last[client] = server
          } else {
            served.dropped += 1
          }
        }
        rounds.add(1, ordering: .releasing)
      } while !isOver.load(ordering: .acquiring)
      return served
    }
    var reused = 0
    let changes = { () throws -> Served in
      defer { isOver.store(true, ordering: .releasing) }
      var turn = 1
      while turn < 60 || rounds.load(ordering: .acquiring) < 20 {
        // One stays, one comes and takes the place of one that left some changes ago.
        let list = addresses.servers(turn..<turn + 2)
        reused += try dataPlane.apply(list).count
        turn += 1
      }
      return Served(last: [])
    }
    let cpus = [usableCPUs[0], usableCPUs[min(1, usableCPUs.count - 1)]]
    let served = try onCPUs(cpus, [traffic, changes])[0]
    #expect(reused > 50)
    #expect(served.dropped == 0)
    // Whom the table says a client is with is who has served it last.
    let reader = dataPlane.readAssociations()
    var known = 0
    while let associations = reader.next() {
      for association in associations {
        let client = try #require(
          clients.first { addresses.client($0) == association.client.address })
        #expect(reader.realServer(of: association) == served.last[client])
        known += 1
      }
    }
    #expect(known == clients.count)
  }
}
