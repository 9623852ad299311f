// The command line against ulb.py's, and the options beyond it.

import Foundation
import LoadBalancing
import SystemPackage
import Testing

@testable import CommandLine

@Suite struct OptionTests {
  static let usual = ["eth0", "-vs", "10.40.0.1", "-rs", "10.40.0.2", "-p", "5683"]

  /// The files that the vectors name.
  static func readFile(_ name: String) -> Result<[UInt8], FileError> {
    switch name {
    case "ok.cfg":
      Result { try Vectors.bytes("ok.cfg") }.mapError { _ in FileError(.ioError) }
    case ".": .failure(FileError(.isDirectory))
    default: .failure(FileError(.noSuchFileOrDirectory))
    }
  }

  static func parse(_ arguments: [String]) throws(UsageError) -> CommandLineRequest {
    try CommandLineRequest.parse(arguments, readFile: readFile).request
  }

  static func configuration(_ arguments: [String]) throws -> Configuration {
    guard case .run(let configuration) = try parse(arguments) else {
      Issue.record("no configuration to run")
      throw CancellationError()
    }
    return configuration
  }

  static func error(_ arguments: [String]) -> UsageError? {
    do throws(UsageError) {
      let request = try parse(arguments)
      Issue.record("accepted: \(request)")
      return nil
    } catch {
      return error
    }
  }

  @Test func allVectorsAreThere() {
    #expect(CommandLineVector.all.count == 119)
  }

  @Test(arguments: CommandLineVector.all)
  func isReadAsTheOriginalReadsIt(_ vector: CommandLineVector) throws {
    switch Result(catching: { () throws(UsageError) in try Self.parse(vector.argv) }) {
    case .success(.run(let configuration)):
      #expect(vector.exit == 0)
      let expected = try #require(vector.configuration)
      let json = Data(configuration.json().utf8)
      #expect(try Vectors.decode(CommandLineVector.Configuration.self, json) == expected)
    case .success(.help):
      #expect(vector.exit == 0)
      #expect(vector.help == true)
    case .success(let request):
      Issue.record("unexpected request \(request)")
    case .failure(let error):
      #expect(error.exitStatus == vector.exit)
      let expected = try #require(vector.error)
      if vector.exit == 2 {
        #expect(error.message == expected)
      } else {
        #expect(error.message.contains(expected))
      }
      #expect(!error.message.contains("\n"))
    }
  }

  @Test func checkPrintsTheKeysInOrder() throws {
    let configuration = try Self.configuration(Self.usual)
    #expect(
      configuration.json() == """
        {"config_file":null,"debug":0,"ifnet":"eth0","loglevel":"ERROR",\
        "max_associations":1048576,"max_ports":16,"max_realservers":32,"ports":[5683],\
        "real_servers":["10.40.0.2"],"virtual_server":"10.40.0.1"}
        """)
  }

  @Test func checkPrintsWhatTheOriginalDoesNotKnowWhereItIsSet() throws {
    var configuration = try Self.configuration(Self.usual)
    configuration.liveSettings.scheduler = .maglev
    #expect(configuration.json().contains("],\"scheduler\":\"maglev\",\"virtual_server\":"))
    configuration.virtualServers[0].realServers[0].state = .draining
    let realServer = RealServer(IPAddress("fd70::2")!, weight: 2)
    configuration.virtualServers.append(
      VirtualServer(
        name: "a \"b\"", address: IPAddress("fd60::10")!, ports: [53], realServers: [realServer]))
    #expect(
      configuration.json() == """
        {"config_file":null,"debug":0,"ifnet":"eth0","loglevel":"ERROR",\
        "max_associations":1048576,"max_ports":16,"max_realservers":32,"ports":[5683],\
        "real_server_settings":[{"address":"10.40.0.2","state":"draining","weight":1}],\
        "real_servers":["10.40.0.2"],"scheduler":"maglev","virtual_server":"10.40.0.1",\
        "virtual_servers":[{"address":"fd60::10","name":"a \\"b\\"","ports":[53],\
        "real_servers":[{"address":"fd70::2","state":"up","weight":2}],\
        "scheduler":"round-robin"}]}
        """)
  }

  @Test func gatewaysAreVerifiedWhereThatIsSaid() throws {
    var configuration = try Self.configuration(Self.usual)
    #expect(!configuration.verifiesGateway)
    configuration.liveSettings.verifiesGateway = true
    let checked = "],\"verify_gateway\":true,\"virtual_server\":"
    #expect(configuration.json().contains(checked))
    configuration = try Self.configuration(Self.usual + ["--verify_gateway"])
    #expect(configuration.verifiesGateway)
    #expect(configuration.json().contains(checked))
    configuration.liveSettings.verifiesGateway = false
    #expect(!configuration.json().contains("verify_gateway"))
  }

  @Test func theFurtherOptionsHaveDefaults() throws {
    let configuration = try Self.configuration(Self.usual)
    #expect(configuration.mode == .auto)
    #expect(!configuration.replace)
    #expect(configuration.logFormat == .text)
    #expect(configuration.kernelHeaders == .own)
    #expect(configuration.stateFile == nil)
    #expect(configuration.stateInterval == 60)
    #expect(configuration.interfaceWait == 5)
    #expect(configuration.control == .ofInterface)
    #expect(configuration.controlGroup == nil)
    #expect(configuration.lists == ClientLists())
  }

  @Test func theFurtherOptionsAreStored() throws {
    let configuration = try Self.configuration(
      Self.usual + [
        "--mode", "generic", "--replace", "--log_format=json", "--kernel_headers", "/usr/src/x",
        "--state", "a b.state", "--state_interval=1", "--interface_wait", "0",
        "--control=/run/x.sock", "--control_group", "operators",
      ])
    #expect(configuration.mode == .generic)
    #expect(configuration.replace)
    #expect(configuration.logFormat == .json)
    #expect(configuration.kernelHeaders == .directory("/usr/src/x"))
    #expect(configuration.stateFile == "a b.state")
    #expect(configuration.stateInterval == 1)
    #expect(configuration.interfaceWait == 0)
    #expect(configuration.control == .path("/run/x.sock"))
    #expect(configuration.controlGroup == "operators")
    #expect(try Self.configuration(Self.usual + ["--control", "none"]).control == .nowhere)
    let system = try Self.configuration(Self.usual + ["--kernel_headers", "system"])
    #expect(system.kernelHeaders == .system)
  }

  @Test(arguments: [
    (
      ["--mode", "skb"],
      "argument --mode: invalid choice: 'skb' "
        + "(choose from 'auto', 'native', 'generic')"
    ),
    (
      ["--log_format", "JSON"],
      "argument --log_format: invalid choice: 'JSON' "
        + "(choose from 'text', 'json')"
    ),
    (
      ["--state_interval", "0"],
      "argument --state_interval: 0 is not a number of seconds from 1 to 86400"
    ),
    (
      ["--interface_wait", "86401"],
      "argument --interface_wait: 86401 is not a number of seconds from 0 to 86400"
    ),
    (["--interface_wait", "x"], "argument --interface_wait: invalid int value: 'x'"),
    (["--state", ""], "argument --state: expected the path of a file"),
    (["--control", ""], "argument --control: expected the path of a socket or the word none"),
    (["--control_group", ""], "argument --control_group: expected the name of a group"),
    (["--state"], "argument --state: expected one argument"),
    (["--replace=yes"], "argument --replace: ignored explicit argument 'yes'"),
    (["--check", "--render"], "argument --render: not allowed with argument --check"),
    (["--mod", "auto"], "unrecognized arguments: --mod auto"),
    (["--chec"], "unrecognized arguments: --chec"),
    (["--state_int", "5"], "unrecognized arguments: --state_int 5"),
  ])
  func aFaultOfAFurtherOptionIsNamed(_ arguments: [String], _ message: String) {
    let error = Self.error(Self.usual + arguments)
    #expect(error?.exitStatus == 2)
    #expect(error?.message == message)
  }

  @Test func furtherOptionsTakeNoPrefixAway() throws {
    // --re is --real_server's although --render and --replace begin alike, --v --virtual_server's.
    let configuration = try Self.configuration(
      ["eth0", "--v", "10.40.0.1", "--re", "10.40.0.2", "--p", "1", "--l", "INFO"])
    #expect(configuration.virtualServer.description == "10.40.0.1")
    #expect(configuration.realServers.count == 1)
    #expect(configuration.logLevel == .info)
  }

  @Test func checkAndRenderTakeTheSameArguments() throws {
    #expect(
      try Self.parse(["--check"] + Self.usual) == .check(try Self.configuration(Self.usual)))
    #expect(
      try Self.parse(Self.usual + ["--render"]) == .render(try Self.configuration(Self.usual)))
    let error = Self.error(["--check", "eth0"])
    #expect(
      error?.message == "the following arguments are required: -vs/--virtual_server, -p/--port")
  }

  @Test func versionNeedsNothingElse() throws {
    #expect(try Self.parse(["--version"]) == .showVersion)
    #expect(try Self.parse(["eth0", "--version", "--bogus"]) == .showVersion)
  }

  @Test func ambiguityIsFoundBeforeHelp() {
    #expect(
      Self.error(["-h", "--max"])?.message
        == "ambiguous option: --max could match --max_ports, --max_realservers, "
        + "--max_associations")
  }

  @Test func lettersAfterAFlagAreOptions() throws {
    guard case .help = try Self.parse(["-hd4"]) else {
      Issue.record("-hd4 is no help")
      return
    }
    #expect(Self.error(["-h="])?.message == "argument -h/--help: ignored explicit argument ''")
    #expect(
      Self.error(["--help=x"])?.message == "argument -h/--help: ignored explicit argument 'x'")
  }

  @Test func everyMissingArgumentIsNamed() {
    #expect(
      Self.error([])?.message
        == "the following arguments are required: ifnet, -vs/--virtual_server, -p/--port")
  }

  @Test(arguments: [("1_0", 10), (" 7 ", 7), ("+65535", 65535), ("٣", 3)])
  func aNumberIsReadAsPythonReadsIt(_ word: String, _ port: UInt16) throws {
    let configuration = try Self.configuration(
      ["eth0", "-vs", "10.40.0.1", "-rs", "10.40.0.2", "-p", word])
    #expect(configuration.ports == [port])
  }

  @Test(arguments: ["1__0", "_1", "1_", "", " ", "+", "--", "1 0", "²"])
  func whatPythonTakesForNoNumberIsRefused(_ word: String) {
    #expect(Self.error(["eth0", "-vs", "::", "-rs", "::1", "-p=\(word)"])?.exitStatus == 2)
  }

  @Test func hugeNumbersAreNamedInFull() {
    let huge = "100000000000000000000000"
    let port = Self.error(["eth0", "-vs", "10.40.0.1", "-rs", "10.40.0.2", "-p", huge])
    #expect(port?.exitStatus == 1)
    #expect(port?.message.contains("port out of range, \(huge) is not in 1 to 65535") == true)
    #expect(
      Self.error(Self.usual + ["-d", "-\(huge)"])?.message
        == "argument -d/--debug: invalid choice: -\(huge) (choose from 0, 1, 2, 3, 4)")
  }

  @Test func valuesAreQuotedAsPythonQuotes() {
    #expect(
      Self.error(Self.usual + ["-l", "it's\n"])?.message
        == "argument -l/--loglevel: invalid choice: \"it's\\n\" (choose from 'CRITICAL', "
        + "'ERROR', 'WARNING', 'INFO', 'DEBUG', 'TRACE')")
  }

  /// A word of a command line may have 128 KiB.
  @Test(arguments: [
    ["-p", "x"], ["-p", "9"], ["-rs", "x"], ["-vs", "x"], ["-d", "9"], ["-d", "x"], ["-l", "x"],
    ["-ma", "x"], ["-ma", "9"], ["--state_interval", "9"], ["--mode", "x"], ["--replace=", "x"],
    ["--max=", "x"], ["-", "x"], ["", "x"],
  ])
  func longWordsAreCutInMessages(_ form: [String]) {
    let long = String(repeating: form[1], count: 100_000)
    let words = form[0].hasSuffix("=") || form[0].count < 2 ? [form[0] + long] : [form[0], long]
    let message = Self.error(Self.usual + words)?.message ?? ""
    #expect(message.contains("…"), "\(message)")
    #expect(message.count < 600, "\(message.count)")
    let many = Self.error(Self.usual + [String](repeating: "--x", count: 40_000))?.message ?? ""
    #expect(many.hasPrefix("unrecognized arguments: --x --x ") && many.count < 300)
  }

  @Test func everyConfigFileIsOpened() throws {
    var opened = [String]()
    let arguments = ["eth0", "-vs", "10.40.0.1", "-cfg", "a", "-cfg", "b", "-p", "53"]
    let (request, _) = try CommandLineRequest.parse(arguments) { name in
      opened.append(name)
      return .success(Array("[Real Servers]\n10.0.0.4\n".utf8))
    }
    #expect(opened == ["a", "b"])
    guard case .run(let configuration) = request else {
      Issue.record("refused")
      return
    }
    #expect(configuration.configFile == "b")
  }

  @Test func aConfigFileWithAFaultIsRefusedWithItsLine() throws {
    let arguments = ["eth0", "-vs", "10.40.0.1", "-cfg", "f.cfg", "-p", "53"]
    func message(_ text: String) -> String? {
      do throws(UsageError) {
        _ = try CommandLineRequest.parse(arguments) { _ in .success(Array(text.utf8)) }
        return nil
      } catch {
        return "\(error.exitStatus) \(error.message)"
      }
    }
    #expect(
      message("[Real Servers]\n10.0.0.4\nx\n")
        == "1 Unable to load config f.cfg file : f.cfg, line 3: 'x' does not appear to be an IPv4 "
        + "or IPv6 address; write one address a line, a remark on a line of its own after #")
    #expect(message("[Real Servers]\n10.0.0.4\n[ulb]\ndebug = 9\n")?.hasPrefix("1 Unable") == true)
    #expect(
      message("[Real Servers]\n::1\n")
        == "1 Inconsistent configuration: Real server ip ::1 seems to be ipv6 address. ipv4 is "
        + "expected, as the virtual server is 10.40.0.1. See options -vs and -cfg.")
    #expect(message("[Real Servers]\n10.0.0.4\n[ulb]\ndebug = 1\n") == nil)
  }

  @Test func warningsComeWithTheRequest() throws {
    let arguments = ["--check", "eth0", "-vs", "10.40.0.1", "-cfg", "a", "-cfg", "b", "-p", "53"]
    let (_, warnings) = try CommandLineRequest.parse(arguments) { name in
      .success(Array("[Real Servers]\n10.0.0.4\n[ULB]\nx=\(name)\n".utf8))
    }
    // Of the file that counts alone.
    #expect(
      warnings == ["b, line 3: section [ULB] is passed over; write [ulb] if that is meant"])
    #expect(try CommandLineRequest.parse(Self.usual, readFile: Self.readFile).warnings == [])
  }

  @Test func liveSettingsStandOverTheCommandLine() throws {
    let text = "[Real Servers]\n10.0.0.4\n[ulb]\nloglevel = TRACE\ndebug = 2\nport = 1, 2\n"
    let request = try CommandLineRequest.parse([
      "eth0", "-vs", "10.40.0.1", "-cfg", "f", "-p", "53",
    ]) { _ in .success(Array(text.utf8)) }.request
    guard case .run(let configuration) = request else {
      Issue.record("nothing to run")
      return
    }
    #expect(configuration.ports == [53])
    #expect(configuration.effective.ports == [1, 2])
    #expect(configuration.effective.debug == 2)
    #expect(configuration.effective.logLevel == .trace)
    #expect(configuration.effective.effective == configuration.effective)
    #expect(configuration.json().contains("\"ports\":[1,2]"))
  }

  @Test func portsOfTheConfigFileAreBoundToo() {
    var configuration = Configuration(
      interface: "eth0", virtualServer: .unspecified(.ipv4), realServers: [], ports: [1]
    ) { $0.maxPorts = 1 }
    #expect(throws: Never.self) { try configuration.validate() }
    configuration.liveSettings.ports = [1, 2]
    #expect(throws: ConfigurationError.self) { try configuration.validate() }
  }

  @Test func aUsageErrorComesAfterTheUsage() throws {
    let error = try #require(Self.error(Self.usual + ["-x"]))
    #expect(error.usage.hasPrefix("usage: ulb [-h] -vs VIRTUAL_SERVER\n"))
    #expect(error.usage.hasSuffix("\n"))
    #expect(error.message == "unrecognized arguments: -x")
    let other = try #require(Self.error(["eth0", "-vs", "::", "-rs", "::1", "-p", "0"]))
    #expect(other.usage == "")
    #expect(
      other.message
        == "Inconsistent configuration: port out of range, 0 is not in 1 to 65535. See option -p.")
  }

  @Test func theHelpListsEveryOption() throws {
    guard case .help(let help) = try Self.parse(["--help"]) else {
      Issue.record("no help")
      return
    }
    let grammar = Options(readFile: Self.readFile)
    #expect(grammar.parser.options.count == 27)
    for option in grammar.parser.options {
      for spelling in option.spellings { #expect(help.contains(spelling)) }
      for text in option.help where !text.isEmpty { #expect(help.contains(text)) }
      if option.arity == .one, !option.isRequired, option.spellings[0] != "-cfg" {
        #expect(option.help.joined().contains("(default: "), "\(option.name)")
      }
    }
    #expect(
      help.hasPrefix(
        """
        usage: ulb [-h] -vs VIRTUAL_SERVER
                   (-rs REAL_SERVER [REAL_SERVER ...] | -cfg CONFIG_FILE) -p PORT
                   [PORT ...] [-d {0,1,2,3,4}]
                   [-l {CRITICAL,ERROR,WARNING,INFO,DEBUG,TRACE}] [-mp MAX_PORTS]
                   [-mrs MAX_REALSERVERS] [-ma MAX_ASSOCIATIONS] [--check | --render]

        """))
    #expect(
      help.contains("  ifnet                 network interface to load balance (e.g. eth0)\n"))
    #expect(
      help.contains(
        """
          -d {0,1,2,3,4}, --debug {0,1,2,3,4}
                                Use to set bpf verbosity, 0 is minimal. (default: 0)

        """))
    #expect(!help.contains(" \n"))
  }
}
