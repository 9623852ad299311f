// The round of real servers with weights: how often, in what order, how smoothly.

import TestSupport
import Testing

@testable import LoadBalancing

@Suite struct TurnsTests {
  static func servers(_ weights: [Int]) -> [RealServer] {
    weights.enumerated().map {
      RealServer(
        IPAddress(octets: [10, 0, UInt8($0.offset >> 8), UInt8($0.offset & 255)]),
        weight: $0.element)
    }
  }

  static func round(_ weights: [Int]) -> [Int] { Turns.round(of: servers(weights)) }

  /// How often a server has a third turn in a row, with the round's end before its beginning.
  static func triples(_ round: [Int]) -> Int {
    round.indices.count {
      let (second, third) = (($0 + 1) % round.count, ($0 + 2) % round.count)
      return round[$0] == round[second] && round[$0] == round[third]
    }
  }

  @Test func aListWithoutWeightsKeepsItsOrder() {
    #expect(Self.round([1]) == [0])
    #expect(Self.round([1, 1, 1]) == [0, 1, 2])
    #expect(Self.round([256, 256]) == [0, 1])
    #expect(Self.round([]) == [])
    let address = Self.servers([1, 1])
    #expect(Turns.round(of: [address[0], address[0], address[0], address[1]]) == [0, 1, 2, 3])
    #expect(Self.round(Array(repeating: 1, count: 65_535)) == Array(0..<65_535))
  }

  @Test(
    arguments: [
      ([4, 1, 1], [0, 0, 1, 0, 0, 2]), ([1, 4, 1], [1, 1, 0, 1, 1, 2]), ([1, 2], [1, 1, 0]),
      ([8, 2, 2], [0, 0, 1, 0, 0, 2]), ([3, 2, 1], [0, 1, 0, 1, 0, 2]),
      ([2, 2, 1], [0, 1, 0, 1, 2]),
      ([5, 1], [0, 0, 0, 0, 0, 1]), ([6, 0, 2, 4], [0, 3, 0, 3, 0, 2]),
    ] as [([Int], [Int])])
  func weightsAreSpreadSmoothly(_ weights: [Int], _ turns: [Int]) {
    #expect(Self.round(weights) == turns)
  }

  @Test func whoTakesNoNewClientHasNoTurn() {
    var servers = Self.servers([2, 2, 1, 0])
    servers[0].state = .draining
    #expect(Turns.round(of: servers) == [1, 1, 2])
    servers[1].state = .down
    #expect(Turns.round(of: servers) == [2])
    servers[2].weight = 0
    #expect(Turns.round(of: servers) == [])
  }

  /// All weights up to 6 of up to 4 servers whose arrangements can be tried one by one.
  @Test func noArrangementHasFewerThirdTurnsInARow() {
    var tried = 0
    for first in 1...6 {
      for second in 1...6 {
        for third in 0...3 {
          for fourth in 0...2 {
            let weights = [first, second, third, fourth]
            let round = Self.round(weights)
            guard (3...10).contains(round.count) else { continue }
            let counts = weights.indices.map { server in round.count { $0 == server } }
            #expect(Self.triples(round) == Self.fewestTriples(counts), "\(weights): \(round)")
            tried += 1
          }
        }
      }
    }
    #expect(tried > 200)
  }

  /// Of all arrangements of so many turns of each server.
  private static func fewestTriples(_ counts: [Int]) -> Int {
    var (counts, round, fewest) = (counts, [Int](), Int.max)
    let length = counts.reduce(0, +)
    func put() {
      guard round.count < length else {
        fewest = min(fewest, triples(round))
        return
      }
      for server in counts.indices where counts[server] > 0 {
        counts[server] -= 1
        round.append(server)
        put()
        round.removeLast()
        counts[server] += 1
      }
    }
    put()
    return fewest
  }

  @Test(arguments: 1...40)
  func turnsFollowTheWeights(_ seed: UInt64) {
    var generator = SeededNumbers(seed: seed)
    let count = Int.random(
      in: 2...[3, 10, 60].randomElement(using: &generator)!, using: &generator)
    let heaviest = [2, 5, 20, 256].randomElement(using: &generator)!
    let weights = (0..<count).map { _ in Int.random(in: 1...heaviest, using: &generator) }
    let round = Self.round(weights)
    let total = weights.reduce(0, +)
    // In the whole round each has its part exactly.
    var counts = [Int](repeating: 0, count: count)
    for turn in round { counts[turn] += 1 }
    #expect(zip(counts, weights).allSatisfy { $0 * total == $1 * round.count })
    // Three in a row only of who has more than twice as many turns as all others.
    let heavy = weights.max() ?? 0
    if heavy <= 2 * (total - heavy) { #expect(Self.triples(round) == 0, "\(weights)") }
    // Any 10,000 turns, wherever they begin, within 1 % of them.
    for _ in 0..<5 {
      let start = Int.random(in: 0..<round.count, using: &generator)
      var counts = [Int](repeating: 0, count: count)
      for turn in start..<(start + 10_000) { counts[round[turn % round.count]] += 1 }
      for (count, weight) in zip(counts, weights) {
        #expect(abs(count * total - 10_000 * weight) <= 100 * total)
      }
    }
  }

  @Test(arguments: [(4096, 256), (300, 256), (65_535, 2), (65_535, 256)])
  func aRoundHasAtMost65536TurnsAndOneOfEach(_ count: Int, _ heaviest: Int) {
    // Squares, so that there are more of the light ones.
    let weights = (0..<count).map { (index: Int) -> Int in
      let part = index * 31 % count
      return max(1, heaviest * part / count * part / count)
    }
    let round = Self.round(weights)
    #expect(round.count <= Turns.most)
    var counts = [Int](repeating: 0, count: count)
    for turn in round { counts[turn] += 1 }
    #expect(counts.allSatisfy { $0 > 0 })
    // Who has more than one turn is within one of its part of the turns that the lightest leave.
    var (sharedWeights, sharedTurns) = (0, 0)
    for (weight, turns) in zip(weights, counts) where turns > 1 {
      sharedWeights += weight
      sharedTurns += turns
    }
    for (weight, turns) in zip(weights, counts) where turns > 1 {
      let error = turns * sharedWeights - weight * sharedTurns
      if abs(error) > 2 * sharedWeights { Issue.record("\(weight): \(turns) turns") }
    }
  }
}
