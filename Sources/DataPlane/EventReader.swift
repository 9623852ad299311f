// Events of the program in service, and of those that it has replaced, as long as they may tell any.
import BCC
import LoadBalancing
import SystemPackage

/// Reads the events of all programs that may still tell any, those of the oldest first.
struct EventReader {
  private var current: RingBuffer
  /// Those of programs that were replaced, and until when.
  private var former: [(source: RingBuffer, until: ContinuousClock.Instant)] = []

  /// How long after a swap a program may be under way on another CPU. The kernel lets none run for
  /// longer than a few milliseconds; a virtual CPU may be taken away meanwhile.
  private static let afterlife = Duration.seconds(1)

  init(_ source: RingBuffer) {
    current = source
  }

  /// Lent for poll(2), for the events of the program in service.
  var descriptorToWaitFor: FileDescriptor { current.descriptorToWaitFor }

  var mayHaveFormerEvents: Bool { !former.isEmpty }

  /// To be called when a program has taken another's place, whose events are read for a little while
  /// longer.
  mutating func replaceCurrent(with source: RingBuffer) {
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
      count += take(source, limit - count, body)
      guard isOver, count < limit else { break }
      former.removeFirst()
    }
    for (source, _) in former.dropFirst() { count += take(source, limit - count, body) }
    return count + take(current, limit - count, body)
  }

  private func take(
    _ source: RingBuffer, _ limit: Int, _ body: (UnsafeRawBufferPointer) -> Void
  ) -> Int {
    limit > 0 ? source.consume(limit: limit, body) : 0
  }
}
