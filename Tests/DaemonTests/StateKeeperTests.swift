// When the daemon saves, and that neither a slow disk nor one that fails holds its loop up.
import AssociationFile
import DataPlane
import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import ulb

@Suite struct StateKeeperTests {
  private static let pieces = 3
  private static let virtualServer = VirtualServer(
    address: IPAddress("10.60.0.1")!, ports: [5683], realServers: [])
  private let loop = EventLoop()
  private let pipe: Pipe
  private let log: Log

  init() throws {
    pipe = try Pipe()
    log = Log(format: .text, output: Output(pipe.writing))
  }

  private func keeper(_ path: String, patience: Duration = .seconds(600)) throws -> StateKeeper {
    try StateKeeper(
      StateFile(path), interval: .milliseconds(20), patience: patience, log: log)
  }

  /// How many saves were begun.
  private final class Begun { var count: UInt32 = 0 }

  /// Has a keeper save again and again; the position of each save is its number.
  private func start(_ keeper: StateKeeper) -> Begun {
    let begun = Begun()
    keeper.start(on: loop) {
      begun.count += 1
      return source(begun.count)
    }
    return begun
  }

  /// - Parameter position: tells one save from another.
  private func source(_ position: UInt32) -> AssociationSource {
    var left = Self.pieces
    return AssociationSource(
      preamble: Preamble(virtualServers: [
        SavedVirtualServer(
          address: Self.virtualServer.address, roundPosition: position,
          realServers: [IPAddress("10.70.1.2")!])
      ])
    ) {
      defer { left -= 1 }
      guard left > 0 else { return nil }
      let client = Client(address: IPAddress("10.50.0.2")!, port: UInt16(left))
      // A piece may be empty.
      return left == 2 ? [] : [Association(client: client, realServer: 0)]
    }
  }

  private func saved(_ path: String) throws -> SavedAssociations? {
    let copy = path + ".copy"
    try Data(contentsOf: URL(fileURLWithPath: path)).write(to: URL(fileURLWithPath: copy))
    return try StateFile(copy).load(for: [Self.virtualServer])
  }

  private func lines() -> [String] { pipe.read(while: log.flush) }

  /// Runs the loop until a condition holds, which is looked at again and again.
  private func run(until condition: @escaping () throws -> Bool) throws {
    let end = ContinuousClock.now + patience
    var failure: (any Error)?
    var look: EventLoop.Timer?
    look = loop.timer { [loop] in
      do {
        if try condition() { return loop.stop() }
        if ContinuousClock.now > end { throw TimedOut("what the loop runs for") }
        look?.set(after: .milliseconds(5))
      } catch {
        failure = error
        loop.stop()
      }
    }
    look?.set(after: .zero)
    loop.run()
    look?.unset()
    if let failure { throw failure }
  }

  @Test func whatBecameOfTheAssociationsIsToldOnOneLine() {
    #expect(Restored(count: 5).summary(of: "/state") == "Restored 5 association(s) from /state")
    #expect(
      Restored(count: 0, unserved: 3, unlisted: 2, unplaced: 1).summary(of: "/state")
        == "Restored 0 association(s) from /state; 3 of virtual servers that are no longer "
        + "configured; 2 of real servers that are no longer listed; 1 that there was no room for")
  }

  @Test func savedInEachIntervalAndAtTheEnd() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path(of: "associations")
    let keeper = try keeper(path)
    let begun = start(keeper)
    try run { begun.count == 4 }
    let position = try #require(try saved(path)).preamble.virtualServers[0].roundPosition
    #expect((3...4).contains(position))
    keeper.saveNow { source(100) }
    let last = try #require(try saved(path))
    #expect(last.preamble.virtualServers[0].roundPosition == 100 && last.count == Self.pieces - 1)
    #expect(lines() == [])
  }

  @Test func aFrozenDiskDoesNotHoldTheLoop() throws {
    try Disk.lend { disk in
      let path = disk.path(of: "associations")
      let keeper = try keeper(path)
      let begun = start(keeper)
      try disk.freeze()
      var rounds = 0
      try run {
        rounds += 1
        return begun.count > 0 && rounds > 50
      }
      // The next one waits until this one is through.
      #expect(begun.count == 1)
      try disk.thaw()
      try run { begun.count == 3 }
      #expect(try #require(try saved(path)).count == Self.pieces - 1)
      #expect(lines() == [])
    }
  }

  @Test func oneThatTakesLongIsToldAndSoIsItsEnd() throws {
    try Disk.lend { disk in
      let path = disk.path(of: "associations")
      let keeper = try keeper(path, patience: .milliseconds(100))
      keeper.start(on: loop) { source(1) }
      try disk.freeze()
      var said: [String] = []
      try run {
        said += lines()
        return !said.isEmpty
      }
      try disk.thaw()
      try run {
        said += lines()
        return said.count > 1
      }
      #expect(
        said == [
          "ERROR: Unable to save the associations: they are not written after 0.1 seconds; the disk "
            + "is slow or frozen; the last save stays, and it is tried again",
          "The associations are saved again.",
        ])
    }
  }

  @Test func theLastSaveWaitsForADiskThatIsFrozen() throws {
    try Disk.lend { disk in
      let path = disk.path(of: "associations")
      let keeper = try keeper(path)
      let begun = start(keeper)
      try disk.freeze()
      try run { begun.count == 1 }
      let thaw = DispatchWorkItem {
        usleep(100_000)
        #expect(throws: Never.self) { try disk.thaw() }
      }
      DispatchQueue.global().async(execute: thaw)
      keeper.saveNow { source(100) }
      thaw.wait()
      let last = try #require(try saved(path))
      #expect(last.preamble.virtualServers[0].roundPosition == 100 && last.count == Self.pieces - 1)
      #expect(lines() == [])
    }
  }

  @Test func aFailureIsSaidOnceAndSoIsItsEnd() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path(of: "associations")
    let keeper = try keeper(path)
    let begun = start(keeper)
    let obstacle = path + ".new"
    #expect(mkdir(obstacle, 0o700) == 0)
    try run { begun.count == 4 }
    #expect(rmdir(obstacle) == 0)
    var said: [String] = []
    try run {
      said += lines()
      return said.count > 1
    }
    let failure =
      "ERROR: Unable to save the associations: the state file '\(obstacle)' is a directory, not a "
      + "regular file, and left alone; name another file with --state; the last save stays, and it "
      + "is tried again"
    #expect(said == [failure, "The associations are saved again."])
    #expect(try #require(try saved(path)).count == Self.pieces - 1)

    // At the end it is said in any case.
    #expect(mkdir(obstacle, 0o700) == 0)
    keeper.saveNow { source(100) }
    #expect(lines() == [failure])
    #expect(rmdir(obstacle) == 0)
  }

  /// What cannot be read is not half saved.
  @Test func aSourceThatFailsLeavesTheLastSave() throws {
    struct Unreadable: Error, CustomStringConvertible { let description = "no table" }
    let directory = try TemporaryDirectory()
    let path = directory.path(of: "associations")
    let keeper = try keeper(path)
    var begun: UInt32 = 0
    keeper.start(on: loop) {
      begun += 1
      let source = source(begun)
      switch begun {
      case 1: return source
      case 2: throw Unreadable()
      default:
        var left = 2
        return AssociationSource(preamble: source.preamble) {
          left -= 1
          return left > 0 ? try source.next() : try { throw Unreadable() }()
        }
      }
    }
    try run { begun == 5 }
    keeper.saveNow { throw Unreadable() }
    #expect(try #require(try saved(path)).preamble.virtualServers[0].roundPosition == 1)
    let error =
      "ERROR: Unable to save the associations: no table; the last save stays, and it is tried again"
    #expect(lines() == [error, error])
    #expect(try directory.contents().sorted() == ["associations", "associations.copy"])
  }
}
