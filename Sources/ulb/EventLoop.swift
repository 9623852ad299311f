// The one place where the daemon sleeps. Knows nothing of what it waits for.
import Glibc
import SystemPackage

/// Sleeps until a descriptor is ready or a time has come, and calls who waits for it.
///
/// All that changes the daemon's state is called from here, one after another, so that nothing needs
/// a lock. A handler must not wait; what takes long is done in pieces, each called by a timer that is
/// due at once, with everything else in between. Handlers may add, pause and cancel sources and
/// timers, their own too.
final class EventLoop {
  /// What is waited for on a descriptor; an error or a hang-up counts as ready.
  enum Interest {
    case reading
    case writing
  }

  /// A descriptor that is watched until ``cancel()``.
  final class Source {
    fileprivate let descriptor: () -> FileDescriptor?
    fileprivate let interest: Interest
    fileprivate let handler: () -> Void
    fileprivate var isCancelled = false
    /// Whether it is left out for now.
    var isPaused = false

    fileprivate init(
      _ descriptor: @escaping () -> FileDescriptor?, _ interest: Interest,
      _ handler: @escaping () -> Void
    ) {
      self.descriptor = descriptor
      self.interest = interest
      self.handler = handler
    }

    func cancel() { isCancelled = true }
  }

  /// A call at a time, once for each time that it is set.
  final class Timer {
    fileprivate let handler: () -> Void
    /// When it is due; `nil` where it is not set.
    fileprivate(set) var deadline: ContinuousClock.Instant?

    fileprivate init(_ handler: @escaping () -> Void) { self.handler = handler }

    /// Sets the time, in place of one that is set already.
    func set(at time: ContinuousClock.Instant) { deadline = time }

    func set(after time: Duration) { deadline = .now + time }

    /// Sets the time unless one is set already.
    func setIfUnset(after time: Duration) {
      if deadline == nil { set(after: time) }
    }

    func unset() { deadline = nil }
  }

  private var sources: [Source] = []
  private var timers: [Timer] = []
  private var isStopped = false

  /// Called each time before the loop may sleep.
  var beforeSleep: () -> Void = {}

  /// Calls `handler` in each round in which the descriptor is ready. The earlier a source was added
  /// the earlier it is called.
  ///
  /// - Parameter descriptor: asked for in each round, so that its owner may exchange or close it;
  ///   `nil` where there is nothing to wait for.
  func watch(
    _ descriptor: @autoclosure @escaping () -> FileDescriptor?, for interest: Interest,
    _ handler: @escaping () -> Void
  ) -> Source {
    let source = Source(descriptor, interest, handler)
    sources.append(source)
    return source
  }

  /// A timer that is not set yet.
  func timer(_ handler: @escaping () -> Void) -> Timer {
    let timer = Timer(handler)
    timers.append(timer)
    return timer
  }

  /// Runs until ``stop()``.
  func run() {
    while !isStopped { round() }
    isStopped = false
  }

  /// A call again and again, the first after `interval`.
  func every(_ interval: Duration, _ handler: @escaping () -> Void) {
    var timer: Timer?
    timer = self.timer {
      timer?.set(after: interval)
      handler()
    }
    timer?.set(after: interval)
  }

  /// Lets ``run()`` return once the handler that is being called has; at once where it has not begun.
  func stop() { isStopped = true }

  private func round() {
    beforeSleep()
    sources.removeAll(where: \.isCancelled)
    // poll(2) passes over a negative descriptor.
    var requests = sources.map {
      pollfd(
        fd: $0.isPaused ? -1 : $0.descriptor()?.rawValue ?? -1,
        events: Int16($0.interest == .reading ? POLLIN : POLLOUT), revents: 0)
    }
    if poll(&requests, nfds_t(requests.count), timeout) < 0 {
      // What fails for want of memory or descriptors would fail again at once.
      if Errno(rawValue: errno) != .interrupted { usleep(100_000) }
      for index in requests.indices { requests[index].revents = 0 }
    }
    for (source, request) in zip(sources, requests) where request.revents != 0 {
      if !source.isCancelled, !source.isPaused { source.handler() }
      if isStopped { return }
    }
    let now = ContinuousClock.now
    for timer in timers {
      guard let deadline = timer.deadline, deadline <= now else { continue }
      timer.deadline = nil
      timer.handler()
      if isStopped { return }
    }
  }

  /// For poll(2): milliseconds until the next timer is due, not less; -1 for no end.
  private var timeout: Int32 {
    guard let next = timers.compactMap(\.deadline).min() else { return -1 }
    let (seconds, attoseconds) = max(.zero, next - .now).components
    let milliseconds = seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    return Int32(clamping: milliseconds)
  }
}
