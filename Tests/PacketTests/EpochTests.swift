// How the order of use is kept without a clock: epochs of insertions, and stamps that are held before
// they would look fresh again.
import BCC
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Epochs", .serialized)
struct EpochTests {
  /// Insertions that a CPU has counted and not told of.
  private static func untold(_ capacity: Int) -> Int {
    usableCPUs.count * (min(32, max(1, capacity / 64)) - 1)
  }

  @Test(
    "an epoch is a sixty-fourth of max_associations", arguments: AddressFamily.allCases,
    [8, 64, 128, 200, 1000, 3000, 4096])
  func length(family: AddressFamily, capacity: Int) throws {
    let director = try Director(family, maxAssociations: UInt32(capacity))
    let before = director.buckets.epoch
    let count = max(2000, 8 * capacity)
    try director.admit(0..<count)
    let passed = Int(director.buckets.epoch - before)
    let told = count - Self.untold(capacity)
    // A whole number of batches is nearest to it.
    let length = Double(max(1, capacity / 64))
    #expect(Double(passed) >= (Double(told) / length * 0.7).rounded(.down))
    #expect(Double(passed) <= Double(count) / length * 1.5)
    if capacity.isMultiple(of: 2048) || capacity < 32 * 64 && capacity.isMultiple(of: 64) {
      #expect((told / Int(length)...count / Int(length)).contains(passed))
    }
    // Who is known makes none pass.
    let newest = director.associated(0..<count).filter { $0 >= count - 50 }
    let epoch = director.buckets.epoch
    for _ in 0..<20 { try director.admit(newest) }
    #expect(director.buckets.epoch == epoch)
  }

  /// In the epoch in which it was used last.
  @Test("who is known writes nothing", arguments: AddressFamily.allCases, [7, 64] as [UInt32])
  func hot(family: AddressFamily, capacity: UInt32) throws {
    let director = try Director(family, maxAssociations: capacity)
    let addresses = director.addresses
    try director.admit(0..<30)
    let reply = addresses.reply(server: 29 % 3 + 1, client: 29)
    #expect(try director.server(of: 29) == addresses.server(29 % 3 + 1))
    let before = director.buckets.octets
    for _ in 0..<50 {
      try director.admit([29])
      #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
    }
    #expect(director.buckets.octets == before)
    // Another's use is told.
    try director.admit([28])
    #expect(director.buckets.octets != before)
  }

  /// Other CPUs' insertions make it begin: in a small table each of them.
  @Test(
    "an epoch that begins while a place is being chosen is no reason to choose again",
    arguments: AddressFamily.allCases)
  func beginning(family: AddressFamily) throws {
    let director = try Director(family, maxAssociations: 64)
    let choice = "\tseen = read_word(&bucket->word[place]);\n"
    let program = try director.program(
      replacing: choice,
      with: choice + "\t__sync_fetch_and_add(&((struct control *)control)->epoch, 1);\n")
    try director.admit(0..<500)
    let epoch = director.buckets.epoch
    for client in 500..<600 {
      let request = director.addresses.request(client: client)
      let outcome = Director.Outcome(try program.testRun(frame: request.bytes))
      try #require(outcome.verdict == .send)
    }
    // One by the insertion, one by the choice.
    #expect(director.buckets.epoch == epoch + 200)
    #expect(director.associated(550..<600) == Set(550..<600))
  }

  /// The epoch in which each client was used last is known here as it is: no octet wraps. Some buckets
  /// are left alone for hundreds of epochs, so that nobody is pushed out there.
  @Test(
    "an age is told up to 128 epochs, never less than that later, and the oldest go first",
    arguments: AddressFamily.allCases, [64, 511, 3071] as [UInt32])
  func ages(family: AddressFamily, capacity: UInt32) throws {
    let director = try Director(family, maxAssociations: capacity)
    let buckets = director.buckets
    let length = UInt64(max(1, capacity / 64))
    var numbers = SeededNumbers(seed: 5)
    var lastUse: [Client: UInt64] = [:]
    var frames = ClientFrames.requests(director.addresses)
    func use(_ client: Int) throws {
      // It is stamped before it is counted.
      lastUse[director.addresses.identity(of: client)] = buckets.epoch
      _ = try director.dataPlane.program.testRun(frame: frames.next(client: client))
    }
    var heldCount = 0
    var newcomers = 0
    for step in 0..<900 {
      let isQuiet = step % 450 > 50
      // A few are faithful, and silent for a while now and then.
      if step / 100 % 3 != 2 { try use(1_000_000 + .random(in: 0..<4, using: &numbers)) }
      // About as many as make an epoch.
      for turn in 0..<length {
        var (first, second, _) = director.bucketsAndTag(of: newcomers)
        while isQuiet && min(first, second) < buckets.count / 4 {
          newcomers += 1
          (first, second, _) = director.bucketsAndTag(of: newcomers)
        }
        guard turn == 0 else {
          try use(newcomers)
          newcomers += 1
          continue
        }
        let neighbours = buckets.entries(of: first) + buckets.entries(of: second)
        let epoch = buckets.epoch
        let greatest = neighbours.map { min(epoch - lastUse[$0.client]!, 128) }.max() ?? 0
        try use(newcomers)
        newcomers += 1
        let present = Set((buckets.entries(of: first) + buckets.entries(of: second)).map(\.client))
        for entry in neighbours where !present.contains(entry.client) {
          try #require(epoch - lastUse[entry.client]! >= greatest, "\(entry) was not the oldest")
        }
      }
      guard step % 5 == 0 else { continue }
      for entry in buckets.entries {
        let age = buckets.epoch - lastUse[entry.client]!
        let told = UInt64(buckets.age(entry))
        if age > 256 { heldCount += 1 }
        guard age <= 128 ? told == age : (128...240).contains(told) else {
          Issue.record("step \(step): \(entry) looks \(told) epochs old, and is \(age)")
          return
        }
      }
    }
    #expect(heldCount > 0)
  }
}
