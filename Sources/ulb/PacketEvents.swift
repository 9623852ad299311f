// The way of the packet path's events and trace lines out of the kernel, into the log and to listeners.
import DataPlane
import LoadBalancing

/// Takes events when there are some, and lets them gather for a moment in between: the kernel wakes
/// the daemon only where it had read all, so a flood costs at most a hundred wake-ups a second.
final class PacketEvents {
  private let dataPlane: DataPlane
  private let log: Log
  private let hub: EventHub
  private var source: EventLoop.Source?
  private var pause: EventLoop.Timer?
  private var count: EventLoop.Timer?
  private var trace: EventLoop.Timer?
  private var former: EventLoop.Timer?

  /// The most events that are taken before the loop looks at everything else.
  private static let atOnce = 20_000
  /// How long events gather once all are read.
  private static let gathering = Duration.milliseconds(10)
  private static let traceInterval = Duration.milliseconds(100)

  init(_ dataPlane: DataPlane, log: Log, hub: EventHub) {
    self.dataPlane = dataPlane
    self.log = log
    self.hub = hub
  }

  func start(on loop: EventLoop) {
    source = loop.watch(self.dataPlane.eventsDescriptor, for: .reading) { [unowned self] in
      take()
    }
    pause = loop.timer { [unowned self] in source?.isPaused = false }
    count = loop.timer { [unowned self] in countLost() }
    former = loop.timer { [unowned self] in take() }
    trace = loop.timer { [unowned self] in takeTraceLines() }
  }

  /// Sees to it that what nobody is woken for is looked for where there may be some now: events of
  /// programs that were replaced, and trace lines.
  func beforeSleep() {
    if dataPlane.mayHaveFormerEvents { former?.setIfUnset(after: Self.gathering) }
    if dataPlane.isTracing { trace?.setIfUnset(after: Self.traceInterval) }
  }

  /// Takes what is left, and counts for the last time. The program may go on, and its events with it.
  func finish() {
    consume()
    takeTraceLines()
    countLost()
  }

  private func take() {
    let taken = consume()
    // Where events come, some may be lost; where none come, none are.
    count?.setIfUnset(after: .seconds(1))
    guard taken < Self.atOnce else { return }
    source?.isPaused = true
    pause?.set(after: Self.gathering)
  }

  /// - Returns: how many events there were.
  @discardableResult
  private func consume() -> Int {
    // What is told of clients that are followed is not for the log.
    let level = dataPlane.configuration.effective.logLevel
    return dataPlane.consumeEvents(limit: Self.atOnce) { record in
      let isLogged = record.event.level >= level
      if isLogged { log.event(record) }
      hub.tell(record, isLogged: isLogged)
    }
  }

  private func takeTraceLines() {
    dataPlane.consumeTraceLines { log.notice($0) }
  }

  private func countLost() {
    log.reportLostEvents(unread: dataPlane.lostEvents())
  }
}
