// How starts that fail are counted, and what ends the wait before the next.
import Foundation
import SystemPackage
import Systemd
import TestSupport
import Testing

@testable import ulb

@Suite struct FailedStartsTests {
  private let directory = Result { try TemporaryDirectory() }

  /// The starts that a service manager has kept under these names.
  private func starts(_ names: String...) throws -> (FailedStarts, rest: [DescriptorStore.Entry]) {
    var kept = try names.map {
      (name: $0, descriptor: try FileDescriptor.standardError.duplicate())
    }
    let starts = FailedStarts(&kept, notifier: nil)
    return (starts, kept)
  }

  @Test func theDelayGrowsToAMinute() {
    let seconds = (1...12).map { FailedStarts.delay($0).components.seconds }
    #expect(seconds == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60])
    #expect(FailedStarts.delay(.max) == .seconds(60))
  }

  @Test func theCountIsTheNameOfWhatIsKept() throws {
    let (starts, rest) = try starts("xdp-link", "failed-starts.3", "round.1")
    #expect(starts.count == 3)
    #expect(rest.map(\.name) == ["xdp-link", "round.1"])
    for entry in rest { try? entry.descriptor.close() }
  }

  @Test(arguments: ["", "x", "-3", "0", "99999999999999999999", "1.5"])
  func aNameThatMakesNoSenseCountsNothing(suffix: String) throws {
    #expect(try starts("failed-starts." + suffix).0.count == 0)
    #expect(try starts("failed-starts." + suffix).rest.isEmpty)
  }

  @Test func whatIsCountedIsKeptAndForgotten() throws {
    let notifications = try NotifySocket(in: directory.get())
    let notifier = try #require(
      try Notifier { $0 == "NOTIFY_SOCKET" ? notifications.path : nil })
    var kept: [DescriptorStore.Entry] = [
      ("failed-starts.1", try FileDescriptor.standardError.duplicate())
    ]
    var starts = FailedStarts(&kept, notifier: notifier)
    starts.add()
    #expect(starts.count == 2)
    starts.forget()
    #expect(
      notifications.assignments == [
        "FDSTORE=1", "FDNAME=failed-starts.2", "FDPOLL=0",
        "FDSTOREREMOVE=1", "FDNAME=failed-starts.1",
        "FDSTOREREMOVE=1", "FDNAME=failed-starts.2",
      ])
  }

  @Test func withoutAServiceManagerNothingIsPutOff() throws {
    var starts = try starts("failed-starts.9").0
    let start = ContinuousClock.now
    let isToldToEnd = starts.putOff("reason", until: StartConditions())
    #expect(!isToldToEnd)
    #expect(ContinuousClock.now - start < .seconds(1))
  }

  @Test func aFileThatChangesOrComesOrGoesEndsTheWait() throws {
    let path = try directory.get().path(of: "servers")
    var conditions = StartConditions()
    conditions.add(file: path, FileFingerprint(path: path))
    #expect(!conditions.haveChanged)
    try "[Real Servers]".write(toFile: path, atomically: false, encoding: .utf8)
    #expect(conditions.haveChanged)
    conditions.add(file: path, FileFingerprint(path: path))
    #expect(!conditions.haveChanged)
    unlink(path)
    #expect(conditions.haveChanged)
  }

  @Test func anInterfaceThatDidNotChangeDoesNotEndIt() {
    var conditions = StartConditions()
    conditions.add(interface: "lo")
    #expect(!conditions.haveChanged)
    conditions.add(interface: "nonsense")
    #expect(!conditions.haveChanged)
  }
}
