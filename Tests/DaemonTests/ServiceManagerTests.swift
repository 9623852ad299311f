// What the service manager hears in the end, however long it has not listened.
import Glibc
import SystemPackage
import Systemd
import TestSupport
import Testing

@testable import ulb

@Suite struct ServiceManagerTests {
  private let directory: TemporaryDirectory
  private let log: Log
  private let pipe: Pipe

  init() throws {
    directory = try TemporaryDirectory()
    pipe = try Pipe()
    log = Log(format: .text, output: Output(pipe.writing))
  }

  private func manager() throws -> ServiceManager {
    let path = directory.path(of: "notify")
    return ServiceManager(log: log, hasKept: true) {
      try Notifier { $0 == "NOTIFY_SOCKET" ? path : nil }
    }
  }

  /// Without the time of a reload.
  private func told(_ socket: NotifySocket) -> [String] {
    socket.assignments.filter { !$0.hasPrefix("MONOTONIC_USEC") && !$0.hasPrefix("FDPOLL") }
  }

  @Test func whatIsNotTakenIsToldAgainInItsOrder() throws {
    let manager = try manager()
    manager.store(.standardError, name: "link")
    manager.show("one")
    manager.ready()
    manager.reloading()
    manager.show("two")
    manager.ready()
    manager.removeStored(name: "tables")
    #expect(manager.isBehind)
    let socket = try NotifySocket(in: directory, reads: false)
    manager.retry()
    #expect(!manager.isBehind)
    #expect(
      told(socket) == [
        "FDSTORE=1", "FDNAME=link", "READY=1", "STATUS=two", "RELOADING=1", "READY=1",
        "STATUS=two", "FDSTOREREMOVE=1", "FDNAME=tables",
      ])
    manager.retry()
    #expect(told(socket).count == 9)
    // The failure is said once.
    #expect(pipe.read(while: log.flush).count == 1)
  }

  @Test func aFullQueueLosesNothing() throws {
    let socket = try NotifySocket(in: directory, reads: false)
    let manager = try manager()
    var sent = 0
    while !manager.isBehind {
      manager.watchdog()
      sent += 1
      try #require(sent < 1_000_000)
    }
    manager.show("ready")
    manager.ready()
    manager.watchdog()
    #expect(!told(socket).contains("READY=1"))
    manager.retry()
    #expect(told(socket).suffix(2) == ["READY=1", "STATUS=ready"])
    #expect(!manager.isBehind)
  }

  @Test func ofManyReloadsOnlyTheLastIsTold() throws {
    let manager = try manager()
    manager.ready()
    for _ in 0..<100 {
      manager.reloading()
      manager.ready()
    }
    let socket = try NotifySocket(in: directory, reads: false)
    manager.retry()
    #expect(told(socket) == ["READY=1", "RELOADING=1", "READY=1"])
  }

  @Test func ofManyStatusesOnlyTheLastIsTold() throws {
    let manager = try manager()
    for number in 0..<100 { manager.show("\(number)") }
    let socket = try NotifySocket(in: directory, reads: false)
    manager.retry()
    manager.show("99")
    #expect(told(socket) == ["STATUS=99"])
  }

  @Test func whatIsLetGoIsNotStoredAnyMore() throws {
    let manager = try manager()
    manager.store(.standardError, name: "link")
    manager.removeStored(name: "link")
    manager.store(.standardError, name: "tables")
    manager.stopping()
    let socket = try NotifySocket(in: directory, reads: false)
    manager.drain()
    #expect(told(socket) == ["FDSTOREREMOVE=1", "FDNAME=link", "STOPPING=1"])
  }

  @Test func whatCanNeverBeTakenDoesNotStopTheRest() throws {
    let socket = try NotifySocket(in: directory, reads: false)
    let manager = try manager()
    manager.store(.standardError, name: "no:name")
    manager.store(FileDescriptor(rawValue: -1), name: "tables")
    manager.ready()
    #expect(told(socket) == ["READY=1"])
    #expect(!manager.isBehind)
  }

  @Test func theEndDoesNotWaitForAManagerThatIsGone() throws {
    let manager = try manager()
    manager.stopping()
    let start = ContinuousClock.now
    manager.drain()
    #expect(ContinuousClock.now - start < .milliseconds(500))
    #expect(manager.retryInterval == .seconds(1))
  }

  @Test func theEndWaitsABitForAManagerThatIsBehind() throws {
    let socket = try NotifySocket(in: directory, reads: false)
    let manager = try manager()
    while !manager.isBehind { manager.watchdog() }
    manager.stopping()
    let start = ContinuousClock.now
    manager.drain()
    let patience = ContinuousClock.now - start
    #expect((.milliseconds(900)...(.seconds(10))).contains(patience))
    #expect(manager.isBehind)
    #expect(!told(socket).contains("STOPPING=1"))
    manager.drain()
    #expect(told(socket).last == "STOPPING=1")
  }

  @Test func progressIsShownAndExtendsTheTimeOnceASecond() throws {
    let socket = try NotifySocket(in: directory, reads: false)
    let manager = try manager()
    for number in 0..<3 { manager.progress("\(number) associations copied") }
    #expect(
      told(socket) == [
        "EXTEND_TIMEOUT_USEC=30000000", "STATUS=0 associations copied",
        "STATUS=1 associations copied", "STATUS=2 associations copied",
      ])
    usleep(1_100_000)
    manager.progress("3 associations copied")
    #expect(told(socket).suffix(2).first == "EXTEND_TIMEOUT_USEC=30000000")
  }

  @Test func aManagerThatKeepsNothingIsAskedOnce() throws {
    // The socket of the test takes no descriptors: they are closed as it reads.
    let socket = try NotifySocket(in: directory, reads: false)
    let path = socket.path
    let manager = ServiceManager(log: log, hasKept: false) {
      try Notifier { $0 == "NOTIFY_SOCKET" ? path : nil }
    }
    #expect(socket.assignments == ["FDSTORE=1", "FDNAME=probe", "BARRIER=1"])
    for name in ["associations", "link"] { manager.store(.standardError, name: name) }
    manager.removeStored(name: "link")
    manager.ready()
    #expect(socket.assignments.dropFirst(3) == ["READY=1"])
  }

  @Test func aManagerThatDoesNotAnswerIsTakenToKeepThings() throws {
    let socket = try NotifySocket(in: directory, reads: false)
    let path = socket.path
    let manager = ServiceManager(log: log, hasKept: false) {
      try Notifier { $0 == "NOTIFY_SOCKET" ? path : nil }
    }
    manager.store(.standardError, name: "link")
    #expect(told(socket).contains("FDNAME=link"))
    #expect(pipe.read(while: log.flush).isEmpty)
  }

  @Test func withoutAManagerNothingWaits() {
    let manager = ServiceManager(log: log, hasKept: true) { nil }
    manager.store(.standardError, name: "link")
    manager.show("one")
    manager.ready()
    manager.watchdog()
    #expect(!manager.isBehind)
  }
}
