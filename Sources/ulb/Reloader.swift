// Brings files of the configuration that have changed into force, or says why not.
import CommandLine
import Control
import DataPlane
import LoadBalancing

/// A file that the configuration is read from.
enum WatchedFile: CaseIterable {
  case configuration, allowedClients, deniedClients

  /// What it is called in messages.
  var title: String {
    switch self {
    case .configuration: "config file"
    case .allowedClients: NetworkList.Purpose.allowing.title
    case .deniedClients: NetworkList.Purpose.denying.title
    }
  }
}

/// Looks at the config file and the lists of clients in their time, and at once when it is asked to.
final class Reloader {
  /// What happens at the end of a reading.
  struct Ending {
    /// Whether a signal asked for it.
    var isSignalled = false
    /// Nothing where there is no file.
    var reload: Reload?
    /// Whether another program serves since.
    var isRecompiled = false
  }

  /// What became of the last reading after the start: of a file that is refused, where one is.
  var last: (reload: Reload, file: WatchedFile)? {
    let refused = WatchedFile.allCases.first { readings[$0]?.result == .refused }
    guard let file = refused ?? newest, let reload = readings[file] else { return nil }
    return (reload, file)
  }

  /// Why files are refused, a sentence each.
  var refusals: [String] {
    WatchedFile.allCases.compactMap { file in
      guard let reading = readings[file], reading.result == .refused else { return nil }
      return reading.reason.map { "the \(file.title) is refused: \($0)" }
    }
  }

  /// Called when a reading has ended.
  var onEnd: (Ending) -> Void = { _ in }

  private let dataPlane: DataPlane
  private let log: Log
  private var watchers: [WatchedFile: FileWatcher]
  /// What became of the last reading of each file after the start.
  private var readings: [WatchedFile: Reload] = [:]
  private var newest: WatchedFile?
  /// What of the configuration in force was warned of.
  private var warnings: [String]
  private var isSignalled = false
  /// Files that are yet to be read for who has asked, and what became of the others.
  private var awaited: Set<WatchedFile> = []
  private var ended: [Reload] = []
  private var isRecompiled = false
  /// Who waits for what becomes of the reading that is under way.
  private var waiting: [(Reload) -> Void] = []
  private var timer: EventLoop.Timer?

  /// - Parameters:
  ///   - watchers: see that files have changed.
  ///   - warnings: what of the configuration in force was warned of.
  init(
    _ dataPlane: DataPlane, watchers: [WatchedFile: FileWatcher], warnings: [String], log: Log
  ) {
    self.dataPlane = dataPlane
    self.log = log
    self.warnings = warnings
    self.watchers = watchers
  }

  func start(on loop: EventLoop) {
    timer = loop.timer { [unowned self] in look() }
    setTimer()
  }

  /// Reads the files at once, whether they have changed or not, as a signal has asked for.
  func requestBySignal() {
    isSignalled = true
    request()
  }

  /// Reads the files at once, whether they have changed or not. What asks while a reading is under way
  /// waits for the same.
  ///
  /// - Parameter completion: is told what became of it.
  func request(_ completion: @escaping (Reload) -> Void) {
    waiting.append(completion)
    request()
  }

  private func request() {
    guard !watchers.isEmpty else {
      let reason = "no config file to read again"
      log.notice(reason)
      let reload = Reload(result: .refused, at: Clock.now.description, reason: reason)
      return answer(reload, Ending(isSignalled: isSignalled))
    }
    for file in watchers.keys { watchers[file]?.lookNow(.now) }
    awaited.formUnion(watchers.keys)
    setTimer()
  }

  private func setTimer() {
    if let next = watchers.values.map(\.nextLook).min() { timer?.set(at: next) }
  }

  private func look() {
    defer { setTimer() }
    for file in WatchedFile.allCases { look(at: file) }
  }

  private func look(at file: WatchedFile) {
    let name = name(of: file)
    switch watchers[file]?.look(.now) {
    case nil, .nothing: return
    case .failure(let error):
      refuse(file, "Unable to load \(file.title) \(name): \(error.reason)")
    case .content(let bytes):
      do {
        switch file {
        case .configuration: try apply(bytes, named: name)
        case .allowedClients, .deniedClients: try apply(bytes, named: name, as: file)
        }
      } catch let error as ConfigFileError {
        refuse(file, "Unable to load \(file.title) \(error)")
      } catch {
        refuse(file, "Unable to apply \(file.title) \(name): \(error)")
      }
    }
  }

  /// What a file is called in messages: as the operator gave it.
  private func name(of file: WatchedFile) -> String {
    let configuration = dataPlane.configuration
    return switch file {
    case .configuration: configuration.configFile ?? ""
    case .allowedClients: configuration.lists.allowed?.file ?? ""
    case .deniedClients: configuration.lists.denied?.file ?? ""
    }
  }

  private func apply(_ bytes: [UInt8], named name: String) throws {
    let change = try ConfigFileChange(bytes, named: name, in: dataPlane.configuration)
    defer { warn(change.warnings) }
    guard change.isChange else { return endUnchanged(.configuration, warnings: change.warnings) }
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
    self.isRecompiled = self.isRecompiled || isRecompiled
    end(
      .configuration,
      Reload(
        result: .applied, at: Clock.now.description, changes: messages.map(\.text),
        warnings: change.warnings))
  }

  /// - Parameter file: the list's.
  private func apply(_ bytes: [UInt8], named name: String, as file: WatchedFile) throws {
    var next = dataPlane.configuration
    let former: NetworkList?
    let list: NetworkList
    if file == .allowedClients {
      list = try NetworkList.parse(bytes, file: name, for: .allowing)
      (former, next.lists.allowed) = (next.lists.allowed, list)
    } else {
      list = try NetworkList.parse(bytes, file: name, for: .denying)
      (former, next.lists.denied) = (next.lists.denied, list)
    }
    guard list != former else { return endUnchanged(file, warnings: []) }
    try dataPlane.apply(next)
    let message = "New \(file.title) applied: \(list.words(after: former))."
    log.notice(message)
    end(file, Reload(result: .applied, at: Clock.now.description, changes: [message]))
  }

  private func endUnchanged(_ file: WatchedFile, warnings: [String]) {
    // Said to who asked for it, or has mended the file.
    if awaited.contains(file) || readings[file]?.result == .refused {
      let title = file.title.prefix(1).uppercased() + file.title.dropFirst()
      log.notice("\(title) read again: nothing has changed.")
    }
    end(file, Reload(result: .unchanged, at: Clock.now.description, warnings: warnings))
  }

  private func refuse(_ file: WatchedFile, _ failure: String) {
    let present =
      switch file {
      case .configuration:
        "the present \(dataPlane.configuration.virtualServers.counted) stay in service"
      case .allowedClients, .deniedClients: "the present list stays in force"
      }
    log.error("\(failure); \(present)")
    end(file, Reload(result: .refused, at: Clock.now.description, reason: failure))
  }

  /// A file has been read. Who has asked is told when all have.
  private func end(_ file: WatchedFile, _ reading: Reload) {
    (readings[file], newest) = (reading, file)
    ended.append(reading)
    awaited.remove(file)
    guard awaited.isEmpty else { return }
    let reload = Reload(of: ended)
    answer(
      reload, Ending(isSignalled: isSignalled, reload: reload, isRecompiled: isRecompiled))
  }

  private func answer(_ reload: Reload, _ ending: Ending) {
    let completions = waiting
    (isSignalled, isRecompiled, ended, waiting) = (false, false, [], [])
    onEnd(ending)
    for completion in completions { completion(reload) }
  }

  /// Says what was not said of the configuration before it.
  private func warn(_ next: [String]) {
    for warning in next where !warnings.contains(warning) { log.warning(warning) }
    warnings = next
  }
}

extension NetworkList {
  /// How many there are, and what has changed.
  fileprivate func words(after former: NetworkList?) -> String {
    let before = former?.networks ?? []
    let stayed = networks.count { before.contains($0) }
    return "\(networks.count) network(s); \(networks.count - stayed) added, "
      + "\(before.count - stayed) removed"
  }
}

extension Reload {
  /// What became of readings of several files, as one.
  fileprivate init(of readings: [Reload]) {
    let reasons = readings.compactMap(\.reason)
    let results = readings.map(\.result)
    self.init(
      result: [.refused, .applied].first(where: results.contains) ?? .unchanged,
      at: readings.last?.at ?? Clock.now.description, changes: readings.flatMap(\.changes),
      warnings: readings.flatMap(\.warnings),
      reason: reasons.isEmpty ? nil : reasons.joined(separator: "; "))
  }
}
