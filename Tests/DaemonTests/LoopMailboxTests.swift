// Work of other threads is done by the loop, in order, and nobody waits for an outcome for ever.
import Glibc
import Testing

@testable import ulb

@Suite struct LoopMailboxTests {
  /// The state that only the loop's thread touches.
  private final class Owner {
    let loop = EventLoop()
    var thread: pthread_t?
    var done: [Int] = []
  }

  private struct Refusal: Error, Equatable { let number: Int }

  private typealias Mailbox = LoopMailbox<Owner>

  /// Runs a loop with the mailbox until `body` has ended.
  private func withLoop(_ body: @escaping @Sendable (Mailbox) async throws -> Void) async throws {
    let mailbox = try Mailbox()
    let thread = LoopThread {
      let owner = Owner()
      owner.thread = pthread_self()
      mailbox.start(on: owner.loop) { owner }
      owner.loop.run()
    }
    try await body(mailbox)
    try? await mailbox.submit { $0.loop.stop() }
    thread.join()
  }

  @Test func workIsDoneOnTheLoopAndItsValueComesBack() async throws {
    try await withLoop { mailbox in
      let isLoops = try await mailbox.submit { owner in
        owner.thread.map { pthread_equal($0, pthread_self()) != 0 }
      }
      #expect(isLoops == true)
      await #expect(throws: Refusal(number: 3)) {
        try await mailbox.submit { _ in throw Refusal(number: 3) }
      }
    }
  }

  @Test func workOfManyIsDoneOneAfterAnother() async throws {
    try await withLoop { mailbox in
      let counts = try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<1000 {
          group.addTask {
            try await mailbox.submit {
              $0.done.append(number)
              return $0.done.count
            }
          }
        }
        return try await group.reduce(into: [Int]()) { $0.append($1) }
      }
      #expect(counts.sorted() == Array(1...1000))
      let done = try await mailbox.submit { $0.done }
      #expect(done.sorted() == Array(0..<1000))
    }
  }

  /// Work may take long, and the loop has more to do.
  @Test func workThatWaitsIsDoneOnePieceInEachRound() throws {
    let (mailbox, owner) = (try Mailbox(), Owner())
    for number in 1...3 {
      mailbox.post { owner in
        owner.done.append(number)
        if number == 3 { owner.loop.stop() }
      }
    }
    var doneBefore: [[Int]] = []
    owner.loop.beforeSleep = { doneBefore.append(owner.done) }
    mailbox.start(on: owner.loop) { owner }
    owner.loop.run()
    #expect(owner.done == [1, 2, 3])
    #expect(doneBefore == [[], [1], [1, 2]])
  }

  @Test func aReplyMayComeLaterAndOnlyTheFirstCounts() async throws {
    try await withLoop { mailbox in
      let value = try await mailbox.begin { (owner, reply: Mailbox.Reply<Int>) in
        let timer = owner.loop.timer {
          reply.resume(1)
          reply.resume(2)
          reply.fail(Refusal(number: 3))
        }
        timer.set(after: .milliseconds(1))
      }
      #expect(value == 1)
    }
  }

  @Test func whatHasNoOutcomeWhenItClosesIsGivenUp() async throws {
    let mailbox = try Mailbox()
    // No loop runs: nothing is ever done.
    let waiting = Task { try await mailbox.submit { _ in 1 } }
    while !mailbox.hasOutstanding { await Task.yield() }
    mailbox.close()
    await #expect(throws: Mailbox.Closed.self) { try await waiting.value }
    await #expect(throws: Mailbox.Closed.self) { try await mailbox.submit { _ in 1 } }
  }
}

/// A thread that is waited for.
private final class LoopThread {
  private var thread = pthread_t()

  init(_ body: @escaping @Sendable () -> Void) {
    let context = Unmanaged.passRetained(Body(body)).toOpaque()
    let status = pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        Unmanaged<Body>.fromOpaque(context).takeRetainedValue().call()
        return nil
      }, context)
    precondition(status == 0, "no thread")
  }

  func join() { pthread_join(thread, nil) }

  private final class Body {
    let call: @Sendable () -> Void
    init(_ call: @escaping @Sendable () -> Void) { self.call = call }
  }
}
