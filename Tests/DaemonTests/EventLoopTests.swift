// What the loop calls, when, and how little it does where nothing happens.
import Glibc
import Testing

@testable import ulb

@Suite struct EventLoopTests {
  private let loop = EventLoop()

  /// Runs the loop until it is stopped, or for too long.
  private func run() {
    let limit = loop.timer { [loop] in
      Issue.record("nothing has stopped the loop")
      loop.stop()
    }
    limit.set(after: .seconds(20))
    loop.run()
    limit.unset()
  }

  @Test func aDescriptorThatIsReadyIsServedAtOnce() throws {
    let pipe = try Pipe()
    var at: ContinuousClock.Instant?
    let source = loop.watch(pipe.reading, for: .reading) { [loop] in
      at = .now
      #expect(pipe.take(10) == [1])
      loop.stop()
    }
    var written: ContinuousClock.Instant?
    let writer = loop.timer {
      written = .now
      pipe.put([1])
    }
    writer.set(after: .milliseconds(50))
    run()
    source.cancel()
    let delay = try #require(at) - #require(written)
    #expect(delay < .seconds(1))
  }

  @Test func timersAreCalledInTheirOrderAndNeverEarly() {
    var called: [Int] = []
    let start = ContinuousClock.now
    let times = [30, 10, 20]
    for time in times {
      let timer = loop.timer { [loop] in
        called.append(time)
        #expect(ContinuousClock.now - start >= .milliseconds(time))
        if called.count == 3 { loop.stop() }
      }
      timer.set(after: .milliseconds(time))
    }
    run()
    // Under load two may be due in one round.
    #expect(called.sorted() == [10, 20, 30])
    #expect(called.first == 10 || ContinuousClock.now - start > .milliseconds(30))
  }

  @Test func aTimerIsCalledOnceForEachTimeItIsSet() {
    var count = 0
    let timer = loop.timer { count += 1 }
    timer.set(after: .milliseconds(1))
    timer.set(after: .milliseconds(5))
    timer.setIfUnset(after: .zero)
    let unset = loop.timer { Issue.record("it was unset") }
    unset.set(after: .milliseconds(1))
    unset.unset()
    loop.timer { [loop] in loop.stop() }.set(after: .milliseconds(50))
    run()
    #expect(count == 1)
    #expect(timer.deadline == nil)
  }

  @Test func whatIsPausedOrCancelledIsNotCalled() throws {
    let pipe = try Pipe()
    pipe.put([1])
    var calls: [String] = []
    let paused = loop.watch(pipe.reading, for: .reading) { calls.append("paused") }
    paused.isPaused = true
    let cancelled = loop.watch(pipe.reading, for: .reading) { calls.append("cancelled") }
    // Cancelled by a handler before it, in the same round.
    var first: EventLoop.Source?
    first = loop.watch(pipe.reading, for: .reading) {
      calls.append("first")
      first?.isPaused = true
    }
    let second = loop.watch(pipe.reading, for: .reading) { [loop] in
      calls.append("second")
      loop.stop()
    }
    cancelled.cancel()
    run()
    #expect(calls == ["first", "second"])
    second.cancel()
    paused.isPaused = false
    loop.timer { [loop] in loop.stop() }.set(after: .milliseconds(1))
    run()
    #expect(calls.dropFirst(2).allSatisfy { $0 == "paused" })
    #expect(calls.count > 2)
  }

  @Test func aReaderThatGoesAwayIsTold() throws {
    let pipe = try Pipe()
    pipe.closeReading()
    var isTold = false
    _ = loop.watch(pipe.writing, for: .writing) { [loop] in
      isTold = true
      loop.stop()
    }
    run()
    #expect(isTold)
  }

  @Test func workInPiecesLetsOthersIn() throws {
    let pipe = try Pipe()
    var pieces = 0
    var work: EventLoop.Timer?
    work = loop.timer {
      pieces += 1
      if pieces == 100 {
        pipe.put([1])
      }
      if pieces < 1_000_000 { work?.set(after: .zero) }
    }
    work?.set(after: .zero)
    _ = loop.watch(pipe.reading, for: .reading) { [loop] in loop.stop() }
    run()
    #expect(pieces == 100)
  }

  @Test func whereNothingHappensItSleeps() {
    var rounds = 0
    loop.beforeSleep = { rounds += 1 }
    loop.timer { [loop] in loop.stop() }.set(after: .milliseconds(300))
    run()
    #expect(rounds <= 3)
  }
}
