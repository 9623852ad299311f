// Brings a config file that has changed into force, or says why not.
import CommandLine
import Control
import DataPlane
import LoadBalancing

/// Looks at the config file in its time, and at once when it is asked to.
final class Reloader {
  /// What happens at the end of a reading.
  struct Ending {
    /// Whether a signal asked for it.
    var isSignalled = false
    /// Nothing where there is no config file.
    var reload: Reload?
    /// Whether another program serves since.
    var isRecompiled = false
  }

  /// What became of the last reading after the start.
  private(set) var last: Reload?
  /// Called when a reading has ended.
  var onEnd: (Ending) -> Void = { _ in }

  private let dataPlane: DataPlane
  private let log: Log
  /// What the file is called in messages: as the operator gave it.
  private let name: String
  private var watcher: ConfigFileWatcher?
  /// What of the configuration in force was warned of.
  private var warnings: [String]
  private var isRequested = false
  private var isSignalled = false
  /// Who waits for what becomes of the reading that is under way.
  private var waiting: [(Reload) -> Void] = []
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

  /// Reads the file at once, whether it has changed or not, as a signal has asked for.
  func requestBySignal() {
    isSignalled = true
    request()
  }

  /// Reads the file at once, whether it has changed or not. What asks while a reading is under way
  /// waits for the same.
  ///
  /// - Parameter completion: is told what became of it.
  func request(_ completion: @escaping (Reload) -> Void) {
    waiting.append(completion)
    request()
  }

  private func request() {
    isRequested = true
    watcher?.lookNow(.now)
    if watcher == nil {
      let reason = "no config file to read again"
      log.notice(reason)
      end(Reload(result: .refused, at: Clock.now.description, reason: reason), isFile: false)
    }
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
    let change = try ConfigFileChange(bytes, named: name, in: dataPlane.configuration)
    defer { warn(change.warnings) }
    guard change.isChange else {
      // Said to who asked for it, or has mended the file.
      if isRequested || last?.result == .refused {
        log.notice("Config file read again: nothing has changed.")
      }
      return end(
        Reload(result: .unchanged, at: Clock.now.description, warnings: change.warnings))
    }
    let isRecompiled = try dataPlane.apply(change.after).isRecompiled
    if isRecompiled { StandardError.write(dataPlane.compilerOutput) }
    let messages = change.messages(isRecompiled: isRecompiled)
    for message in messages { log.notice(message.text, virtualServer: message.virtualServer) }
    let (before, after) = (change.before, change.after)
    if after.virtualServers.map(\.realServers) != before.virtualServers.map(\.realServers),
      after.effective.logLevel <= .debug
    {
      log.debug("Real servers: in force after \(dataPlane.times.fill.inMilliseconds) ms.")
    }
    end(
      Reload(
        result: .applied, at: Clock.now.description, changes: messages.map(\.text),
        warnings: change.warnings),
      isRecompiled: isRecompiled)
  }

  private func refuse(_ failure: String) {
    let present = dataPlane.configuration.virtualServers.counted
    log.error("\(failure); the present \(present) stay in service")
    end(Reload(result: .refused, at: Clock.now.description, reason: failure))
  }

  private func end(_ reload: Reload, isFile: Bool = true, isRecompiled: Bool = false) {
    if isFile { last = reload }
    onEnd(
      Ending(
        isSignalled: isSignalled, reload: isFile ? reload : nil, isRecompiled: isRecompiled))
    for completion in waiting { completion(reload) }
    (isRequested, isSignalled, waiting) = (false, false, [])
  }

  /// Says what was not said of the configuration before it.
  private func warn(_ next: [String]) {
    for warning in next where !warnings.contains(warning) { log.warning(warning) }
    warnings = next
  }
}
