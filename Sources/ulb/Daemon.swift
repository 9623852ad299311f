// The daemon: its parts, from the start to the end.
import CommandLine
import Control
import DataPlane
import Glibc
import LoadBalancing

/// The running load balancer.
final class Daemon {
  let log: Log
  private let signals: Signals
  private let serviceManager: ServiceManager
  let dataPlane: DataPlane
  private let events: PacketEvents
  private let interface: InterfaceWatch
  private let gateways: GatewayWatch
  private let reloader: Reloader
  private let state: StateKeeper?
  private let api: ControlAPI
  private let control: ControlServer?
  private let startedAt: Timestamp
  private var lastGoodReloadAt: Timestamp
  private var counters = DaemonCounters()
  private var floods = FloodReporter()
  var requested: [AddressFamily: RequestedChanges] = [:]
  let work = PieceWork()
  let followed: FollowedClients
  private let loop = EventLoop()
  private var exitStatus: Int32 = 0

  /// Compiles, loads, fills and attaches. Nothing is left behind where it fails.
  ///
  /// - Parameters:
  ///   - watchers: of the files that the configuration was read from, known as they were then.
  ///   - state: saves the associations; `nil` for nowhere.
  ///   - control: serves what `api` answers; `nil` for nobody.
  ///   - kept: what the process before this one has handed on. Its program stays in service until
  ///     this one's takes its place in one step.
  init(
    _ configuration: Configuration, warnings: [String], watchers: [WatchedFile: FileWatcher],
    state: StateKeeper?, api: ControlAPI, control: ControlServer?, kept: KeptObjects,
    signals: Signals, log: Log
  ) throws(DataPlaneError) {
    startedAt = Clock.now
    (self.api, self.control) = (api, control)
    self.signals = signals
    self.log = log
    serviceManager = ServiceManager(log: log, hasKept: !kept.isEmpty)
    for refusal in kept.refusals { log.warning(refusal) }
    var configuration = configuration
    // What systemd kept is newer than the file.
    configuration.overrides =
      kept.tables?.overrides ?? state?.overrides(for: configuration) ?? Overrides()
    let ended = configuration.overrides.reconcile(with: configuration.configured.virtualServers)
    let handover = try Handover(
      configuration, from: kept, store: SystemdStore(serviceManager), report: log.notice,
      warn: log.warning, progress: serviceManager.progress)
    dataPlane = handover.dataPlane
    StandardError.write(dataPlane.compilerOutput)
    if let reason = dataPlane.missingTrace {
      log.warning("trace points are not copied to this log: \(reason)")
    }
    events = PacketEvents(dataPlane, log: log, hub: api.hub)
    followed = FollowedClients(dataPlane, log: log)
    interface = InterfaceWatch(dataPlane, log: log)
    gateways = GatewayWatch(dataPlane, log: log)
    reloader = Reloader(dataPlane, watchers: watchers, warnings: warnings, log: log)
    self.state = state
    lastGoodReloadAt = startedAt
    counters.compilations = 1
    restoreAssociations(handover)
    gateways.learn()
    let attachStart = ContinuousClock.now
    try handover.commit()
    if configuration.effective.logLevel <= .debug {
      log.debug("Start: \(dataPlane.times.summary(attach: .now - attachStart)).")
    }
    for warning in warnings { log.warning(warning) }
    log.notice(configuration.picture)
    let messages = ended.map { $0.message(in: configuration) }
    for message in messages + configuration.overrides.messages(in: configuration) {
      log.notice(message.text, virtualServer: message.virtualServer)
    }
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
    showChange()
    serviceManager.ready()
    loop.run()
    serviceManager.stopping()
    // What is asked of the loop from here on would wait for ever.
    api.mailbox.close()
    api.hub.close()
    api.changeStreams.close()
    control?.beginStop()
    // Without systemd, which keeps the link, this detaches.
    dataPlane.detach()
    state?.saveNow(dataPlane.associationSource)
    events.finish()
    control?.finishStop()
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

    interface.onChange = { [unowned self] in showChange() }
    interface.onLoss = { [unowned self] error in
      StandardError.write(failure: "\(error)")
      end(1)
    }
    interface.start(on: loop)

    gateways.onChange = { [unowned self] in publish() }
    gateways.start(on: loop)

    reloader.onEnd = { [unowned self] in ended($0) }
    reloader.start(on: loop)

    state?.onChange = { [unowned self] in publish() }
    state?.start(on: loop, source: dataPlane.associationSource)

    log.onLine = { [hub = api.hub] level, message, virtualServer in
      hub.tell(
        LogReport(
          time: Clock.now.description, level: level.name, message: message,
          virtualServer: virtualServer))
    }
    work.start(on: loop)
    followed.onSwap = { [unowned self] in
      countSwap()
      publish()
    }
    followed.start(on: loop)
    loop.every(.seconds(1)) { [unowned self] in
      dataPlane.noteEpochs(at: Clock.now)
      floods.look(dataPlane.snapshot(), log)
    }
    api.mailbox.start(on: loop) { [unowned self] in self }

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
        reloader.requestBySignal()
      default:
        let name = signal == SIGTERM ? "SIGTERM" : "SIGINT"
        log.notice("\nStopping by signal \(name)(\(signal))...")
        return end(0)
      }
    }
  }

  /// Reads the config file and the lists of clients at once.
  ///
  /// - Parameter completion: is told what became of it.
  func reload(_ completion: @escaping (Reload) -> Void) { reloader.request(completion) }

  private func ended(_ ending: Reloader.Ending) {
    switch ending.reload?.result {
    case .applied: counters.reloadsApplied += 1
    case .unchanged: counters.reloadsUnchanged += 1
    case .refused: counters.reloadsRefused += 1
    case nil: break
    }
    if ending.isRecompiled { countSwap() }
    if let reload = ending.reload, reload.result != .refused { lastGoodReloadAt = Clock.now }
    showChange()
    if ending.isSignalled { serviceManager.ready() }
  }

  private func countSwap() {
    counters.compilations += 1
    counters.swaps += 1
  }

  var snapshot: DaemonSnapshot {
    DaemonSnapshot(
      version: CommandLineRequest.version, pid: getpid(), startedAt: startedAt,
      dataPlane: dataPlane.snapshot(),
      associations: dataPlane.associationBrowser { Clock.now },
      changes: dataPlane.changes,
      mode: dataPlane.attachment?.mode.rawValue,
      fault: interface.fault, reload: reloader.last?.reload, refusals: reloader.refusals,
      lastGoodReloadAt: lastGoodReloadAt,
      state: state?.report, counters: counters, requested: requested,
      followed: dataPlane.followed, gateways: gateways.report)
  }

  /// Lets those know who look from other threads.
  func publish() { api.published.value = snapshot }

  /// Lets all know who look.
  func showChange() {
    gateways.follow()
    publish()
    let configuration = dataPlane.configuration.effective
    let line = StatusLine(
      virtualServers: configuration.virtualServers, interface: configuration.interface,
      mode: dataPlane.attachment?.mode.rawValue,
      fault: interface.fault, reload: reloader.last?.reload,
      file: reloader.last?.file ?? .configuration)
    serviceManager.show(line.text)
  }

  private func end(_ status: Int32) {
    exitStatus = status
    loop.stop()
  }
}
