// The association table: how many it remembers, and whom it forgets where it is full. Of the smallest
// tables, ExactOrderTests tells.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Association table", .serialized)
struct AssociationTableTests {
  /// The order in which the tables are filled is no test of their random secrets.
  private func director(_ family: AddressFamily, maxAssociations: Int, seed: UInt64 = 1) throws
    -> Director
  {
    let director = try Director(family, maxAssociations: UInt32(maxAssociations))
    director.buckets.setSecret(seed: seed)
    return director
  }

  /// In two buckets there are 14 places: nobody has to go before that.
  @Test("there is room for as many as are asked for", arguments: AddressFamily.allCases, 8...13)
  func exactRoom(family: AddressFamily, capacity: Int) throws {
    let director = try director(family, maxAssociations: capacity)
    for seed in 0..<20 as Range<UInt64> {
      director.buckets.clear()
      director.buckets.setSecret(seed: seed)
      for client in 0..<capacity {
        try director.admit([client])
        #expect(director.associated(0...client) == Set(0...client), "seed \(seed)")
      }
    }
  }

  @Test(
    "there is room for as many, and for 1.75 times as many at most",
    arguments: AddressFamily.allCases, [100, 1000, 1023, 4096])
  func room(family: AddressFamily, capacity: Int) throws {
    let director = try director(family, maxAssociations: capacity)
    let places = (capacity + 3) / 4 * Buckets.places
    for seed in 1..<4 as Range<UInt64> {
      director.buckets.clear()
      director.buckets.setSecret(seed: seed)
      try director.admit(0..<capacity)
      #expect(director.associated(0..<capacity).count == capacity, "seed \(seed)")
      try director.admit(capacity..<3 * capacity)
      let present = director.associated(0..<3 * capacity)
      // No place is left free, and none is of somebody else.
      #expect(present.count > places * 97 / 100 && present.count <= places, "seed \(seed)")
      #expect(director.buckets.entries.count == present.count)
      // The newest are all there, the oldest are gone but for a few.
      #expect(present.isSuperset(of: 3 * capacity - capacity / 2..<3 * capacity), "seed \(seed)")
      #expect(present.intersection(0..<capacity / 2).count <= places / 25, "seed \(seed)")
    }
  }

  @Test("who is heard of stays", arguments: AddressFamily.allCases)
  func recentlyUsed(family: AddressFamily) throws {
    let director = try director(family, maxAssociations: 1024)
    let faithful = 0..<100
    let before = try director.servers(of: faithful)
    // Far more strangers than there is room for, the faithful in between.
    for start in stride(from: 100, to: 10_000, by: 50) {
      try director.admit(start..<start + 50)
      try director.admit(faithful)
    }
    #expect(try director.servers(of: faithful) == before)
    // One that is not heard of again is forgotten.
    #expect(director.associated(100..<5000).isEmpty)
  }

  @Test("what servers send keeps their clients as well", arguments: AddressFamily.allCases)
  func recentlyUsedByServer(family: AddressFamily) throws {
    let director = try director(family, maxAssociations: 1024)
    let addresses = director.addresses
    #expect(try director.server(of: 0) == addresses.server(1))
    let reply = addresses.reply(server: 1, client: 0)
    for start in stride(from: 1, to: 8_000, by: 50) {
      try director.admit(start..<start + 50)
      #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
    }
    #expect(director.associated([0, 1]) == [0])
  }

  @Test("a full table forgets nobody for a client that moves", arguments: AddressFamily.allCases)
  func rewrittenInPlace(family: AddressFamily) throws {
    let capacity = 256
    let director = try director(family, maxAssociations: capacity)
    let addresses = director.addresses
    let last = 8 * capacity
    try director.admit(0..<last)
    let before = director.associated(0..<last)
    #expect(before.count == director.buckets.count * Buckets.places)
    try director.dataPlane.apply([7, 8].map(addresses.server))
    // By turns, and not by hash as under pressure.
    director.buckets.pressedAt = 0
    // By clients and by a server that writes first.
    let places = (last - 8..<last).map { director.entry(of: $0)?.place }
    let next = try director.servers(of: last - 8..<last - 4)
    #expect(Set(next) == Set([7, 8].map(addresses.server)))
    for client in last - 4..<last {
      let reply = addresses.reply(server: 7, client: client)
      #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
    }
    #expect(director.associated(0..<last) == before)
    #expect((last - 8..<last).map { director.entry(of: $0)?.place } == places)
    // A new one takes a place, as ever.
    _ = try director.server(of: last)
    let after = director.associated(0...last)
    #expect(after.contains(last) && after.count == before.count)
  }

  @Test("what is dropped or passed creates no association", arguments: AddressFamily.allCases)
  func notCreated(family: AddressFamily) throws {
    let director = try Director(family)
    let addresses = director.addresses
    let stranger = Case.changed(addresses.reply(server: 1, client: 0)) {
      $0.source = addresses.stranger
    }
    let frames = [
      addresses.request(client: 0, lifetime: 1), addresses.request(client: 0, lifetime: 0),
      addresses.request(client: 0, port: 53), addresses.reply(server: 1, client: 0, lifetime: 1),
      addresses.reply(server: 1, client: 0, lifetime: 0), stranger,
      addresses.reply(server: 1, client: 0, port: 53),
    ]
    for frame in frames { #expect(try director.run(frame).verdict != .send) }
    try director.dataPlane.apply([])
    #expect(try director.server(of: 0) == nil)
    #expect(director.buckets.entries.isEmpty)
  }

  /// As the weights of clients in the world are: the first in rank sends most.
  @Test(
    "clients are found as often as an exact order of use finds them",
    arguments: AddressFamily.allCases)
  func hitRatio(family: AddressFamily) throws {
    let capacity = 2048
    let director = try director(family, maxAssociations: capacity)
    let dataPlane = director.dataPlane
    var frames = ClientFrames.requests(director.addresses)
    for exponent in [0.6, 0.8, 1.0, 1.2] {
      director.buckets.clear()
      var trace = ZipfTrace(clients: 4 * capacity, exponent: exponent, seed: 1)
      var order = ExactOrder(capacity: capacity)
      var (hits, exactHits) = (0, 0)
      var turn = dataPlane.roundPosition()
      for step in 0..<30 * capacity {
        let client = trace.next()
        let wasKnown = order.use(client)
        _ = try dataPlane.program.testRun(frame: frames.next(client: client))
        // Each new client takes a turn.
        let next = dataPlane.roundPosition()
        // At first both tables are not full.
        if step >= 10 * capacity {
          if next == turn { hits += 1 }
          if wasKnown { exactHits += 1 }
        }
        turn = next
      }
      #expect(exactHits > 0 && hits >= exactHits, "exponent \(exponent)")
    }
  }
}

/// Clients at random, the n-th of them as often as 1 / n^exponent says.
private struct ZipfTrace {
  private let sums: [Double]
  private var numbers: SeededNumbers

  init(clients: Int, exponent: Double, seed: UInt64) {
    var sum = 0.0
    sums = (1...clients).map {
      sum += pow(Double($0), -exponent)
      return sum
    }
    numbers = SeededNumbers(seed: seed)
  }

  mutating func next() -> Int {
    let drawn = Double.random(in: 0..<sums[sums.count - 1], using: &numbers)
    var (low, high) = (0, sums.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if sums[middle] > drawn { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

/// Who an exact table of the least recently used would know.
private struct ExactOrder {
  let capacity: Int
  private var lastUse: [Int: Int] = [:]
  /// All uses in their order, of which a client's last counts.
  private var uses: [Int] = []
  private var oldest = 0

  init(capacity: Int) { self.capacity = capacity }

  /// - Returns: whether the client was known.
  mutating func use(_ client: Int) -> Bool {
    let wasKnown = lastUse[client] != nil
    if !wasKnown, lastUse.count == capacity {
      while lastUse[uses[oldest]] != oldest { oldest += 1 }
      lastUse[uses[oldest]] = nil
    }
    lastUse[client] = uses.count
    uses.append(client)
    return wasKnown
  }
}
