// How the order of use is kept without a clock: epochs of insertions, and stamps that are held before
// they would look fresh again.
import BCC
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Epochs", .serialized)
struct EpochTests {
  @Test(
    "an epoch is a sixteenth of max_associations", arguments: AddressFamily.allCases,
    [8, 64, 128, 200, 1000, 3000, 4096])
  func length(family: AddressFamily, capacity: Int) throws {
    try expectLength(family, capacity, probation: 1, epochs: 16)
  }

  @Test(
    "without classes it is a sixty-fourth", arguments: AddressFamily.allCases, [8, 200, 3000, 4096])
  func lengthWithoutClasses(family: AddressFamily, capacity: Int) throws {
    try expectLength(family, capacity, probation: 0, epochs: 64)
  }

  private func expectLength(
    _ family: AddressFamily, _ capacity: Int, probation: Int, epochs: Int
  ) throws {
    let director = try Director(
      family, maxAssociations: UInt32(capacity), probation: probation)
    let insertions = max(1, capacity / epochs)
    // Insertions that each CPU has counted and not told of.
    let untold = usableCPUs.count * (min(32, insertions) - 1)
    let before = director.buckets.epoch
    let count = max(2000, 8 * capacity)
    try director.admit(0..<count)
    let passed = Int(director.buckets.epoch - before)
    let told = count - untold
    // A whole number of batches is nearest to it.
    let length = Double(insertions)
    #expect(Double(passed) >= (Double(told) / length * 0.7).rounded(.down))
    #expect(Double(passed) <= Double(count) / length * 1.5)
    if capacity.isMultiple(of: 32 * epochs)
      || capacity < 32 * epochs && capacity.isMultiple(of: epochs)
    {
      #expect((told / Int(length)...count / Int(length)).contains(passed))
    }
    // Who is known makes none pass.
    let newest = director.associated(0..<count).filter { $0 >= count - min(50, capacity / 2) }
    let epoch = director.buckets.epoch
    for _ in 0..<20 { try director.admit(newest) }
    #expect(director.buckets.epoch == epoch)
  }

  /// In the epoch in which it was used last. That it was answered is written once.
  @Test(
    "who is known writes nothing", arguments: AddressFamily.allCases,
    [(7, 1), (64, 0), (64, 1)] as [(UInt32, Int)])
  func hot(family: AddressFamily, table: (capacity: UInt32, probation: Int)) throws {
    let director = try Director(
      family, maxAssociations: table.capacity, probation: table.probation)
    let addresses = director.addresses
    try director.admit(0..<30)
    let reply = addresses.reply(server: 29 % 3 + 1, client: 29)
    #expect(try director.server(of: 29) == addresses.server(29 % 3 + 1))
    _ = try director.run(reply)
    let before = director.buckets.octets
    for _ in 0..<50 {
      try director.admit([29])
      #expect(try director.run(reply) == .send(reply.sent(from: addresses.virtualServer)))
    }
    #expect(director.buckets.octets == before)
    // Another's use is told, of an epoch before.
    try director.admit([table.capacity == 7 ? 28 : 10])
    #expect(director.buckets.octets != before)
  }

  /// Other CPUs' insertions make it begin: in a small table each of them.
  @Test(
    "an epoch that begins while a place is being chosen is no reason to choose again",
    arguments: AddressFamily.allCases, [0, 1])
  func beginning(family: AddressFamily, probation: Int) throws {
    let capacity = probation == 0 ? 64 : 16
    let director = try Director(
      family, maxAssociations: UInt32(capacity), probation: probation)
    let choice = "\tseen = read_word(&bucket->word[place]);\n"
    let program = try director.program(
      replacing: choice,
      with: choice
        + "\t__sync_fetch_and_add(&control->epoch, 1);\n\tif (CLASSES)\n\t\tshow_epochs(control);\n"
    )
    try director.admit(0..<500)
    let epoch = director.buckets.epoch
    for client in 500..<600 {
      let request = director.addresses.request(client: client)
      let outcome = Director.Outcome(try program.testRun(frame: request.bytes))
      try #require(outcome.verdict == .send)
    }
    // One by the insertion, one by the choice.
    #expect(director.buckets.epoch == epoch + 200)
    // Fewer than are told apart.
    let newest = (probation == 0 ? 550 : 592)..<600
    #expect(director.associated(newest) == Set(newest))
  }

  /// The epoch in which each client was used last is known here as it is: no octet wraps. Some buckets
  /// are left alone for hundreds of epochs, so that nobody is pushed out there.
  @Test(
    "an age is told up to 32 epochs, never less than that later, and the oldest go first",
    arguments: AddressFamily.allCases, [64, 511, 2047] as [UInt32])
  func ages(family: AddressFamily, capacity: UInt32) throws {
    try expectAges(family, capacity, probation: 1)
  }

  @Test(
    "without classes it is told up to 128 epochs", arguments: AddressFamily.allCases,
    [64, 511, 3071] as [UInt32])
  func agesWithoutClasses(family: AddressFamily, capacity: UInt32) throws {
    try expectAges(family, capacity, probation: 0)
  }

  private func expectAges(_ family: AddressFamily, _ capacity: UInt32, probation: Int) throws {
    let director = try Director(family, maxAssociations: capacity, probation: probation)
    let buckets = director.buckets
    let length = UInt64(max(1, capacity / (probation == 0 ? 64 : 16)))
    let held = UInt64(buckets.heldAge)
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
    // Twice as many as an octet tells, and some.
    let period = buckets.toldAges * 7 / 4
    for step in 0..<2 * period {
      let isQuiet = step % period > period / 9
      // A few are faithful, and silent for a while now and then.
      if step * 9 / period % 3 != 2 { try use(1_000_000 + .random(in: 0..<4, using: &numbers)) }
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
        let greatest = neighbours.map { min(epoch - lastUse[$0.client]!, held) }.max() ?? 0
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
        if age > buckets.toldAges { heldCount += 1 }
        guard age <= held ? told == age : (held...2 * held - 4).contains(told) else {
          Issue.record("step \(step): \(entry) looks \(told) epochs old, and is \(age)")
          return
        }
      }
    }
    #expect(heldCount > 0)
  }
}
