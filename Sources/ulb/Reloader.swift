// Brings a config file that has changed into force, or says why not.
import CommandLine
import DataPlane
import LoadBalancing

/// Looks at the config file in its time, and at once when it is asked to.
final class Reloader {
  /// What became of the last reading after the start, and when that was.
  private(set) var last: (outcome: StatusLine.Reload, at: Timestamp)?
  /// Called when a reading has ended, with whether it was asked for.
  var onEnd: (_ isRequested: Bool) -> Void = { _ in }

  private let dataPlane: DataPlane
  private let log: Log
  /// What the file is called in messages: as the operator gave it.
  private let name: String
  private var watcher: ConfigFileWatcher?
  /// What of the configuration in force was warned of.
  private var warnings: [String]
  private var isRequested = false
  private var timer: EventLoop.Timer?

  /// - Parameters:
  ///   - watcher: sees that the config file has changed; `nil` where there is none.
  ///   - warnings: what of the configuration in force was warned of.
  init(_ dataPlane: DataPlane, watcher: ConfigFileWatcher?, warnings: [String], log: Log) {
    self.dataPlane = dataPlane
    self.log = log
    self.warnings = warnings
    self.watcher = watcher
    name = dataPlane.configuration.configFile ?? ""
  }

  func start(on loop: EventLoop) {
    timer = loop.timer { [unowned self] in look() }
    setTimer()
  }

  /// Reads the file at once, whether it has changed or not.
  func request() {
    isRequested = true
    watcher?.lookNow(.now)
    if watcher == nil { end(nil, "no config file to read again") }
    setTimer()
  }

  private func setTimer() {
    if let watcher { timer?.set(at: watcher.nextLook) }
  }

  private func look() {
    defer { setTimer() }
    switch watcher?.look(.now) {
    case nil, .nothing: return
    case .failure(let error): refuse("Unable to load config file \(name): \(error.reason)")
    case .content(let bytes):
      do {
        try apply(bytes)
      } catch let error as ConfigFileError {
        refuse("Unable to load config file \(error)")
      } catch {
        refuse("Unable to apply config file \(name): \(error)")
      }
    }
  }

  private func apply(_ bytes: [UInt8]) throws {
    let configuration = dataPlane.configuration
    let file = try ConfigFile.parse(bytes, fileName: name)
    let (next, warnings) = try configuration.updated(from: file, on: .ofInterfaces())
    defer { warn(warnings) }
    guard next != configuration else {
      return end(.unchanged, "Config file read again: nothing has changed.")
    }
    let changes = VirtualServerChange.changes(
      from: configuration.effective.virtualServers, to: next.effective.virtualServers)
    if try dataPlane.apply(next).isRecompiled {
      StandardError.write(dataPlane.compilerOutput)
      log.notice("Program compiled anew and swapped in: \(next.effective.liveSummary).")
    }
    for change in changes {
      guard let message = change.message else { continue }
      log.notice(message, virtualServer: change.virtualServer.label)
    }
    if next.virtualServers.map(\.realServers) != configuration.virtualServers.map(\.realServers),
      next.effective.logLevel <= .debug
    {
      log.debug("Real servers: in force after \(dataPlane.times.fill.inMilliseconds) ms.")
    }
    end(.applied)
  }

  private func refuse(_ failure: String) {
    let present = dataPlane.configuration.virtualServers.counted
    log.error("\(failure); the present \(present) stay in service")
    end(.refused(failure))
  }

  /// - Parameters:
  ///   - outcome: what became of the file; `nil` where there is none.
  ///   - message: what is told who asked for it, or has mended the file.
  private func end(_ outcome: StatusLine.Reload?, _ message: String? = nil) {
    var isNews = isRequested
    if let outcome {
      if case .refused? = last?.outcome { isNews = true }
      last = (outcome, Clock.now)
    }
    if let message, isNews { log.notice(message) }
    onEnd(isRequested)
    isRequested = false
  }

  /// Says what was not said of the configuration before it.
  private func warn(_ next: [String]) {
    for warning in next where !warnings.contains(warning) { log.warning(warning) }
    warnings = next
  }
}
