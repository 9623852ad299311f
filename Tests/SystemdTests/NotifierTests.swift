// Each message of the notifier, as a manager's socket receives it.

import Glibc
import SystemPackage
import Testing

@testable import Systemd

@Suite struct NotifierTests {
  /// A notifier and the receiver that it reports to.
  private func makePair(
    abstract: Bool = true, environment: [String: String] = [:]
  ) throws -> (Notifier, Receiver) {
    let receiver = try Receiver(Receiver.newAddress(abstract: abstract))
    return (try #require(try Notifier(environment: receiver.environment(environment))), receiver)
  }

  @Test(arguments: [true, false]) func everyMessageArrives(abstract: Bool) throws {
    let (notifier, receiver) = try makePair(abstract: abstract)
    try notifier.ready()
    try notifier.ready(status: "3 real servers")
    try notifier.status("first\nsecond\r\nthird")
    try notifier.stopping()
    try notifier.watchdog()
    try notifier.remove(name: "tables")
    try notifier.extendTimeout(.milliseconds(90_500))
    for expected in [
      "READY=1", "READY=1\nSTATUS=3 real servers", "STATUS=first second third", "STOPPING=1",
      "WATCHDOG=1", "FDSTOREREMOVE=1\nFDNAME=tables", "EXTEND_TIMEOUT_USEC=90500000",
    ] {
      #expect(try receiver.receive()?.text == expected)
    }
    #expect(try receiver.receive() == nil)
  }

  @Test func reloadingSaysWhenItBegan() throws {
    func now() -> Int {
      var time = timespec()
      clock_gettime(CLOCK_MONOTONIC, &time)
      return time.tv_sec * 1_000_000 + time.tv_nsec / 1000
    }
    let (notifier, receiver) = try makePair()
    let before = now()
    try notifier.reloading()
    let after = now()
    let text = try #require(try receiver.receive()?.text)
    let prefix = "RELOADING=1\nMONOTONIC_USEC="
    #expect(text.hasPrefix(prefix))
    let time = try #require(Int(text.dropFirst(prefix.count)))
    #expect((before...after).contains(time))
  }

  @Test(arguments: [1, 2, 3, Notifier.maximumDescriptors])
  func storedDescriptorsAreTheSameFiles(count: Int) throws {
    let (notifier, receiver) = try makePair()
    let descriptors = try (0..<count).map { _ in try newFile() }
    defer { closeAll(descriptors) }
    try notifier.store(descriptors, name: "tables")
    let message = try #require(try receiver.receive())
    defer { closeAll(message.descriptors) }
    #expect(message.text == "FDSTORE=1\nFDNAME=tables\nFDPOLL=0")
    #expect(Set(message.descriptors).isDisjoint(with: descriptors))
    #expect(try message.descriptors.map(FileIdentity.init) == descriptors.map(FileIdentity.init))
    #expect(Set(try descriptors.map(FileIdentity.init)).count == count)
  }

  @Test func wrongCountsAndNamesAreRefused() throws {
    let (notifier, receiver) = try makePair()
    let tooMany = [FileDescriptor](
      repeating: .standardInput, count: Notifier.maximumDescriptors + 1)
    #expect(throws: SystemdError.invalidDescriptorCount(0)) {
      try notifier.store([], name: "a")
    }
    #expect(throws: SystemdError.invalidDescriptorCount(254)) {
      try notifier.store(tooMany, name: "a")
    }
    for name in ["", "a:b", "a\nREADY=1", "é", String(repeating: "a", count: 256)] {
      #expect(throws: SystemdError.invalidName(name)) {
        try notifier.store([.standardInput], name: name)
      }
      #expect(throws: SystemdError.invalidName(name)) { try notifier.remove(name: name) }
    }
    #expect(try receiver.receive() == nil)
    try notifier.remove(name: String(repeating: "a", count: 255))
    #expect(try receiver.receive() != nil)
  }

  @Test func withoutAManagerThereIsNoNotifier() throws {
    #expect(try Notifier(environment: { _ in nil }) == nil)
    #expect(try Notifier(environment: { _ in "" }) == nil)
  }

  @Test(arguments: [
    "run/notify", "@", "vsock:2:1", "/" + String(repeating: "a", count: 107),
    "@" + String(repeating: "a", count: 107),
  ])
  func otherAddressesAreRefused(address: String) {
    #expect(throws: SystemdError.invalidAddress(address)) {
      try Notifier(environment: { $0 == "NOTIFY_SOCKET" ? address : nil })
    }
  }

  @Test(arguments: [true, false]) func theLongestAddressesWork(abstract: Bool) throws {
    let start = Receiver.newAddress(abstract: abstract)
    let address = start + String(repeating: "a", count: 107 - start.utf8.count)
    let receiver = try Receiver(address)
    let notifier = try #require(try Notifier(environment: receiver.environment()))
    try notifier.ready()
    #expect(try receiver.receive()?.text == "READY=1")
  }

  @Test func aSocketThatIsGoneIsAnErrorUntilItIsBack() throws {
    let address = Receiver.newAddress(abstract: false)
    var receiver: Receiver? = try Receiver(address)
    let environment = try #require(receiver).environment()
    let notifier = try #require(try Notifier(environment: environment))
    try notifier.ready()
    receiver = nil
    #expect(
      throws: SystemdError.systemCall("sendmsg", address: address, errno: .noSuchFileOrDirectory)
    ) {
      try notifier.watchdog()
    }
    let next = try Receiver(address)
    try notifier.watchdog()
    #expect(try next.receive()?.text == "WATCHDOG=1")
  }

  @Test func aManagerThatDoesNotReadDoesNotBlock() throws {
    let (notifier, receiver) = try makePair()
    let full = SystemdError.systemCall(
      "sendmsg", address: receiver.address, errno: .resourceTemporarilyUnavailable)
    var sent = 0
    #expect(throws: full) {
      while sent < 1_000_000 {
        try notifier.watchdog()
        sent += 1
      }
    }
    for _ in 0..<sent { #expect(try receiver.receive()?.text == "WATCHDOG=1") }
    #expect(try receiver.receive() == nil)
    try notifier.watchdog()
    #expect(try receiver.receive() != nil)
  }

  @Test func theNotifierClosesItsSocket() throws {
    let receiver = try Receiver(Receiver.newAddress(abstract: true))
    var notifier = try Notifier(environment: receiver.environment())
    // A socket's inode number is not used again, unlike its descriptor.
    let socket = try #require(notifier?.socket)
    let identity = try FileIdentity(socket)
    #expect(try FileIdentity.ofOpenDescriptors().contains(identity))
    notifier = nil
    #expect(try !FileIdentity.ofOpenDescriptors().contains(identity))
  }

  /// What the manager says, and what follows of it.
  struct Watchdog: Sendable, CustomTestStringConvertible {
    var microseconds: String?
    var process: String?
    var interval: Duration?
    var testDescription: String { "\(microseconds ?? "unset") for \(process ?? "unset")" }
  }

  @Test(arguments: [
    Watchdog(),
    Watchdog(microseconds: "30000000", interval: .seconds(15)),
    Watchdog(microseconds: "30000000", process: String(getpid()), interval: .seconds(15)),
    Watchdog(microseconds: "30000000", process: "1"),
    Watchdog(microseconds: "3", process: String(getpid()), interval: .nanoseconds(1500)),
    Watchdog(microseconds: "0"),
    Watchdog(microseconds: "-5"),
    Watchdog(microseconds: "soon"),
  ])
  func theWatchdogIntervalIsHalfOfWhatTheManagerWaits(watchdog: Watchdog) throws {
    var environment: [String: String] = [:]
    environment["WATCHDOG_USEC"] = watchdog.microseconds
    environment["WATCHDOG_PID"] = watchdog.process
    let (notifier, _) = try makePair(environment: environment)
    #expect(notifier.watchdogInterval == watchdog.interval)
  }

  @Test func errorsNameTheCallTheAddressAndTheReason() {
    let error = SystemdError.systemCall("sendmsg", address: "/run/x", errno: .noSuchFileOrDirectory)
    #expect(
      "\(error)" == "sendmsg to the service manager at /run/x failed: No such file or directory")
  }
}
