// The daemon: what it does at signals, at a change of the config file or of the interface.
import AssociationFile
import CommandLine
import DataPlane
import Glibc
import LoadBalancing

/// The running load balancer.
final class Daemon {
  /// What of the configuration was warned of.
  private var warnings: [String]
  private let log: Log
  private let signals: Signals
  private let serviceManager: ServiceManager
  private let clock = ContinuousClock()
  private let dataPlane: DataPlane
  /// What is in force.
  private var configuration: Configuration { dataPlane.configuration }
  private var watcher: ConfigFileWatcher?
  private var state: StateKeeper?
  private var isReloading = false
  private var interfaceLostAt: ContinuousClock.Instant?
  private let interfaces = InterfaceMonitor()
  private var interfaceState = InterfaceState.up
  private var interfaceFault: (text: String, since: Timestamp)?
  private var lastReload: (outcome: StatusLine.Reload, at: Timestamp)?
  private let loop = EventLoop()
  private let events: PacketEvents
  private var exitStatus: Int32 = 0

  /// How often is looked whether the program is still on the interface.
  private static let interfaceInterval = Duration.seconds(1)
  /// How soon the service manager is told again what it has not taken.
  private static let retryInterval = Duration.milliseconds(100)

  /// Compiles, loads, fills and attaches. Nothing is left behind where it fails.
  ///
  /// - Parameters:
  ///   - stateFile: where the associations are saved; `nil` for nowhere.
  ///   - kept: what the process before this one has handed on. Its program stays in service until
  ///     this one's takes its place in one step.
  init(
    _ configuration: Configuration, warnings: [String], configFileState: FileFingerprint?,
    stateFile: StateFile?, kept: KeptObjects, signals: Signals, log: Log
  ) throws(DataPlaneError) {
    self.warnings = warnings
    self.signals = signals
    self.log = log
    serviceManager = ServiceManager(log: log, hasKept: !kept.isEmpty)
    for refusal in kept.refusals { log.warning(refusal) }
    let handover = try Handover(
      configuration, from: kept, store: SystemdStore(serviceManager), report: log.notice,
      warn: log.warning, progress: serviceManager.progress)
    dataPlane = handover.dataPlane
    events = PacketEvents(dataPlane, log: log)
    StandardError.write(dataPlane.compilerOutput)
    if let reason = dataPlane.missingTrace {
      log.warning("trace points are not copied to this log: \(reason)")
    }
    if let path = configuration.configFile {
      watcher = ConfigFileWatcher(path: path, known: configFileState, now: clock.now)
    }
    if let stateFile {
      let interval = Duration.seconds(configuration.stateInterval)
      state = StateKeeper(stateFile, interval: interval, log: log, now: clock.now)
    }
    restoreAssociations(handover)
    let attachStart = clock.now
    try handover.commit()
    debug("Start: \(dataPlane.times.summary(attach: clock.now - attachStart)).")
  }

  /// Runs until it is told to stop or cannot go on.
  ///
  /// - Returns: the exit status.
  func run() -> Int32 {
    for warning in warnings { log.warning(warning) }
    log.notice(configuration.picture)
    if interfaces == nil {
      log.warning("changes of the interface are seen late: \(String(cString: strerror(errno)))")
    }
    watchInterface()
    showStatus()
    serviceManager.ready()
    waitForEverything()
    loop.run()
    serviceManager.stopping()
    // Without systemd, which keeps the link, this detaches.
    dataPlane.detach()
    state?.saveNow(dataPlane)
    events.finish()
    log.notice("... ulb stopped.")
    serviceManager.drain()
    log.drain()
    return exitStatus
  }

  /// Sets up what the loop waits for, the most urgent first.
  private func waitForEverything() {
    _ = loop.watch(self.signals.descriptor, for: .reading) { [unowned self] in handleSignals() }
    _ = loop.watch(self.log.descriptorToWaitFor, for: .writing) { [unowned self] in log.flush() }
    events.start(on: loop)

    let fileLook = loop.timer { [unowned self] in lookAtConfigFile() }
    let save = loop.timer { [unowned self] in state?.work(dataPlane, now: clock.now) }
    let retry = loop.timer { [unowned self] in serviceManager.retry() }
    loop.beforeSleep = { [unowned self] in
      log.flush()
      events.beforeSleep()
      if let watcher { fileLook.set(at: watcher.nextLook) }
      if let state { save.set(at: state.nextWork) }
      if serviceManager.isBehind { retry.setIfUnset(after: Self.retryInterval) }
    }
    _ = loop.watch(self.interfaces?.descriptor, for: .reading) { [unowned self] in
      interfaces?.clear()
      watchInterface()
    }
    every(Self.interfaceInterval) { [unowned self] in watchInterface() }
    if let interval = serviceManager.watchdogInterval {
      every(interval) { [unowned self] in serviceManager.watchdog() }
    }
  }

  private func every(_ interval: Duration, _ handler: @escaping () -> Void) {
    var timer: EventLoop.Timer?
    timer = loop.timer {
      timer?.set(after: interval)
      handler()
    }
    timer?.set(after: interval)
  }

  private func end(_ status: Int32) {
    exitStatus = status
    loop.stop()
  }

  // MARK: Start

  /// Associations that systemd kept go before those of the file, which are older.
  private func restoreAssociations(_ handover: Handover) {
    if handover.hasAssociations {
      state?.keepUnusableAside(dataPlane)
    } else {
      state?.restore(into: dataPlane, progress: serviceManager.progress)
    }
  }

  private func showStatus() {
    let line = StatusLine(
      realServers: configuration.realServers.count, virtualServer: configuration.virtualServer,
      interface: configuration.interface, mode: dataPlane.attachment?.mode.rawValue,
      fault: interfaceFault, reload: lastReload)
    serviceManager.show(line.text)
  }

  /// Something for who looks into the daemon, at the levels that show each packet as well.
  private func debug(_ message: String) {
    if configuration.effective.logLevel <= .debug { log.debug(message) }
  }

  // MARK: Signals

  private func handleSignals() {
    while let signal = signals.next() {
      switch signal {
      case SIGHUP:
        serviceManager.reloading()
        isReloading = true
        if watcher == nil { finishReload(nil, "no config file to read again") }
        watcher?.lookNow(clock.now)
      default:
        let name = signal == SIGTERM ? "SIGTERM" : "SIGINT"
        log.notice("\nStopping by signal \(name)(\(signal))...")
        return end(0)
      }
    }
  }

  /// - Parameters:
  ///   - outcome: what became of the config file; `nil` where there is none.
  ///   - message: what the operator is told who asked for the reload, or mended the file.
  private func finishReload(_ outcome: StatusLine.Reload?, _ message: String? = nil) {
    var isNews = isReloading
    if let outcome {
      if case .refused? = lastReload?.outcome { isNews = true }
      lastReload = (outcome, Clock.now)
    }
    if let message, isNews { log.notice(message) }
    showStatus()
    if isReloading { serviceManager.ready() }
    isReloading = false
  }

  // MARK: The config file

  private func lookAtConfigFile() {
    switch watcher?.look(clock.now) {
    case nil, .nothing: return
    case .failure(let error):
      keepOldServers(
        "Unable to load config file \(configuration.configFile ?? ""): \(error.reason)")
    case .content(let bytes):
      do {
        try apply(bytes)
      } catch let error as ConfigFileError {
        keepOldServers("Unable to load config file \(error)")
      } catch {
        keepOldServers("Unable to apply config file \(configuration.configFile ?? ""): \(error)")
      }
    }
  }

  private func keepOldServers(_ failure: String) {
    log.error(
      """
      \(failure); the present \(configuration.realServers.count) real server(s) stay in service
      """)
    finishReload(.refused(failure))
  }

  private func apply(_ bytes: [UInt8]) throws {
    let file = try ConfigFile.parse(bytes, fileName: configuration.configFile ?? "")
    let (next, warnings) = try configuration.updated(from: file, on: .ofInterfaces())
    defer { warn(warnings) }
    if next == configuration {
      return finishReload(.unchanged, "Config file read again: nothing has changed.")
    }
    let change = try dataPlane.apply(next)
    if change.isRecompiled {
      StandardError.write(dataPlane.compilerOutput)
      log.notice("Program compiled anew and swapped in: \(next.effective.liveSummary).")
    }
    if let realServers = change.realServers {
      log.notice(
        "New config applied: \(next.realServers.count) real server(s); \(realServers.summary).")
      debug("Real servers: in force after \(dataPlane.times.fill.inMilliseconds) ms.")
    }
    finishReload(.applied)
  }

  /// Says what was not said of the configuration before it.
  private func warn(_ next: [String]) {
    for warning in next where !warnings.contains(warning) { log.warning(warning) }
    warnings = next
  }

  // MARK: The interface

  private func watchInterface() {
    if let attachment = dataPlane.attachment {
      guard !dataPlane.isAttached else {
        return follow(interfaces?.state(of: attachment.interfaceIndex) ?? .up)
      }
      dataPlane.detach()
      interfaceLostAt = clock.now
      let isThere = (try? Attachment.index(of: configuration.interface)) != nil
      let fault =
        isThere
        ? "the XDP program was removed from \(configuration.interface), or it was replaced"
        : "the interface \(configuration.interface) is gone"
      log.error(fault)
      show(fault)
    }
    guard let lostAt = interfaceLostAt else { return }
    do throws(DataPlaneError) {
      // Whoever took the interface over keeps it: two that replace each other would never end.
      for notice in try dataPlane.attach(replace: false).notices { log.notice(notice) }
      (interfaceLostAt, interfaceFault, interfaceState) = (nil, nil, .up)
      watchInterface()
      showStatus()
    } catch {
      guard clock.now - lostAt >= .seconds(configuration.interfaceWait) else { return }
      StandardError.write(failure: "\(error)")
      end(1)
    }
  }

  /// Says when the interface no longer carries packets, and when it does again.
  private func follow(_ state: InterfaceState) {
    guard state != interfaceState else { return }
    interfaceState = state
    guard let fault = state.fault(of: configuration.interface) else {
      log.notice("The interface \(configuration.interface) is up again.")
      return show(nil)
    }
    log.warning(fault)
    show(fault)
  }

  private func show(_ fault: String?) {
    interfaceFault = fault.map { ($0, Clock.now) }
    showStatus()
  }
}
