// A save by a thread of its own: in its order, told of, and nobody waits for it.
import Foundation
import LoadBalancing
import Synchronization
import TestSupport
import Testing

@testable import AssociationFile

@Suite struct SaverTests {
  private let golden = Golden.current[0]

  private func save(_ golden: Golden, with saver: Saver) {
    saver.begin(golden.preamble)
    for association in golden.associations { saver.write([association]) }
    saver.commit()
  }

  @Test(arguments: Golden.current)
  func eachStepIsToldAndTheSaveIsTheDocumentedFile(_ golden: Golden) throws {
    let place = try Place()
    let told = Mutex(0)
    let saver = Saver(try StateFile(place.path)) { told.withLock { $0 += 1 } }
    #expect(!saver.isBusy)
    for round in 1...2 {
      save(golden, with: saver)
      try saver.finish()
      #expect(!saver.isBusy)
      #expect(told.withLock { $0 } == round * (golden.associations.count + 2))
      #expect(try place.bytes() == golden.bytes)
      #expect(try place.directory.contents() == ["associations"])
    }
  }

  @Test func oneThatIsGivenUpLeavesNothingBehind() throws {
    let place = try Place(golden.bytes)
    let saver = Saver(try StateFile(place.path)) {}
    let before = try place.picture()
    saver.giveUp()
    saver.begin(golden.preamble)
    saver.write(golden.associations)
    saver.giveUp()
    try saver.finish()
    #expect(try place.picture() == before)
    saver.begin(golden.preamble)
    saver.giveUp()
    save(Golden.current[1], with: saver)
    try saver.finish()
    #expect(try place.bytes() == Golden.current[1].bytes)
  }

  @Test func aFailureIsToldUntilTheNextBegins() throws {
    let place = try Place(golden.bytes)
    let saver = Saver(try StateFile(place.path)) {}
    let temporary = place.path + ".new"
    #expect(mkdir(temporary, 0o700) == 0)
    let before = try place.picture()
    let error = StateFileError.notRegular(path: temporary, kind: "a directory")
    save(golden, with: saver)
    #expect(throws: error) { try saver.finish() }
    saver.giveUp()
    #expect(throws: error) { try saver.finish() }
    #expect(throws: error) { try saver.check() }
    #expect(try place.picture() == before)

    #expect(rmdir(temporary) == 0)
    save(Golden.current[1], with: saver)
    try saver.finish()
    #expect(try place.bytes() == Golden.current[1].bytes)
  }

  @Test func nobodyWaitsForADiskThatIsFrozen() throws {
    try Disk.lend { disk in
      let path = disk.path(of: "associations")
      let told = Mutex(0)
      let saver = Saver(try StateFile(path)) { told.withLock { $0 += 1 } }
      try disk.freeze()
      save(golden, with: saver)
      #expect(saver.isBusy)
      #expect(told.withLock { $0 } == 0)
      try saver.check()
      try disk.thaw()
      try saver.finish()
      #expect(told.withLock { $0 } == 5)
      #expect(try Array(Data(contentsOf: URL(fileURLWithPath: path))) == golden.bytes)
    }
  }

  /// Whoever held it is gone before it is through.
  @Test func itGoesOnWithoutItsOwner() throws {
    try Disk.lend { disk in
      let path = disk.path(of: "associations")
      do {
        let saver = Saver(try StateFile(path)) {}
        try disk.freeze()
        save(golden, with: saver)
      }
      #expect(throws: StateFileError.inUse(path: path)) { try StateFile(path) }
      try disk.thaw()
      #expect(waitUntil { (try? StateFile(path).load(for: golden.configured)?.count) == 3 })
    }
  }
}
