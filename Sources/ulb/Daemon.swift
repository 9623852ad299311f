// The daemon: its parts, from the start to the end.
import DataPlane
import Glibc
import LoadBalancing

/// The running load balancer.
final class Daemon {
  private let log: Log
  private let signals: Signals
  private let serviceManager: ServiceManager
  private let dataPlane: DataPlane
  private let events: PacketEvents
  private let interface: InterfaceWatch
  private let reloader: Reloader
  private let state: StateKeeper?
  private let loop = EventLoop()
  private var exitStatus: Int32 = 0

  /// Compiles, loads, fills and attaches. Nothing is left behind where it fails.
  ///
  /// - Parameters:
  ///   - configFile: the config file, known as it was when the configuration was read; `nil` where
  ///     there is none.
  ///   - state: saves the associations; `nil` for nowhere.
  ///   - kept: what the process before this one has handed on. Its program stays in service until
  ///     this one's takes its place in one step.
  init(
    _ configuration: Configuration, warnings: [String], configFile: ConfigFileWatcher?,
    state: StateKeeper?, kept: KeptObjects, signals: Signals, log: Log
  ) throws(DataPlaneError) {
    self.signals = signals
    self.log = log
    serviceManager = ServiceManager(log: log, hasKept: !kept.isEmpty)
    for refusal in kept.refusals { log.warning(refusal) }
    let handover = try Handover(
      configuration, from: kept, store: SystemdStore(serviceManager), report: log.notice,
      warn: log.warning, progress: serviceManager.progress)
    dataPlane = handover.dataPlane
    StandardError.write(dataPlane.compilerOutput)
    if let reason = dataPlane.missingTrace {
      log.warning("trace points are not copied to this log: \(reason)")
    }
    events = PacketEvents(dataPlane, log: log)
    interface = InterfaceWatch(dataPlane, log: log)
    reloader = Reloader(dataPlane, watcher: configFile, warnings: warnings, log: log)
    self.state = state
    restoreAssociations(handover)
    let attachStart = ContinuousClock.now
    try handover.commit()
    if configuration.effective.logLevel <= .debug {
      log.debug("Start: \(dataPlane.times.summary(attach: .now - attachStart)).")
    }
    for warning in warnings { log.warning(warning) }
    log.notice(configuration.picture)
  }

  /// Associations that systemd kept go before those of the file, which are older.
  private func restoreAssociations(_ handover: Handover) {
    if handover.hasAssociations {
      state?.keepUnusableAside(dataPlane)
    } else {
      state?.restore(into: dataPlane, progress: serviceManager.progress)
    }
  }

  /// Runs until it is told to stop or cannot go on.
  ///
  /// - Returns: the exit status.
  func run() -> Int32 {
    start()
    showStatus()
    serviceManager.ready()
    loop.run()
    serviceManager.stopping()
    // Without systemd, which keeps the link, this detaches.
    dataPlane.detach()
    state?.saveNow(dataPlane.associationSource)
    events.finish()
    log.notice("... ulb stopped.")
    serviceManager.drain()
    log.drain()
    return exitStatus
  }

  /// Sets up what the loop waits for, the most urgent first.
  private func start() {
    _ = loop.watch(self.signals.descriptor, for: .reading) { [unowned self] in takeSignals() }
    _ = loop.watch(self.log.descriptorToWaitFor, for: .writing) { [unowned self] in log.flush() }
    events.start(on: loop)

    interface.onChange = { [unowned self] in showStatus() }
    interface.onLoss = { [unowned self] error in
      StandardError.write(failure: "\(error)")
      end(1)
    }
    interface.start(on: loop)

    reloader.onEnd = { [unowned self] isRequested in
      showStatus()
      if isRequested { serviceManager.ready() }
    }
    reloader.start(on: loop)

    state?.start(on: loop, source: dataPlane.associationSource)

    let retry = loop.timer { [unowned self] in serviceManager.retry() }
    loop.beforeSleep = { [unowned self] in
      log.flush()
      events.beforeSleep()
      if serviceManager.isBehind { retry.setIfUnset(after: serviceManager.retryInterval) }
    }
    if let interval = serviceManager.watchdogInterval {
      loop.every(interval) { [unowned self] in serviceManager.watchdog() }
    }
  }

  private func takeSignals() {
    while let signal = signals.next() {
      switch signal {
      case SIGHUP:
        serviceManager.reloading()
        reloader.request()
      default:
        let name = signal == SIGTERM ? "SIGTERM" : "SIGINT"
        log.notice("\nStopping by signal \(name)(\(signal))...")
        return end(0)
      }
    }
  }

  private func showStatus() {
    let configuration = dataPlane.configuration
    let line = StatusLine(
      virtualServers: configuration.virtualServers, interface: configuration.interface,
      mode: dataPlane.attachment?.mode.rawValue,
      fault: interface.fault, reload: reloader.last)
    serviceManager.show(line.text)
  }

  private func end(_ status: Int32) {
    exitStatus = status
    loop.stop()
  }
}
