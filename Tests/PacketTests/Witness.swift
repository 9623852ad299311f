// What tests of several CPUs see: by whom each client was served, and what holds of the table afterwards.
import BCC
import LoadBalancing
import Testing

@testable import DataPlane

/// What a CPU runs of each client.
enum Direction {
  case request
  case reply(server: Int)
}

extension Director {
  /// Runs one frame of a client, and says by which server the client is served; 0 for none.
  func runner(_ direction: Direction) -> (_ client: Int) throws -> Int {
    let program = dataPlane.program
    switch direction {
    case .request:
      var frames = ClientFrames.requests(addresses)
      // The end of the destination address.
      let end = Datagram.ethernetSize + (addresses.family == .ipv4 ? 20 : 40)
      return { client in
        let result = try program.testRun(frame: frames.next(client: client))
        guard result.verdict == Verdict.send.rawValue else { return 0 }
        return Int(result.frame[end - 2]) << 8 | Int(result.frame[end - 1])
      }
    case .reply(let server):
      var frames = ClientFrames.replies(addresses, server: server)
      return { client in
        let result = try program.testRun(frame: frames.next(client: client))
        return result.verdict == Verdict.send.rawValue ? server : 0
      }
    }
  }

  /// What holds of the table whenever no packet is under way, where these clients alone have written.
  func expectSound(_ clients: Range<Int>) {
    let entries = buckets.entries
    // Nobody stands there twice, neither in one bucket nor in two.
    #expect(Set(entries.map(\.tag)).count == entries.count)
    #expect(Set(entries.map(\.client)).count == entries.count)
    let known = Set(clients.map { addresses.identity(of: $0) })
    #expect(entries.allSatisfy { known.contains($0.client) })
    let slots = dataPlane.slots
    #expect(entries.allSatisfy { slots[Int($0.slot)]?.isListed == true })
    #expect((0..<buckets.count).allSatisfy { buckets[lockOf: $0] == 0 })
    if buckets.count == 1 {
      let stamps = (0..<Buckets.places).map { buckets[stampAt: .init(bucket: 0, index: $0)] }
      #expect(stamps.sorted() == Array(0..<7))
    } else {
      // None is of an epoch that is to come, nor has the hand left one out again and again.
      let oldest = buckets.oldestAge(misses: 2)
      #expect(entries.allSatisfy { buckets.age($0) <= oldest })
    }
  }

  /// That who is remembered is with whom it was served by.
  ///
  /// - Returns: how many are remembered.
  func expectServers(_ servers: [Int], of clients: Range<Int>) -> Int {
    let slots = dataPlane.slots
    let numbers = Dictionary(
      uniqueKeysWithValues: zip(clients.map { addresses.identity(of: $0) }, servers))
    var count = 0
    var wrong = 0
    for entry in buckets.entries {
      guard let number = numbers[entry.client] else { continue }
      count += 1
      if slots[Int(entry.slot)]?.member.address != addresses.server(number) { wrong += 1 }
    }
    #expect(wrong == 0)
    return count
  }
}
