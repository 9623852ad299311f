// The daemon sleeps until something happens, and then is there at once.
import Foundation
import TestSupport
import Testing

@Suite struct MainLoopTests {
  /// How often a process went to sleep by itself.
  private func sleeps(_ process: pid_t) throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
    let line = try #require(
      status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches:") })
    return try #require(Int(line.split(separator: "\t").last ?? ""))
  }

  /// User and system time, in ticks of 10 ms.
  private func ticks(_ process: pid_t) throws -> Int {
    let stat = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
    let fields = stat.split(separator: " ")
    return try #require(Int(fields[13])) + #require(Int(fields[14]))
  }

  @Test func whereNothingHappensTheDaemonSleeps() throws {
    let service = try BalancedService(usingFile: true)
    let process = service.daemon.process.pid
    usleep(500_000)
    let before = (try sleeps(process), try ticks(process))
    usleep(5_000_000)
    let after = (try sleeps(process), try ticks(process))
    // The config file is looked at each second, the interface as often.
    #expect(after.0 - before.0 <= 30)
    #expect(after.1 - before.1 <= 2)
    #expect(try service.daemon.stop() == 0)
  }

  @Test func eventsAndSignalsAreServedAtOnce() throws {
    let service = try BalancedService(options: ["-l", "DEBUG"])
    let process = service.daemon.process
    var delays: [Duration] = []
    for number in 1...21 {
      usleep(30_000)
      let client = try service.newClient()
      #expect(try service.server(answering: client) != nil)
      let answered = ContinuousClock.now
      let isThere = waitUntil {
        process.standardOutput.count { $0.contains("(NEW ASSOCIATION)") } == number
      }
      #expect(isThere)
      delays.append(ContinuousClock.now - answered)
    }
    // Of what it took, 10 ms are the test's own, and 10 ms those in which events gather.
    let usual = delays.sorted()[10]
    print("an event is in the log after \(usual)")
    #expect(usual < .milliseconds(60))

    let begin = ContinuousClock.now
    #expect(try service.daemon.stop() == 0)
    let stop = ContinuousClock.now - begin
    print("ended after \(stop)")
  }
}
