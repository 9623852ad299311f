// What the daemon's own lines look like, and what becomes of those that nobody reads.
import Foundation
import LoadBalancing
import Testing

@testable import ulb

@Suite struct LogTests {
  private func message(_ line: String) throws -> String {
    let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
    return try #require((object as? [String: String])?["message"])
  }

  @Test(arguments: ["x", "\u{1}", "🜂"]) func aLongMessageIsStillAnObject(character: String) throws {
    let pipe = try Pipe()
    let log = Log(format: .json, output: Output(pipe.writing))
    log.error(String(repeating: character, count: 300_000))
    log.error("the next")
    let lines = pipe.read(while: log.flush)
    #expect(lines.count == 2)
    #expect(lines[0].utf8.count <= Output.longestLine)
    let text = try message(lines[0])
    #expect(text.hasPrefix(String(repeating: character, count: 2000)))
    #expect(text.hasSuffix(" bytes more)"))
    #expect(try message(lines[1]) == "the next")
  }

  /// Both families may come in turn.
  @Test func aLineOfAnEventIsAsWideAsItsFamilyNeeds() throws {
    let pipe = try Pipe()
    let log = Log(format: .text, output: Output(pipe.writing))
    for address in ["10.0.0.1", "fd00::1", "10.0.0.1"] {
      log.event(JournalLogTests.record(.notUDP, IPAddress(address)!))
    }
    let lines = pipe.read(while: log.flush)
    #expect(
      lines
        == [33, 57, 33].map { width in
          let pair = "02:00:00:00:00:01/" + (width == 33 ? "10.0.0.1" : "fd00::1")
          let blank = String(repeating: " ", count: width - pair.utf8.count)
          return blank + pair + " <─> " + pair + blank + " Not UDP packet"
        })
  }

  @Test func aVirtualServerIsNamedInJSONAlone() throws {
    for (format, isNamed) in [(LogFormat.text, false), (.json, true)] {
      let pipe = try Pipe()
      let log = Log(format: format, output: Output(pipe.writing))
      var record = JournalLogTests.record(.ingressNewNAT)
      record.virtualServer = "lwm2m-v6"
      log.event(record)
      let text = pipe.read(while: log.flush).joined()
      #expect(text.contains(#""virtual_server":"lwm2m-v6""#) == isNamed)
      #expect(text.contains("lwm2m-v6") == isNamed)
    }
  }

  @Test func aNoticeAboutAVirtualServerNamesItInJSON() throws {
    for (format, fields) in [(LogFormat.text, 0), (.json, 2)] {
      let pipe = try Pipe()
      let log = Log(format: format, output: Output(pipe.writing))
      log.notice("one\ntwo", virtualServer: "lwm2m-v6")
      log.notice("three")
      let lines = pipe.read(while: log.flush)
      #expect(lines.count == 3)
      #expect(lines.count { $0.contains(#""virtual_server":"lwm2m-v6""#) } == fields)
      #expect(lines.last?.contains("virtual_server") == false)
    }
  }

  @Test func linesThatNobodyReadAreCounted() throws {
    let pipe = try Pipe()
    let log = Log(format: .text, output: Output(pipe.writing))
    for _ in 0..<400 { log.error(String(repeating: "x", count: 992)) }
    let written = pipe.read(while: log.flush)
    #expect(written.count < 400)
    log.error("read again")
    #expect(
      pipe.read(while: log.flush) == [
        "WARNING: \(400 - written.count) line(s) of this log were lost here", "ERROR: read again",
      ])
  }
}

/// What the journal gets: sd-daemon(3).
@Suite struct JournalLogTests {
  private let pipe: Pipe
  private let log: Log

  init() throws {
    pipe = try Pipe()
    log = Log(format: .text, output: Output(pipe.writing), isJournal: true)
  }

  fileprivate static func record(
    _ event: Event, _ address: IPAddress = IPAddress("10.0.0.1")!
  ) -> EventRecord {
    let mac: [UInt8] = [2, 0, 0, 0, 0, 1]
    return EventRecord(
      event: event, sourceMAC: mac, destinationMAC: mac, source: address, destination: address,
      sourcePort: 1, destinationPort: 2, newSourceMAC: mac, newDestinationMAC: mac,
      newSource: address, newDestination: address)
  }

  private func lines() -> [String] { pipe.read(while: log.flush) }

  @Test func eachOwnLineBeginsWithItsPriority() {
    log.notice("one\ntwo")
    log.error("three\nfour")
    log.warning("five")
    log.debug("six")
    #expect(
      lines() == [
        "<5>one", "<5>two", "<3>ERROR: three", "<3>four", "<4>WARNING: five", "<7>six",
      ])
  }

  @Test(arguments: Event.allCases) func eachLineOfAnEventBeginsWithItsPriority(event: Event) {
    log.event(Self.record(event))
    let expected =
      switch event.level {
      case .critical: "<2>"
      case .error: "<3>"
      case .warning: "<4>"
      case .info: "<6>"
      case .debug, .trace: "<7>"
      }
    let lines = lines()
    #expect(lines.count == (event.kind == .translated ? 2 : 1))
    for line in lines { #expect(line.hasPrefix(expected + " ") || line.hasPrefix(expected + "0")) }
  }

  @Test func manyEventsOfALevelHideNothingElse() throws {
    var written = 0
    for _ in 0..<EventAllowance.burst + 5_000 {
      log.event(Self.record(.notUDP))
      written += lines().count
    }
    let allowed = EventAllowance.burst
    #expect((allowed...allowed + 4_000).contains(written))
    log.event(Self.record(.egressNotAuthorized))
    log.notice("ulb's own")
    log.reportLostEvents(unread: 0)
    log.reportLostEvents(unread: 0)
    let rest = lines()
    #expect(rest.count == 3)
    #expect(rest[0].hasPrefix("<6>") && rest[0].contains("Not associated real server"))
    #expect(rest[1] == "<5>ulb's own")
    let count = allowed + 5_000 - written
    #expect(
      rest[2]
        == "<4>WARNING: \(count) events not logged: the journal gets at most 10000 of a level in 30 s"
    )
  }

  @Test func anotherReaderGetsEveryEventAndNoPriority() throws {
    let log = Log(format: .text, output: Output(pipe.writing), isJournal: false)
    var written = 0
    for _ in 0..<EventAllowance.burst + 5_000 {
      log.event(Self.record(.notUDP))
      let lines = pipe.read(while: log.flush)
      #expect(lines.first?.hasPrefix("<") == false)
      written += lines.count
    }
    #expect(written == EventAllowance.burst + 5_000)
  }

  @Test func theAllowanceComesBackWithTime() {
    var allowance = EventAllowance()
    let start = ContinuousClock.now
    let burst = EventAllowance.burst
    func taken(_ level: LogLevel, at time: ContinuousClock.Instant) -> Int {
      (0..<2 * burst).count { _ in allowance.take(level, now: time) }
    }
    #expect(taken(.info, at: start) == burst)
    #expect(taken(.warning, at: start) == burst)
    let half = taken(.info, at: start + EventAllowance.interval / 2)
    #expect((burst / 2 - 1...burst / 2 + 1).contains(half))
  }
}
