// What a config file sets in a configuration. Knows the keys of the sections [ulb] and
// [Virtual Server NAME] and their values, not the file's grammar.
import LoadBalancing

extension Configuration {
  /// What is served when the config file has changed, and what its reader is to be warned of.
  ///
  /// - Throws: what does not fit, with the file and, where there is one, the line.
  public func updated(
    from file: ConfigFile, on director: DirectorAddresses
  ) throws(ConfigFileError) -> (configuration: Configuration, warnings: [String]) {
    var next = self
    try next.set(from: file)
    do throws(ConfigurationError) {
      try next.validate()
      return (try next.served(on: director), file.warnings + next.warnings(on: director))
    } catch {
      throw file.error(error)
    }
  }

  /// Puts in what a config file says, unchecked beside the rest.
  mutating func set(from file: ConfigFile) throws(ConfigFileError) {
    liveSettings = try LiveSettings(file)
    virtualServers[0].realServers = file.list.servers
    virtualServers.removeSubrange(1...)
    for section in file.virtualServers {
      virtualServers.append(try VirtualServer(section, fileName: file.fileName))
    }
  }
}

extension ConfigFile {
  /// What does not fit of a configuration that this file has set, with its line.
  func error(_ error: ConfigurationError) -> ConfigFileError {
    ConfigFileError(
      fileName: fileName, line: error.element.flatMap(line), reason: error.message)
  }

  /// The line of an element, counted from 1; `nil` for what the command line says.
  private func line(of element: ConfigurationError.Element) -> Int? {
    switch element {
    case .virtualServer(let number):
      section(number)?.line
    case .realServer(let number, let index):
      (number == 0 ? list : section(number)?.list)?.line(ofServer: index)
    case .port(let number, _):
      section(number)?.settings.first { $0.key == "port" }?.line
    }
  }

  /// That of a virtual server by its index in the configuration, where the command line's is 0.
  private func section(_ number: Int) -> VirtualServerSection? {
    virtualServers.indices.contains(number - 1) ? virtualServers[number - 1] : nil
  }
}

extension LiveSettings {
  /// Reads the section [ulb] of a config file. An unknown key or a wrong value is an error that names
  /// key, value, line and mend: a setting that an operator believes in must not be ignored.
  public init(_ file: ConfigFile) throws(ConfigFileError) {
    self.init()
    for setting in file.ownSettings {
      let reader = SettingReader(setting, of: .settings, fileName: file.fileName)
      switch setting.key {
      case "loglevel": logLevel = try reader.logLevel()
      case "debug": debug = try reader.debug()
      case "port": ports = try reader.ports()
      case "scheduler": scheduler = try reader.scheduler()
      case "verify_gateway": verifiesGateway = try reader.flag()
      default: throw reader.unknown("loglevel, debug, port, scheduler or verify_gateway")
      }
    }
  }
}

extension VirtualServer {
  /// Reads the section [Virtual Server NAME] of a config file. An unknown key, a wrong value and one
  /// that is missing is an error that names key, value, line and mend.
  init(
    _ section: ConfigFile.VirtualServerSection, fileName: String
  ) throws(ConfigFileError) {
    let name = SectionName.virtualServer(section.name)
    var address: IPAddress?
    var ports: [UInt16]?
    var scheduler = Scheduler.roundRobin
    for setting in section.settings {
      let reader = SettingReader(setting, of: name, fileName: fileName)
      switch setting.key {
      case "address": address = try reader.address()
      case "port": ports = try reader.ports()
      case "scheduler": scheduler = try reader.scheduler()
      default: throw reader.unknown("address, port or scheduler")
      }
    }
    func missing(_ reason: String) -> ConfigFileError {
      ConfigFileError(
        fileName: fileName, line: section.line, reason: "\(name.shown) \(reason)")
    }
    guard let ports else { throw missing("has no port; \(SettingReader.portMend)") }
    guard let address = address ?? IPAddress(section.name) else {
      throw missing(
        "has no address, and its name is none; write a line as in address = 10.60.0.11")
    }
    self.init(
      name: section.name, address: address, ports: ports, scheduler: scheduler,
      realServers: section.list.servers)
  }
}

/// Reads the value of one setting.
private struct SettingReader {
  static let portMend = "write one or more numbers from 1 to 65535, as in port = 5683 5684"

  private let setting: ConfigFile.Setting
  private let section: SectionName
  private let fileName: String

  init(_ setting: ConfigFile.Setting, of section: SectionName, fileName: String) {
    self.setting = setting
    self.section = section
    self.fileName = fileName
  }

  func logLevel() throws(ConfigFileError) -> LogLevel {
    guard let level = setting.value.flatMap({ LogLevel(name: $0) }) else {
      let names = LogLevel.allCases.map { $0.name }.joined(separator: ", ")
      throw wrong("\(shown): no such level; use one of \(names)")
    }
    return level
  }

  /// libbcc's debug flag word.
  func debug() throws(ConfigFileError) -> Int {
    guard let flags = setting.value.flatMap({ PythonText.integer($0)?.value }),
      (0...4).contains(flags)
    else { throw wrong("\(shown): no such verbosity; use a number from 0 to 4") }
    return flags
  }

  /// At least one, between blanks or commas.
  func ports() throws(ConfigFileError) -> [UInt16] {
    let words = (setting.value ?? "").unicodeScalars
      .split { $0 == "," || PythonText.isSpace($0) }
      .map { String($0) }
    if words.isEmpty { throw wrong("\(shown): no port; \(Self.portMend)") }
    var numbers = [UInt16]()
    for word in words {
      guard let number = PythonText.integer(word)?.value, (1...65535).contains(number) else {
        throw wrong(
          "port = \(PythonText.quoted(word, atMost: 80)): no port number; \(Self.portMend)")
      }
      numbers.append(UInt16(number))
    }
    return numbers
  }

  func scheduler() throws(ConfigFileError) -> Scheduler {
    guard let scheduler = setting.value.flatMap({ Scheduler(rawValue: $0) }) else {
      let names = Scheduler.allCases.map(\.rawValue).joined(separator: " or ")
      throw wrong("\(shown): no such scheduler; use \(names)")
    }
    return scheduler
  }

  func flag() throws(ConfigFileError) -> Bool {
    switch setting.value {
    case "yes": return true
    case "no": return false
    default: throw wrong("\(shown): neither yes nor no; write one of them")
    }
  }

  func address() throws(ConfigFileError) -> IPAddress {
    guard let address = setting.value.flatMap({ IPAddress($0) }) else {
      throw wrong("\(shown): no IPv4 or IPv6 address; write one, as in address = 10.60.0.11")
    }
    return address
  }

  /// - Parameter known: the keys that there are.
  func unknown(_ known: String) -> ConfigFileError {
    wrong(
      "\(PythonText.quoted(setting.key, atMost: 80)): no such setting; "
        + "use \(known), or remove the line")
  }

  private var shown: String {
    setting.value.map { "\(setting.key) = \(PythonText.quoted($0, atMost: 80))" } ?? setting.key
  }

  private func wrong(_ reason: String) -> ConfigFileError {
    ConfigFileError(
      fileName: fileName, line: setting.line, reason: "\(section.shown) \(reason)")
  }
}
