// The options one by one: spelling, values, default, help. Knows no rule of how words are told
// apart; that is the argument parser's.
import LoadBalancing

struct Options {
  /// What the options leave behind.
  struct Values {
    enum Action { case run, check, render }

    var action = Action.run
    var configuration = defaults
    /// The ports as they were written: what is no port is 0 in the configuration, as that is found
    /// later than a usage error.
    var portTexts: [String] = []
    var configFileContent: [UInt8] = []
    /// The files of the lists of clients, and what is in them.
    var lists: [NetworkList.Purpose: (file: String, content: [UInt8])] = [:]
  }

  /// What holds where no option says otherwise.
  static let defaults = Configuration(
    interface: "", virtualServer: .unspecified(.ipv4), realServers: [], ports: [])

  typealias Parser = ArgumentParser<Values>
  typealias Option = Parser.Option
  typealias ValueError = Parser.ValueError

  let readFile: (String) -> Result<[UInt8], FileError>

  func parse(
    _ arguments: [String]
  ) throws(UsageError) -> (request: CommandLineRequest, warnings: [String]) {
    let parser = parser
    var values = Values()
    do throws(Parser.Interruption) {
      try parser.parse(arguments, into: &values)
    } catch {
      switch error {
      case .failure(let message): throw .usage(message: message, usage: parser.usage)
      case .stopped("--version"): return (.showVersion, [])
      case .stopped: return (.help(parser.help), [])
      }
    }
    let (configuration, warnings) = try configuration(values)
    return switch values.action {
    case .run: (.run(configuration), warnings)
    case .check: (.check(configuration), warnings)
    case .render: (.render(configuration), warnings)
    }
  }

  /// Reads the config file's content and checks that everything fits together.
  private func configuration(
    _ values: Values
  ) throws(UsageError) -> (Configuration, warnings: [String]) {
    var configuration = values.configuration
    var file: ConfigFile?
    if let name = configuration.configFile {
      do throws(ConfigFileError) {
        let content = try ConfigFile.parse(values.configFileContent, fileName: name)
        try configuration.set(from: content)
        file = content
      } catch {
        throw .configuration(message: "Unable to load config \(name) file : \(error)")
      }
    }
    configuration.lists.allowed = try list(.allowing, values)
    configuration.lists.denied = try list(.denying, values)
    do throws(ConfigurationError) {
      try configuration.validate()
    } catch {
      let reason =
        switch error.element {
        case .port(virtualServer: 0, let index):
          ConfigurationError.noPort(values.portTexts[index].shortened(), index: index).message
        // What ulb.py says of its one virtual server has no line.
        case .realServer(virtualServer: 0, _), nil: error.message
        case .virtualServer, .realServer, .port:
          file.map { "\($0.error(error))" } ?? error.message
        }
      throw .configuration(message: "Inconsistent configuration: \(reason)")
    }
    return (configuration, file?.warnings ?? [])
  }

  private func list(
    _ purpose: NetworkList.Purpose, _ values: Values
  ) throws(UsageError) -> NetworkList? {
    guard let (file, content) = values.lists[purpose] else { return nil }
    do throws(ConfigFileError) {
      return try NetworkList.parse(content, file: file, for: purpose)
    } catch {
      throw .configuration(message: "Unable to load \(purpose.title): \(error)")
    }
  }
}

// MARK: - The options

extension Options {
  var parser: Parser {
    Parser(
      program: "ulb",
      positional: Parser.Positional(
        name: "ifnet", help: ["network interface to load balance (e.g. eth0)"],
        store: { values, word in values.configuration.interface = word }),
      options: originalOptions + furtherOptions,
      groups: [
        Parser.Group(members: ["-rs", "-cfg"], isRequired: true),
        Parser.Group(members: ["--check", "--render"], isRequired: false),
      ],
      extraHeading: "options beyond ulb.py's, to be spelled in full")
  }

  /// The options of ulb.py, which can be abbreviated.
  private var originalOptions: [Option] {
    let readFile = readFile
    return [
      Option(
        spellings: ["-h", "--help"], arity: .none, help: ["show this help message and exit"],
        stops: true),
      Option(
        spellings: ["-vs", "--virtual_server"], placeholder: "VIRTUAL_SERVER",
        help: ["<Required> Virtual server address (e.g. 10.40.0.1)"], isRequired: true,
        store: { values, words throws(ValueError) in
          values.configuration.virtualServer = try Self.address(words[0])
        }),
      Option(
        spellings: ["-rs", "--real_server"], arity: .oneOrMore, placeholder: "REAL_SERVER",
        help: ["<Required> Real server address(es) (e.g. 10.40.0.2 10.40.0.3)"],
        store: { values, words throws(ValueError) in
          values.configuration.realServers = try words.map(Self.address)
        }),
      Option(
        spellings: ["-cfg", "--config_file"], placeholder: "CONFIG_FILE", value: .file(),
        help: [
          "<Required> a path to a file containing real server address(es).",
          "File will be polled each second for modification and configuration",
          "updated dynamically. A file content example :",
          "",
          "[Real Servers]",
          "10.0.0.4",
          "10.0.0.2",
          "10.0.0.6",
          "",
          "An optional section [ulb] sets loglevel, debug, port, scheduler and",
          "verify_gateway of the running daemon, over the command line's :",
          "",
          "[ulb]",
          "loglevel = DEBUG",
          "port = 5683 5684",
          "",
          "Further virtual servers have two sections each. Behind a real server",
          "can stand weight N (0 to 256) and drain (no new client), here and above :",
          "",
          "[Virtual Server lwm2m-v6]",
          "address = fd60::10",
          "port = 5683",
          "scheduler = maglev",
          "",
          "[Real Servers lwm2m-v6]",
          "fd70:1::2 = weight 2",
          "fd70:2::2 = drain",
          "",
        ],
        store: { values, words throws(ValueError) in
          values.configFileContent = try Self.content(words[0], readFile)
          values.configuration.configFile = words[0]
        }),
      Option(
        spellings: ["-p", "--port"], arity: .oneOrMore, placeholder: "PORT",
        help: ["<Required> UDP port(s) to load balance"], isRequired: true,
        store: { values, words throws(ValueError) in
          let numbers = try words.map(Self.integer)
          values.portTexts = numbers.map(\.text)
          values.configuration.ports = numbers.map { $0.value.flatMap(UInt16.init(exactly:)) ?? 0 }
        }),
      Option(
        spellings: ["-d", "--debug"], value: .oneOf((0...4).map(String.init)),
        help: ["Use to set bpf verbosity, 0 is minimal. (default: \(Self.defaults.debug))"],
        store: { values, words throws(ValueError) in
          let number = try Self.integer(words[0])
          guard let flags = number.value, (0...4).contains(flags) else {
            throw ValueError(
              message: "invalid choice: \(number.text.shortened()) "
                + "(choose from 0, 1, 2, 3, 4)")
          }
          values.configuration.debug = flags
        }),
      Option(
        spellings: ["-l", "--loglevel"], value: .oneOf(LogLevel.allCases.map(\.name)),
        help: ["Use to set logging verbosity. (default: \(Self.defaults.logLevel.name))"],
        store: { values, words throws(ValueError) in
          values.configuration.logLevel = try Self.choice(words[0], LogLevel.allCases) { $0.name }
        }),
      Option(
        spellings: ["-mp", "--max_ports"], placeholder: "MAX_PORTS",
        help: [
          "Set the maximum number of port to load balance. (default: \(Self.defaults.maxPorts))"
        ],
        store: { values, words throws(ValueError) in
          values.configuration.maxPorts = try Self.maximum(words[0])
        }),
      Option(
        spellings: ["-mrs", "--max_realservers"], placeholder: "MAX_REALSERVERS",
        help: [
          "Set the maximum number of real servers. (default: \(Self.defaults.maxRealServers))"
        ],
        store: { values, words throws(ValueError) in
          values.configuration.maxRealServers = try Self.maximum(words[0])
        }),
      Option(
        spellings: ["-ma", "--max_associations"], placeholder: "MAX_ASSOCIATIONS",
        help: [
          "Set the maximum number of associations. (default: \(Self.defaults.maxAssociations))",
          "This defined the maximum number of foreign peers supported at the same time.",
        ],
        store: { values, words throws(ValueError) in
          values.configuration.maxAssociations = try Self.maximum(words[0])
        }),
    ]
  }

  /// The options of ulb alone. Spelled in full, so that they take no abbreviation from ulb.py's.
  private var furtherOptions: [Option] {
    let readFile = readFile
    return [
      Option(
        spellings: ["--check"], arity: .none,
        help: [
          "Check the command line and the config file, print the configuration",
          "as one JSON object and exit. Does not look at the interface.",
        ],
        isAbbreviable: false, store: { values, _ in values.action = .check }),
      Option(
        spellings: ["--render"], arity: .none,
        help: ["Print the C source of the XDP program for this configuration and exit."],
        isAbbreviable: false, store: { values, _ in values.action = .render }),
      Option(
        spellings: ["--version"], arity: .none,
        help: ["Print the version, libbcc's and the kernel's, and exit."],
        isAbbreviable: false, stops: true),
      Option(
        spellings: ["--mode"], value: .oneOf(AttachMode.allCases.map(\.rawValue)),
        help: [
          "Attach in the driver (native), in the kernel's stack (generic), or native",
          "where the driver has it, else generic (auto). (default: \(Self.defaults.mode.rawValue))",
        ],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          values.configuration.mode = try Self.choice(words[0], AttachMode.allCases) { $0.rawValue }
        }),
      Option(
        spellings: ["--replace"], arity: .none,
        help: [
          "Take the place of another XDP program on the interface.",
          "(default: leave it there and exit)",
        ],
        isAbbreviable: false, store: { values, _ in values.configuration.replace = true }),
      Option(
        spellings: ["--log_format"], value: .oneOf(LogFormat.allCases.map(\.rawValue)),
        help: [
          "Log ulb.py's lines, or one JSON object a line. (default: \(Self.defaults.logFormat.rawValue))"
        ],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          values.configuration.logFormat = try Self.choice(words[0], LogFormat.allCases) {
            $0.rawValue
          }
        }),
      Option(
        spellings: ["--kernel_headers"], placeholder: "DIR|system",
        value: .directory(or: ["system"]),
        help: [
          "Compile against the kernel headers in a directory, or against those of the",
          "running kernel's package (system). (default: those that ulb carries)",
        ],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          if words[0].isEmpty {
            throw ValueError(message: "expected a directory or the word system")
          }
          values.configuration.kernelHeaders = words[0] == "system" ? .system : .directory(words[0])
        }),
      Option(
        spellings: ["--state"], placeholder: "FILE", value: .file(),
        help: [
          "Keep the associations in a file: saved at stop and at intervals, loaded at",
          "start. (default: none)",
        ],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          if words[0].isEmpty { throw ValueError(message: "expected the path of a file") }
          values.configuration.stateFile = words[0]
        }),
      Option(
        spellings: ["--state_interval"], placeholder: "SECONDS",
        help: ["Seconds between two saves, 1 to 86400. (default: \(Self.defaults.stateInterval))"],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          values.configuration.stateInterval = try Self.seconds(words[0], 1...86400)
        }),
      Option(
        spellings: ["--interface_wait"], placeholder: "SECONDS",
        help: [
          "Seconds to wait for an interface that went away to come back before ulb",
          "ends, 0 to 86400. (default: \(Self.defaults.interfaceWait))",
        ],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          values.configuration.interfaceWait = try Self.seconds(words[0], 0...86400)
        }),
      Option(
        spellings: ["--probation"], placeholder: "SECONDS",
        help: [
          "How long after a real server has answered it a client has to send again",
          "until no flood of new clients makes ulb forget it, 0 to 15. 0: all clients are",
          "forgotten alike. (default: \(Self.defaults.probation))",
        ],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          values.configuration.probation = try Self.seconds(words[0], 0...15)
        }),
      Option(
        spellings: ["--allow"], placeholder: "FILE", value: .file(),
        help: [
          "Serve clients of these networks alone: a CIDR or an address on each line,",
          "# before remarks. Of all networks that a client is in, in this file and in that",
          "of --deny, the smallest decides. Polled as CONFIG_FILE is. (default: none)",
        ],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          values.lists[.allowing] = (words[0], try Self.content(words[0], readFile))
        }),
      Option(
        spellings: ["--deny"], placeholder: "FILE", value: .file(),
        help: [
          "Drop what clients of these networks send, unless they are residents, see",
          "--probation. (default: none)",
        ],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          values.lists[.denying] = (words[0], try Self.content(words[0], readFile))
        }),
      Option(
        spellings: ["--strict"], arity: .none,
        help: [
          "Look each packet of a client up in the lists of --allow and --deny, those of",
          "residents too. (default: not those)",
        ],
        isAbbreviable: false, store: { values, _ in values.configuration.lists.isStrict = true }),
      Option(
        spellings: ["--verify_gateway"], arity: .none,
        help: [
          "Drop what claims to come from a real server and does not come from the MAC",
          "address of the next hop on the way to it, the gateway's or its own. Not where",
          "packets may come by several gateways. (default: not verified)",
        ],
        isAbbreviable: false, store: { values, _ in values.configuration.verifiesGateway = true }),
      Option(
        spellings: ["--control"], placeholder: "PATH|none", value: .file(or: ["none"]),
        help: [
          "The Unix socket that ulbctl talks to, or none.",
          "(default: /run/ulb/IFNET/control.sock)",
        ],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          if words[0].isEmpty {
            throw ValueError(message: "expected the path of a socket or the word none")
          }
          values.configuration.control = words[0] == "none" ? .nowhere : .path(words[0])
        }),
      Option(
        spellings: ["--control_group"], placeholder: "NAME", value: .group,
        help: ["The group whose members may use that socket. (default: the process' own)"],
        isAbbreviable: false,
        store: { values, words throws(ValueError) in
          if words[0].isEmpty { throw ValueError(message: "expected the name of a group") }
          values.configuration.controlGroup = words[0]
        }),
    ]
  }
}

// MARK: - Values

extension Options {
  private static func address(_ word: String) throws(ValueError) -> IPAddress {
    guard let address = IPAddress(word) else {
      throw ValueError(
        message: "Invalid IP address '\(word.shortened())' : \(PythonText.quoted(word)) "
          + "does not appear to be an IPv4 or IPv6 address")
    }
    return address
  }

  private static func integer(_ word: String) throws(ValueError) -> PythonText.Integer {
    guard let integer = PythonText.integer(word) else {
      throw ValueError(message: "invalid int value: \(PythonText.quoted(word))")
    }
    return integer
  }

  /// Digits alone, at most what a table's size can be.
  private static func maximum(_ word: String) throws(ValueError) -> UInt32 {
    guard !word.isEmpty,
      word.unicodeScalars.allSatisfy({ PythonText.decimalDigit($0) != nil }),
      let number = PythonText.integer(word)
    else { throw ValueError(message: "\(word.shortened()) is not a valid positive int") }
    guard let maximum = number.value.flatMap({ UInt32(exactly: $0) }) else {
      throw ValueError(
        message: "\(word.shortened()) is not a valid positive int, "
          + "max value is \(UInt32.max)")
    }
    return maximum
  }

  private static func seconds(
    _ word: String, _ range: ClosedRange<Int>
  ) throws(ValueError) -> Int {
    let number = try integer(word)
    guard let seconds = number.value, range.contains(seconds) else {
      throw ValueError(
        message:
          "\(number.text.shortened()) is not a number of seconds from \(range.lowerBound) "
          + "to \(range.upperBound)")
    }
    return seconds
  }

  private static func choice<Choice>(
    _ word: String, _ choices: [Choice], _ name: (Choice) -> String
  ) throws(ValueError) -> Choice {
    guard let choice = choices.first(where: { name($0) == word }) else {
      let names = choices.map { "'\(name($0))'" }.joined(separator: ", ")
      throw ValueError(
        message: "invalid choice: \(PythonText.quoted(word)) (choose from \(names))")
    }
    return choice
  }

  private static func content(
    _ name: String, _ readFile: (String) -> Result<[UInt8], FileError>
  ) throws(ValueError) -> [UInt8] {
    switch readFile(name) {
    case .success(let bytes):
      return bytes
    case .failure(let error):
      throw ValueError(
        message: "can't open '\(name)': [Errno \(error.errno.rawValue)] \(error.reason): "
          + PythonText.quoted(name))
    }
  }
}
