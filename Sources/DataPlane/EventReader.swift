// Events of the program in service, and of those that it has replaced, as long as they may tell any.
import BCC
import LoadBalancing
import SystemPackage

/// Where one program puts its events, and counts those that it has no room for.
struct EventSource {
  private let buffer: RingBuffer
  private let counters: CounterTable
  /// How many of the lost events were counted already.
  private var counted: UInt64 = 0

  /// That of a module's programs.
  init(of module: Module) throws(BCCError) {
    buffer = try RingBuffer(module.table("events"))
    counters = try CounterTable(module.table("counters"))
  }

  /// Lent for poll(2).
  var descriptorToWaitFor: FileDescriptor { buffer.descriptorToWaitFor }

  /// - Returns: how many events there were, at most `limit`.
  func consume(limit: Int, _ body: (UnsafeRawBufferPointer) -> Void) -> Int {
    limit > 0 ? buffer.consume(limit: limit, body) : 0
  }

  /// How many events were lost since the last call.
  mutating func newlyLost() throws(BCCError) -> UInt64 {
    let total = try counters.sum(Counter.eventsLost.key)
    defer { counted = total }
    return total &- counted
  }
}

/// Reads the events of all programs that may still tell any, those of the oldest first.
struct EventReader {
  private var current: EventSource
  /// Those of programs that were replaced, and until when.
  private var former: [(source: EventSource, until: ContinuousClock.Instant)] = []
  private var lostOfFormer: UInt64 = 0

  /// How long after a swap a program may be under way on another CPU. The kernel lets none run for
  /// longer than a few milliseconds; a virtual CPU may be taken away meanwhile.
  private static let afterlife = Duration.seconds(1)

  init(_ source: EventSource) {
    current = source
  }

  /// Lent for poll(2), for the events of the program in service.
  var descriptorToWaitFor: FileDescriptor { current.descriptorToWaitFor }

  var mayHaveFormerEvents: Bool { !former.isEmpty }

  /// To be called when a program has taken another's place, whose events are read for a little while
  /// longer.
  mutating func replaceCurrent(with source: EventSource) {
    former.append((current, ContinuousClock.now + EventReader.afterlife))
    current = source
  }

  /// Hands over the events that are there, at most `limit`; never waits.
  ///
  /// - Returns: how many there were.
  mutating func consume(limit: Int, _ body: (UnsafeRawBufferPointer) -> Void) -> Int {
    var count = 0
    while let (source, until) = former.first {
      // Asked before it is read: what comes later is after its time.
      let isOver = ContinuousClock.now >= until
      count += source.consume(limit: limit - count, body)
      guard isOver, count < limit else { break }
      letGo()
    }
    for (source, _) in former.dropFirst() { count += source.consume(limit: limit - count, body) }
    return count + current.consume(limit: limit - count, body)
  }

  /// How many events were lost since the last call, because nobody took them in time.
  mutating func newlyLost() throws(BCCError) -> UInt64 {
    for index in former.indices { lostOfFormer += (try? former[index].source.newlyLost()) ?? 0 }
    let lost = try current.newlyLost()
    defer { lostOfFormer = 0 }
    return lost + lostOfFormer
  }

  private mutating func letGo() {
    var (source, _) = former.removeFirst()
    lostOfFormer += (try? source.newlyLost()) ?? 0
  }
}
