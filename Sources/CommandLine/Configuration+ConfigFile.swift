// What a config file sets in a configuration. Knows the keys of the section [ulb] and their values,
// not the file's grammar.
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
      var line: Int?
      if case .realServer(virtualServer: 0, let index) = error.element {
        line = file.line(ofRealServer: index)
      }
      throw ConfigFileError(fileName: file.fileName, line: line, reason: error.message)
    }
  }

  /// Puts in what a config file says, unchecked beside the rest.
  mutating func set(from file: ConfigFile) throws(ConfigFileError) {
    realServers = file.realServers
    liveSettings = try LiveSettings(file)
  }
}

extension LiveSettings {
  /// Reads the section of a config file. An unknown key or a wrong value is an error that names
  /// key, value, line and mend: a setting that an operator believes in must not be ignored.
  public init(_ file: ConfigFile) throws(ConfigFileError) {
    self.init()
    for (key, value) in file.settings.sorted(by: { file.line(of: $0.key) < file.line(of: $1.key) })
    {
      let line = file.line(of: key)
      func wrong(_ reason: String) -> ConfigFileError {
        ConfigFileError(fileName: file.fileName, line: line, reason: "[ulb] \(reason)")
      }
      let shown = value.map { "\(key) = \(PythonText.quoted($0, atMost: 80))" } ?? "\(key)"
      switch key {
      case "loglevel":
        guard let level = value.flatMap({ LogLevel(name: $0) }) else {
          let names = LogLevel.allCases.map { $0.name }.joined(separator: ", ")
          throw wrong("\(shown): no such level; use one of \(names)")
        }
        logLevel = level
      case "debug":
        guard let flags = value.flatMap({ PythonText.integer($0)?.value }), (0...4).contains(flags)
        else { throw wrong("\(shown): no such verbosity; use a number from 0 to 4") }
        debug = flags
      case "port":
        let words = (value ?? "").unicodeScalars
          .split { $0 == "," || PythonText.isSpace($0) }
          .map { String($0) }
        let mend = "write one or more numbers from 1 to 65535, as in port = 5683 5684"
        if words.isEmpty { throw wrong("\(shown): no port; \(mend)") }
        var numbers = [UInt16]()
        for word in words {
          guard let number = PythonText.integer(word)?.value, (1...65535).contains(number) else {
            throw wrong("port = \(PythonText.quoted(word, atMost: 80)): no port number; \(mend)")
          }
          numbers.append(UInt16(number))
        }
        ports = numbers
      default:
        throw wrong(
          "\(PythonText.quoted(key, atMost: 80)): no such setting; "
            + "use loglevel, debug or port, or remove the line")
      }
    }
  }
}
