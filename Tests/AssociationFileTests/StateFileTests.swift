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
    do {
      let file = try StateFile(place.path)
      #expect(try file.load(for: golden.configured) == nil)
      try save(golden, to: file)
      #expect(try place.bytes() == golden.bytes)
      try save(golden, to: file)
    }
    #expect(try place.directory.contents() == ["associations"])
    let saved = try #require(try StateFile(place.path).load(for: golden.configured))
    #expect(saved.preamble == golden.preamble)
    #expect(
      try StateFile(place.path).overrides(for: golden.configured) == golden.preamble.overrides)
    #expect(saved.count == golden.associations.count)
    #expect(saved.all() == golden.loaded)
  }

  /// It is the command line's virtual server's, whatever its address is now. In version 1 nothing is
  /// known of the order of use: that of the file stays.
  @Test(arguments: Golden.former)
  func aFileOfAFormerVersionIsLoaded(_ golden: Golden) throws {
    let place = try Place(golden.bytes)
    let address = IPAddress(
      golden.preamble.virtualServers[0].family == .ipv4 ? "192.0.2.1" : "::7")!
    let configured = VirtualServer(address: address, ports: [], realServers: [])
    let saved = try #require(try StateFile(place.path).load(for: [configured]))
    #expect(saved.preamble == golden.preamble)
    #expect(saved.all() == golden.loaded)
  }

  @Test func manyAreTakenOutInPiecesThoseThatWereUsedLastFirst() throws {
    let place = try Place()
    let batch = SavedAssociations.batch
    var random = SeededNumbers(seed: 1)
    func associations(_ family: AddressFamily, _ count: Int) -> [Association] {
      (0..<UInt32(count)).map { number in
        let octets = (0..<family.octetCount).map {
          UInt8(truncatingIfNeeded: number >> ($0 % 4 * 8))
        }
        // Some ages often, some rarely, some never.
        let age = UInt8.random(in: 0...255, using: &random)
        return Association(
          client: Client(
            address: IPAddress(octets: octets), port: UInt16(truncatingIfNeeded: number)),
          virtualServer: UInt8(number % 5), realServer: number % 3,
          rank: age < 100 ? age / 40 : age < 120 ? 120 : age)
      }
    }
    let all = [associations(.ipv4, 2 * batch + 5), associations(.ipv6, 3 * batch + 7)]
    do {
      let preamble = Preamble(virtualServers: golden.preamble.virtualServers)
      let save = try Save(try StateFile(place.path), preamble)
      // A piece may be empty.
      for piece in [[], all[0], [], all[1], []] { try save.write(piece) }
      try save.commit()
    }
    var saved = try #require(try StateFile(place.path).load(for: golden.configured))
    #expect(saved.count == all[0].count + all[1].count)
    for (associations, sizes) in zip(all, [[batch, batch, 5], [batch, batch, batch, 7]]) {
      var taken: [Association] = []
      for size in sizes {
        let piece = saved.next() ?? []
        #expect(piece.count == size)
        taken += piece
      }
      #expect(taken.map(\.rank) == associations.map(\.rank).sorted())
      #expect(Set(taken) == Set(associations))
    }
    let rest = saved.next()
    #expect(rest == nil)
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
      #expect(throws: Refusal.truncated) { try StateFile(place.path).load(for: golden.configured) }
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
      #expect(try file.check(for: golden.configured) == nil)
      #expect(try file.load(for: golden.configured) == nil)
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
    #expect(try StateFile(place.path).load(for: golden.configured)?.count == 3)
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
    #expect(try StateFile(place.path).load(for: golden.configured)?.count == 3)
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

  /// The octet of the golden file where its second virtual server begins.
  private static let second = 24 + 92
  static let unusable:
    [(name: String, reason: Refusal, damage: @Sendable (inout [UInt8]) -> Void)] =
      [
        ("torn", .checksum, { $0[second + 12] ^= 1 }),
        ("torn in a record", .checksum, { $0[$0.count - 30] ^= 1 }),
        ("truncated", .truncated, { $0.removeLast() }),
        ("cut in the header", .truncated, { $0.removeLast($0.count - 12) }),
        ("cut in a virtual server", .truncated, { $0.removeLast($0.count - second - 1) }),
        ("longer", .truncated, { $0.append(0) }),
        ("newer", .newer(6), { $0[8] = 6 }),
        ("of no version", .header, { $0[8] = 0 }),
        ("of no virtual server", .header, { $0[12] = 0 }),
        ("of too many virtual servers", .header, { $0.replaceSubrange(12..<14, with: [1, 1]) }),
        ("of no family", .header, { $0[second] = 5 }),
        ("with something where nothing is", .header, { $0[second + 2] = 1 }),
        ("with an address that is too long", .header, { $0[24 + 12 + 4] = 1 }),
        (
          "with a name that is too long", .header,
          {
            $0[second + 92 * 2 + 1] = 64
            $0[second + 92 * 2 + 91] = 0x78
          }
        ),
        ("with something behind a name", .header, { $0[second + 91] = 1 }),
        ("with a name that is no text", .header, { $0[second + 28] = 0xff }),
        ("with a name of two lines", .header, { $0[second + 28] = 0x0a }),
        (
          "with one name twice", .header,
          { bytes in
            let name = Array(bytes[second + 28..<second + 92])
            bytes[second + 92 + 1] = bytes[second + 1]
            bytes.replaceSubrange(second + 92 + 28..<second + 92 * 2, with: name)
          }
        ),
        (
          "of two command lines", .header,
          { $0.replaceSubrange(second..<second + 92, with: $0[24..<second]) }
        ),
        (
          "of a great many servers", .truncated,
          { $0.replaceSubrange(second + 8..<second + 12, with: [255, 255, 255, 255]) }
        ),
        (
          "of a great many overrides", .truncated,
          { $0.replaceSubrange(16..<20, with: [255, 255, 255, 255]) }
        ),
        ("ranked by nothing that is known", .header, { $0[20] = 2 }),
        ("of a great many records", .truncated, { $0[$0.count - 5] = 255 }),
        ("of a great many records of IPv4", .truncated, { $0[$0.count - 13] = 255 }),
        (
          "of records of the other family", .truncated,
          { $0.swapAt($0.count - 20, $0.count - 12) }
        ),
      ]

  @Test(arguments: unusable.indices)
  func whatCannotBeUsedIsKeptAsideWhole(_ index: Int) throws {
    let (name, reason, damage) = Self.unusable[index]
    let golden = Golden.current[2]
    var bytes = golden.bytes
    damage(&bytes)
    let place = try Place(bytes)
    let file = try StateFile(place.path)
    #expect(throws: reason, "\(name)") { try file.load(for: golden.configured) }
    let aside = try file.keepAside()
    #expect(aside.hasPrefix(place.path + ".refused-"))
    try save(golden, to: file)
    #expect(try Array(Data(contentsOf: URL(fileURLWithPath: aside))) == bytes)
    #expect(try place.bytes() == golden.bytes)
    #expect(try place.directory.contents().count == 2)
  }

  /// A configuration's virtual server.
  private func configured(_ name: String?, _ address: String) -> VirtualServer {
    VirtualServer(name: name, address: IPAddress(address)!, ports: [5683], realServers: [])
  }

  /// It is told by its name and its family, not by its address.
  @Test func oneVirtualServerThatIsConfiguredIsEnough() throws {
    let golden = Golden.current[2]
    let place = try Place(golden.bytes)
    let file = try StateFile(place.path)
    for virtualServers in [
      [configured(nil, "192.0.2.1")], [configured("lwm2m-v6", "fd00::1")],
      [configured(nil, "fd60::10"), configured("other", "::1"), configured("björk", "192.0.2.1")],
    ] {
      #expect(try file.check(for: virtualServers) == golden.bytes.count)
      // What is of others is handed over too: who takes it counts it.
      let saved = try #require(try file.load(for: virtualServers))
      #expect(saved.preamble == golden.preamble)
      #expect(saved.all() == golden.loaded)
    }
  }

  @Test func whatIsOfNoConfiguredVirtualServerIsRefused() throws {
    let long = String(repeating: "x", count: 63)
    let cases: [(golden: Golden, configured: [VirtualServer], text: String)] = [
      (Golden.current[0], [configured(nil, "fd60::1")], "it is of ipv4 clients"),
      (Golden.current[1], [configured(nil, "10.60.0.1")], "it is of ipv6 clients"),
      (Golden.former[0], [configured("other", "10.60.0.1")], "it is of ipv4 clients"),
      (Golden.former[1], [configured(nil, "10.60.0.1")], "it is of ipv6 clients"),
      (
        Golden.current[2],
        [configured(nil, "fd60::10"), configured("lwm2m-v6", "10.60.0.1")],
        "it is of ipv4 clients and of virtual servers that are not configured: lwm2m-v6, björk, "
          + long
      ),
    ]
    for (golden, virtualServers, text) in cases {
      let place = try Place(golden.bytes)
      let file = try StateFile(place.path)
      #expect {
        _ = try file.check(for: virtualServers)
      } throws: {
        "\($0)" == text
      }
      #expect {
        _ = try file.load(for: virtualServers)
      } throws: {
        "\($0)" == text
      }
    }
  }

  @Test func ofManyVirtualServersAFewAreNamed() {
    let names = (1...64).map { "web-\($0)" }
    #expect(
      "\(Refusal.notConfigured(commandLines: nil, names: names))"
        == "it is of virtual servers that are not configured: web-1, web-2, web-3, web-4, web-5, "
        + "web-6, web-7, web-8 and 56 more")
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
      #expect(throws: Refusal.truncated) { try file.load(for: golden.configured) }
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
