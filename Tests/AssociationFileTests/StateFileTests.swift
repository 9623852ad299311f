// The state file on a disk: what is opened, what is left alone, what is locked, what is kept aside.
import Foundation
import LoadBalancing
import SystemPackage
import TestSupport
import Testing

@testable import AssociationFile

/// A folder with a state file in it, or none yet.
final class Place {
  let directory: TemporaryDirectory
  let path: String

  init(_ bytes: [UInt8]? = nil) throws {
    directory = try TemporaryDirectory()
    path = directory.path(of: "associations")
    if let bytes { try write(bytes) }
  }

  func write(_ bytes: [UInt8], to suffix: String = "") throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path + suffix))
  }

  func bytes(_ suffix: String = "") throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: path + suffix)))
  }

  /// Everything that somebody could have changed, of all that is in the folder.
  func picture() throws -> [String] {
    try directory.contents().map { name in
      var status = stat()
      #expect(lstat(directory.path(of: name), &status) == 0)
      let isFile = status.st_mode & S_IFMT == S_IFREG
      let content =
        isFile && status.st_size < 1 << 20
        ? try Data(
          contentsOf: URL(fileURLWithPath: directory.path(of: name))) : Data()
      return "\(name) \(status.st_ino) \(status.st_mode) \(status.st_size) \(status.st_mtim) "
        + content.base64EncodedString()
    }
  }
}

extension SavedAssociations {
  /// All of them.
  func all() -> [Association] {
    var copy = self
    var all: [Association] = []
    while let some = copy.next() { all += some }
    return all
  }
}

@Suite struct StateFileTests {
  private let golden = Golden.current[0]

  private func save(_ golden: Golden, to file: StateFile) throws {
    let save = try Save(file, golden.preamble)
    for association in golden.associations { try save.write([association]) }
    try save.commit()
  }

  // MARK: What it is for

  @Test(arguments: Golden.current)
  func aSaveIsTheDocumentedFileAndIsLoadedAgain(_ golden: Golden) throws {
    let place = try Place()
    let family = golden.preamble.family
    do {
      let file = try StateFile(place.path)
      #expect(try file.load(family) == nil)
      try save(golden, to: file)
      #expect(try place.bytes() == golden.bytes)
      try save(golden, to: file)
    }
    #expect(try place.directory.contents() == ["associations"])
    let saved = try #require(try StateFile(place.path).load(family))
    #expect(saved.preamble == golden.preamble)
    #expect(saved.count == golden.associations.count)
    #expect(saved.all() == golden.loaded)
  }

  /// Nothing is known of the order of use: that of the file stays.
  @Test(arguments: Golden.former)
  func aFileOfTheFormerVersionIsLoaded(_ golden: Golden) throws {
    let place = try Place(golden.bytes)
    let saved = try #require(try StateFile(place.path).load(golden.preamble.family))
    #expect(saved.preamble == golden.preamble)
    #expect(saved.all() == golden.associations)
  }

  @Test(arguments: AddressFamily.allCases)
  func manyAreTakenOutInPiecesThoseThatWereUsedLastFirst(_ family: AddressFamily) throws {
    let place = try Place()
    let count = 3 * SavedAssociations.batch + 5
    var random = SeededNumbers(seed: 1)
    let associations = (0..<UInt32(count)).map { number in
      let octets = (0..<family.octetCount).map { UInt8(truncatingIfNeeded: number >> ($0 % 4 * 8)) }
      // Some ages often, some rarely, some never.
      let age = UInt8.random(in: 0...255, using: &random)
      return Association(
        client: Client(
          address: IPAddress(octets: octets), port: UInt16(truncatingIfNeeded: number)),
        realServer: number % 3, age: age < 100 ? age / 40 : age < 120 ? 120 : age)
    }
    do {
      let preamble = Preamble(family: family, roundPosition: 0, realServers: [])
      let save = try Save(try StateFile(place.path), preamble)
      try save.write(associations)
      try save.commit()
    }
    var saved = try #require(try StateFile(place.path).load(family))
    var pieces: [Int] = []
    var all: [Association] = []
    while let piece = saved.next() {
      pieces.append(piece.count)
      all += piece
    }
    #expect(
      pieces == [SavedAssociations.batch, SavedAssociations.batch, SavedAssociations.batch, 5])
    #expect(all.map(\.age) == associations.map(\.age).sorted())
    #expect(Set(all) == Set(associations))
  }

  @Test func aSaveThatIsGivenUpChangesNothing() throws {
    let place = try Place(golden.bytes)
    let file = try StateFile(place.path)
    let before = try place.picture()
    try Save(file, golden.preamble).write(golden.associations)
    #expect(try place.picture() == before)
  }

  // MARK: What is not a state file of ulb's

  @Test func whatIsNoRegularFileIsLeftAlone() throws {
    for (command, kind) in [
      ("mkdir PATH", "a directory"), ("mkfifo PATH", "a named pipe"),
      ("ln -s /nonexistent/state PATH", "a symbolic link"), ("ln -s other PATH", "a symbolic link"),
    ] {
      let place = try Place()
      try Data(golden.bytes).write(to: URL(fileURLWithPath: place.directory.path(of: "other")))
      let make = command.replacingOccurrences(of: "PATH", with: place.path)
      #expect(try run("sh", "-c", make).status == 0)
      let before = try place.picture()
      #expect(throws: StateFileError.notRegular(path: place.path, kind: kind)) {
        try StateFile(place.path)
      }
      #expect(try place.picture() == before)
    }
    #expect(throws: StateFileError.notRegular(path: "/dev/null", kind: "a device")) {
      try StateFile("/dev/null")
    }
  }

  @Test(arguments: ["x", "[Real Servers]\n10.0.0.4\n", "ulbstat", "ULBSTATE", "ulbstatf and more"])
  func aForeignFileIsLeftAlone(_ text: String) throws {
    // One that only begins like ours is a state file that was cut short.
    let isOurs = "ulbstate".hasPrefix(text)
    let place = try Place(Array(text.utf8))
    let before = try place.picture()
    if isOurs {
      #expect(throws: Refusal.truncated) { try StateFile(place.path).load(.ipv4) }
    } else {
      #expect(throws: StateFileError.foreign(path: place.path)) { try StateFile(place.path) }
    }
    #expect(try place.picture() == before)
  }

  @Test func aFolderThatIsNotThereIsNotMade() throws {
    let place = try Place()
    let path = place.directory.path(of: "none/associations")
    #expect(
      throws: StateFileError.system(operation: "make", path: path, errno: .noSuchFileOrDirectory)
    ) {
      try StateFile(path)
    }
    #expect(try place.directory.contents() == [])
  }

  // MARK: An empty file

  @Test func anEmptyFileIsOneThatNothingWasSavedInYet() throws {
    let place = try Place([])
    do {
      let file = try StateFile(place.path)
      #expect(try file.check(.ipv4) == nil)
      #expect(try file.load(.ipv4) == nil)
    }
    // It is not this process' own to remove.
    #expect(try place.directory.contents() == ["associations"])
    try save(golden, to: try StateFile(place.path))
    #expect(try place.bytes() == golden.bytes)
  }

  @Test func aStartThatSavesNothingLeavesNothing() throws {
    let place = try Place()
    do {
      let file = try StateFile(place.path)
      #expect(try place.bytes() == [])
      withExtendedLifetime(file) {}
    }
    #expect(try place.directory.contents() == [])
  }

  @Test func whatSomebodyPutIntoAnEmptyFileStays() throws {
    let place = try Place()
    do {
      let file = try StateFile(place.path)
      try Data(golden.bytes).write(to: URL(fileURLWithPath: place.path))
      withExtendedLifetime(file) {}
    }
    #expect(try StateFile(place.path).load(.ipv4)?.count == 3)
  }

  // MARK: The lock

  @Test func aSecondIsRefusedForAsLongAsTheFirstLives() throws {
    let place = try Place()
    let inUse = StateFileError.inUse(path: place.path)
    do {
      let file = try StateFile(place.path)
      #expect(throws: inUse) { try StateFile(place.path) }
      // A save is another file, and locked as well.
      for _ in 0..<2 {
        try save(golden, to: file)
        #expect(throws: inUse) { try StateFile(place.path) }
      }
      let under = try Save(file, golden.preamble)
      #expect(throws: inUse) { try StateFile(place.path) }
      withExtendedLifetime(under) {}
    }
    #expect(try StateFile(place.path).load(.ipv4)?.count == 3)
  }

  @Test func theLockIsOnTheFileThatTookARefusedOnesPlace() throws {
    let place = try Place(Array(golden.bytes.dropLast()))
    let file = try StateFile(place.path)
    _ = try file.keepAside()
    #expect(throws: StateFileError.inUse(path: place.path)) { try StateFile(place.path) }
    withExtendedLifetime(file) {}
  }

  /// Many that take the file and give way to each other: whoever gets it has it alone, be it that it
  /// is saved over or that it comes and goes.
  @Test(arguments: [true, false])
  func onlyOneHoldsItAtAnyInstant(_ isSaved: Bool) throws {
    let place = try Place()
    let (path, golden) = (place.path, golden)
    let lock = NSLock()
    nonisolated(unsafe) var (holders, most) = (0, 0)
    nonisolated(unsafe) var unexpected: [StateFileError] = []
    DispatchQueue.concurrentPerform(iterations: 8) { _ in
      var taken = 0
      while taken < 200 {
        do throws(StateFileError) {
          let file = try StateFile(path)
          lock.withLock {
            holders += 1
            most = max(most, holders)
          }
          if isSaved { try Save(file, golden.preamble).commit() }
          sched_yield()
          lock.withLock { holders -= 1 }
          taken += 1
          withExtendedLifetime(file) {}
        } catch {
          guard error != .inUse(path: path) else { continue }
          lock.withLock { unexpected.append(error) }
          return
        }
      }
    }
    #expect(most == 1)
    #expect(unexpected == [])
    #expect(try place.directory.contents().allSatisfy { $0 == "associations" })
  }

  @Test func aFileThatSomebodyElsePutThereIsNotOverwritten() throws {
    let place = try Place()
    let file = try StateFile(place.path)
    try save(golden, to: file)
    try place.write(Array("another".utf8), to: ".other")
    #expect(rename(place.path + ".other", place.path) == 0)
    let before = try place.picture()
    #expect(throws: StateFileError.replaced(path: place.path)) { try save(golden, to: file) }
    #expect(try place.picture() == before)
    // It was moved away.
    #expect(unlink(place.path) == 0)
    try save(golden, to: file)
    #expect(try place.bytes() == golden.bytes)
  }

  // MARK: Refused files

  static let unusable:
    [(name: String, reason: Refusal, damage: @Sendable (inout [UInt8]) -> Void)] =
      [
        ("torn", .checksum, { $0[40] ^= 1 }),
        ("truncated", .truncated, { $0.removeLast() }),
        ("cut in the header", .truncated, { $0.removeLast($0.count - 20) }),
        ("longer", .truncated, { $0.append(0) }),
        ("newer", .newer(3), { $0[8] = 3 }),
        ("of no version", .header, { $0[8] = 0 }),
        ("of no family", .header, { $0[12] = 5 }),
        ("with something where nothing is", .header, { $0[14] = 1 }),
        (
          "of a great many servers", .truncated,
          { $0.replaceSubrange(20..<24, with: [255, 255, 255, 255]) }
        ),
        ("of a great many records", .truncated, { $0[$0.count - 5] = 255 }),
      ]

  @Test(arguments: unusable.indices)
  func whatCannotBeUsedIsKeptAsideWhole(_ index: Int) throws {
    let (name, reason, damage) = Self.unusable[index]
    var bytes = golden.bytes
    damage(&bytes)
    let place = try Place(bytes)
    let file = try StateFile(place.path)
    #expect(throws: reason, "\(name)") { try file.load(.ipv4) }
    let aside = try file.keepAside()
    #expect(aside.hasPrefix(place.path + ".refused-"))
    try save(golden, to: file)
    #expect(try Array(Data(contentsOf: URL(fileURLWithPath: aside))) == bytes)
    #expect(try place.bytes() == golden.bytes)
    #expect(try place.directory.contents().count == 2)
  }

  @Test func theOtherFamilyIsRefusedWithoutALookAtTheRecords() throws {
    for (golden, other) in [
      (Golden.current[0], AddressFamily.ipv6), (Golden.current[1], .ipv4),
    ] {
      let place = try Place(golden.bytes)
      let file = try StateFile(place.path)
      let reason = Refusal.otherFamily(golden.preamble.family)
      #expect(throws: reason) { try file.check(other) }
      #expect(throws: reason) { try file.load(other) }
      #expect(try file.check(golden.preamble.family) == golden.bytes.count)
    }
  }

  @Test func theNewestFiveAreKeptAndNothingElseIsRemoved() throws {
    let place = try Place(Array(golden.bytes.dropLast()))
    let base = "associations.refused"
    let old = [
      "20200101T000000", "20200101T000000-2", "20200101T000000-10", "20210101T000000",
      "20220101T000000", "20990101T000000",
    ].map { "\(base)-\($0)" }
    // Like ours, but not.
    let others = [
      base, "\(base)-20200101T00000", "\(base)-20200101T000000-", "\(base)-20200101T000000-01",
      "\(base)-20200101T000000-0", "\(base)-20200101T000000-1000", "\(base)-20200101T000000.gz",
      "\(base)-20200101X000000", "\(base)-2020010a1T00000", "other.refused-20200101T000000",
    ]
    for name in old + others {
      try Data([1]).write(to: URL(fileURLWithPath: place.directory.path(of: name)))
    }
    let (folder, link) = ("\(base)-20190101T000000", "\(base)-20190102T000000")
    #expect(mkdir(place.directory.path(of: folder), 0o700) == 0)
    #expect(symlink(base, place.directory.path(of: link)) == 0)

    let aside = try StateFile(place.path).keepAside()
    let name = URL(fileURLWithPath: aside).lastPathComponent
    // The one that was just named stays, though another has a later name.
    let expected = [name] + old.dropFirst(2) + others + [folder, link]
    #expect(Set(try place.directory.contents()) == Set(expected))
    #expect(name > "\(base)-20250101T000000" && name < "\(base)-20990101T000000")
  }

  @Test func eachIsKeptUnderANameOfItsOwn() throws {
    let place = try Place()
    var kept: [String: [UInt8]] = [:]
    for number in 0..<5 as Range<UInt8> {
      let bytes = golden.bytes + [number]
      try place.write(bytes)
      kept[try StateFile(place.path).keepAside()] = bytes
    }
    #expect(kept.count == 5)
    for (path, bytes) in kept {
      #expect(try Array(Data(contentsOf: URL(fileURLWithPath: path))) == bytes)
    }
  }

  @Test func laterNamesAreGreater() {
    let names = [
      "20200101T000000", "20200101T000000-2", "20200101T000000-10", "20200101T000001",
      "20201231T235959-1", "20210101T000000",
    ]
    let suffixes = names.compactMap { RefusedFiles.Suffix($0[...]) }
    #expect(suffixes.map(\.text) == names)
    for (left, right) in zip(suffixes, suffixes.dropFirst()) {
      #expect(left < right && !(right < left))
    }
  }

  @Test func whatIsGoneLeavesNoNameBehind() throws {
    let place = try Place()
    #expect(throws: StateFileError.self) {
      try RefusedFiles.keep(place.path, time: Timestamp(seconds: 0))
    }
    #expect(try place.directory.contents() == [])
  }

  @Test func whatCannotBeKeptAsideIsNotOverwritten() throws {
    let place = try Place()
    // A name that leaves no room for what a refused file is called.
    let path = place.directory.path(of: String(repeating: "a", count: 240))
    let bytes = Array(golden.bytes.dropLast())
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let file = try StateFile(path)
    for _ in 0..<2 {
      #expect(throws: StateFileError.self) { try file.keepAside() }
      #expect(throws: StateFileError.self) { try save(golden, to: file) }
      #expect(try Array(Data(contentsOf: URL(fileURLWithPath: path))) == bytes)
    }
    #expect(try place.directory.contents().count == 1)
  }

  @Test func aRefusedFileThatSomebodyMovedAwayIsNoLongerInTheWay() throws {
    let place = try Place()
    let path = place.directory.path(of: String(repeating: "a", count: 240))
    try Data(golden.bytes.dropLast()).write(to: URL(fileURLWithPath: path))
    let file = try StateFile(path)
    #expect(throws: StateFileError.self) { try file.keepAside() }
    #expect(rename(path, place.path) == 0)
    try save(golden, to: file)
    #expect(try Array(Data(contentsOf: URL(fileURLWithPath: path))) == golden.bytes)
  }

  // MARK: Sizes

  /// A file of 4 GiB that is all hole is refused before anything of it is read.
  @Test func theSizeIsHeldAgainstTheHeaderFirst() throws {
    let place = try Place(golden.bytes)
    #expect(truncate(place.path, 4 << 30) == 0)
    let file = try StateFile(place.path)
    let time = ContinuousClock().measure {
      #expect(throws: Refusal.truncated) { try file.load(.ipv4) }
    }
    #expect(time < .seconds(1))

    let foreign = try Place([0])
    #expect(truncate(foreign.path, 4 << 30) == 0)
    #expect(throws: StateFileError.foreign(path: foreign.path)) { try StateFile(foreign.path) }
  }

  // MARK: The temporary file

  @Test func theRestOfAnInterruptedSaveIsRemoved() throws {
    // After a power cut there may be zeros where the magic was going to be.
    for rest in [[], Array(golden.bytes.prefix(5)), golden.bytes, [UInt8](repeating: 0, count: 99)]
    {
      let place = try Place(golden.bytes)
      try place.write(rest, to: ".new")
      let file = try StateFile(place.path)
      #expect(try place.directory.contents() == ["associations"])
      try place.write(rest, to: ".new")
      try save(golden, to: file)
      #expect(try place.directory.contents() == ["associations"])
    }
  }

  @Test func whatIsForeignInThePlaceOfASaveIsLeftAlone() throws {
    for (command, kind) in [
      ("echo mine >PATH", nil), ("mkdir PATH", "a directory"), ("mkfifo PATH", "a named pipe"),
      ("ln -s associations PATH", "a symbolic link"),
    ] {
      let place = try Place(golden.bytes)
      let temporary = place.path + ".new"
      let make = command.replacingOccurrences(of: "PATH", with: temporary)
      #expect(try run("sh", "-c", make).status == 0)
      let before = try place.picture()
      let error =
        kind.map { StateFileError.notRegular(path: temporary, kind: $0) }
        ?? .foreign(path: temporary)
      #expect(throws: error) { try StateFile(place.path) }
      #expect(try place.picture() == before)

      // Where there is no file yet none is left.
      #expect(unlink(place.path) == 0)
      #expect(throws: StateFileError.self) { try StateFile(place.path) }
      #expect(try place.directory.contents() == ["associations.new"])

      // It came while the daemon was running.
      let later = try Place()
      let file = try StateFile(later.path)
      #expect(rename(temporary, later.path + ".new") == 0)
      let beforeSave = try later.picture()
      #expect(throws: StateFileError.self) { try save(golden, to: file) }
      #expect(try later.picture() == beforeSave)
    }
  }
}
