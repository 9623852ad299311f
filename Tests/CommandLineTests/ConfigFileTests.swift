// The config file's grammar against configparser's, the section [ulb], and the messages.

import LoadBalancing
import TestSupport
import Testing

@testable import CommandLine

extension ConfigFile {
  /// The addresses of [Real Servers].
  fileprivate var realServers: [IPAddress] { list.servers.map(\.address) }

  /// The raw values of [ulb]; `nil` where there is no `=`.
  fileprivate var settings: [String: String?] {
    Dictionary(uniqueKeysWithValues: ownSettings.map { ($0.key, $0.value) })
  }
}

@Suite struct ConfigFileTests {
  static func parse(_ text: String) throws(ConfigFileError) -> ConfigFile {
    try ConfigFile.parse(Array(text.utf8), fileName: "FILE")
  }

  static func error(_ bytes: [UInt8]) -> ConfigFileError? {
    do throws(ConfigFileError) {
      let file = try ConfigFile.parse(bytes, fileName: "FILE")
      _ = try LiveSettings(file)
      Issue.record("accepted")
      return nil
    } catch {
      return error
    }
  }

  static func error(_ text: String) -> ConfigFileError? { error(Array(text.utf8)) }

  @Test func allVectorsAreThere() {
    #expect(ConfigFileVector.all.count == 48)
  }

  @Test(arguments: ConfigFileVector.all)
  func isReadAsTheOriginalReadsIt(_ vector: ConfigFileVector) {
    do throws(ConfigFileError) {
      let file = try Self.parse(vector.text)
      #expect(vector.refused == nil)
      #expect(file.realServers.map { $0.description } == vector.realServers)
    } catch {
      #expect(vector.refused != nil)
      #expect(!error.description.contains("\n"))
      #expect(error.description.hasPrefix("FILE"))
      // What ulb.py says of addresses and of missing things is said here too.
      if let refused = vector.refused,
        refused.contains("does not appear") || refused.contains("empty")
      {
        #expect(error.reason.contains(refused))
      }
    }
  }

  @Test(arguments: [
    ("10.0.0.4\n", 1, "'10.0.0.4' stands before any section"),
    ("[Real Servers]\n10.0.0.4\n  10.0.0.5\n", 3, "'10.0.0.5' is indented deeper"),
    ("[Real Servers]\n= x\n", 2, "has nothing before the ="),
    ("[Real Servers]\n1.1.1.1\n[Real Servers]\n", 3, "section [Real Servers] already exists"),
    ("[Real Servers]\n1.1.1.1\n\n1.1.1.1\n", 4, "'1.1.1.1' stands in its section already"),
    ("[A]\nx\n[Real Servers]\r\n1.1.1.1\r2.2.2\n", 5, "'2.2.2' does not appear to be"),
    ("\u{feff}[Real Servers]\n1.1.1.1\n", 1, "'\\ufeff[Real Servers]' stands before"),
  ])
  func aFaultIsNamedWithItsLine(_ text: String, _ line: Int, _ reason: String) {
    let error = Self.error(text)
    #expect(error?.line == line)
    #expect(error?.reason.contains(reason) == true, "\(String(describing: error))")
    #expect(error?.description.hasPrefix("FILE, line \(line): ") == true)
  }

  @Test(arguments: [
    ("ULB", "ulb"), ("Ulb", "ulb"), (" ulb", "ulb"), ("Default", "DEFAULT"),
    ("real servers", "Real Servers"), ("Real Server", "Real Servers"),
    ("Real Servers ", "Real Servers"), ("RealServers", "Real Servers"),
    ("real_servers", "Real Servers"), ("Rael Servers", "Real Servers"),
    ("Real Severs", "Real Servers"),
    ("Rael Severs", "Real Servers"), ("Real Servers: rack 1", "Real Servers"),
  ])
  func aSectionThatLooksLikeOursIsWarnedOf(_ name: String, _ meant: String) throws {
    let file = try Self.parse("[Real Servers]\n1.1.1.1\n[\(name)]\n2.2.2.2\n")
    #expect(
      file.warnings == [
        "FILE, line 3: section [\(name)] is passed over; write [\(meant)] if that is meant"
      ])
    #expect(file.realServers.count == 1)
    // Where it is missing, the error names what was taken for it.
    let error = Self.error("\n[\(name)]\n1.1.1.1\n")
    #expect(error?.reason.hasPrefix("no [Real Servers] section; ") == true)
    let isNamed = error?.reason.contains("[\(name)] is not it: write [Real Servers]") == true
    #expect(isNamed == (meant == "Real Servers"))
    #expect(error?.line == (isNamed ? 2 : nil))
  }

  @Test(arguments: [
    "Servers", "Other", "lb", "ulb.py", "Virtual", "-", "Real", "Ral Sever", "ul",
    "defaults", "\u{e9}",
  ])
  func otherSectionsArePassedOverInSilence(_ name: String) throws {
    #expect(try Self.parse("[Real Servers]\n1.1.1.1\n[\(name)]\n").warnings == [])
    #expect(try Self.parse("[Real Servers]\n1.1.1.1\n[ulb]\n[DEFAULT]\n[DEFAULT]\n").warnings == [])
  }

  @Test func manyWarningsAreSummedUp() throws {
    let sections = (0..<5000).map { "[real servers \($0)\u{7}]\n" }.joined()
    let warnings = try Self.parse("[Real Servers]\n1.1.1.1\n\(sections)").warnings
    #expect(warnings.count == 9)
    #expect(warnings.first?.contains("section [real servers 0\\x07] is") == true)
    #expect(warnings.last == "FILE: 4,992 more sections like these are passed over")
  }

  @Test func aFileThatIsNotUTF8IsRefused() {
    let error = Self.error(Array("[Real Servers]\n1.1.1.1\n# caf".utf8) + [0xe9, 0x0a])
    #expect(error?.line == 3)
    #expect(error?.reason.contains("UTF-8") == true)
  }

  @Test func longLinesAreCutInMessages() {
    let error = Self.error(String(repeating: "x", count: 1_000_000))
    #expect((error?.description.utf8.count ?? .max) < 300)
  }

  @Test func longNamesOfSectionsAreCutInMessages() {
    let name = String(repeating: "n", count: 300_000)
    let error = Self.error("[\(name)]\n[\(name)]\n")
    #expect(
      error?.description == "FILE, line 2: section [\(name.prefix(80))…] already exists; "
        + "put its lines into one section")
    #expect(
      Self.error("[\u{1b}\u{2028}]\n[\u{1b}\u{2028}]\n")?.reason.contains(
        "section [\\x1b\\u2028] already") == true)
  }

  @Test func blanksBeyondASCIIAreBlanks() throws {
    let file = try Self.parse("[Real Servers]\n\u{a0}\u{3000}10.0.0.4\u{2003}\n\u{85}\u{1f}\n")
    #expect(file.realServers.map { $0.description } == ["10.0.0.4"])
  }

  @Test func lettersAreComparedByOctets() throws {
    // Composed and decomposed: two keys in Python. Case: one key.
    let file = try Self.parse("[Real Servers]\n1.1.1.1\n[o]\n\u{e9}\ne\u{301}\n")
    #expect(file.realServers.count == 1)
    #expect(Self.error("[Real Servers]\n1.1.1.1\n[o]\n\u{e9}\n\u{c9}\n")?.line == 5)
  }

  @Test func aNameEndsAtTheLastBracket() throws {
    // Two sections, where a name that ended at the first one would come twice.
    let file = try Self.parse("[Real Servers]\n1.1.1.1\n[o]\nx\n[o]]\nx\n[o] ; ]\nx\n")
    #expect(file.realServers.map { $0.description } == ["1.1.1.1"])
    #expect(Self.error("[Real Servers]\n1.1.1.1\n[o]]\nx\n[o]]\n")?.line == 5)
  }

  @Test func defaultSectionMayComeTwice() throws {
    let file = try Self.parse("[DEFAULT]\n1.1.1.1\n[Real Servers]\n2.2.2.2\n[DEFAULT]\n3.3.3.3\n")
    #expect(file.realServers.map { $0.description } == ["2.2.2.2", "1.1.1.1", "3.3.3.3"])
  }

  @Test func theSectionOfSettingsIsReadRaw() throws {
    let file = try Self.parse(
      """
      [ulb]
      LogLevel = DEBUG
      # remark
      port = 5683,5684

        5685
      debug
      [Real Servers]
      1.1.1.1 = remark
      """)
    #expect(file.settings == ["loglevel": "DEBUG", "port": "5683,5684\n5685", "debug": nil])
  }

  @Test func liveSettingsAreRead() throws {
    func settings(_ text: String) throws -> LiveSettings {
      try LiveSettings(Self.parse("[Real Servers]\n1.1.1.1\n\(text)"))
    }
    #expect(try settings("") == LiveSettings())
    #expect(try settings("[ulb]\n") == LiveSettings())
    #expect(
      try settings("[ulb]\nloglevel = DEBUG\ndebug = 4\nport = 5683 5684,53\n  54\n")
        == LiveSettings(logLevel: .debug, debug: 4, ports: [5683, 5684, 53, 54]))
    #expect(try settings("[ulb]\nport =\n 1\n 2\n") == LiveSettings(ports: [1, 2]))
    #expect(try settings("[ulb]\nverify_gateway = yes\n") == LiveSettings(verifiesGateway: true))
    #expect(try settings("[ulb]\nverify_gateway = no\n") == LiveSettings(verifiesGateway: false))
  }

  @Test(arguments: [
    ("loglevel = debug", "loglevel = 'debug': no such level; use one of CRITICAL, "),
    ("loglevel", "loglevel: no such level"),
    ("debug = 5", "debug = '5': no such verbosity; use a number from 0 to 4"),
    ("debug = -1", "debug = '-1': no such verbosity"),
    ("port = 0", "port = '0': no port number; write one or more numbers from 1 to 65535"),
    ("port = 53 65536", "port = '65536': no port number"),
    ("port = 53;54", "port = '53;54': no port number"),
    ("port = ,", "port = ',': no port; write"),
    ("port", "port: no port; write"),
    ("verify_gateway = true", "verify_gateway = 'true': neither yes nor no; write one of them"),
    ("verify_gateway", "verify_gateway: neither yes nor no"),
    (
      "ports = 1",
      "'ports': no such setting; use loglevel, debug, port, scheduler or verify_gateway"
    ),
  ])
  func aWrongLiveSettingIsNamed(_ line: String, _ reason: String) {
    let error = Self.error("[Real Servers]\n1.1.1.1\n[ulb]\n\(line)\n")
    #expect(error?.line == 4)
    #expect(error?.reason.hasPrefix("[ulb] \(reason)") == true, "\(String(describing: error))")
  }

  @Test func theFirstWrongSettingIsNamed() {
    let error = Self.error("[Real Servers]\n1.1.1.1\n[ulb]\ndebug = 9\nx\nport = 0\n")
    #expect(error?.line == 4)
  }

  @Test func aLongListIsRead() throws {
    let addresses = (0..<100_000).map { "10.\($0 >> 16).\($0 >> 8 & 255).\($0 & 255)" }
    let file = try Self.parse("[Real Servers]\n" + addresses.joined(separator: "\n"))
    #expect(file.realServers.count == 100_000)
    #expect(file.realServers.last?.description == addresses.last)
  }

  @Test func aFileWithoutAUsableServerIsRefusedWithItsLine() throws {
    let configuration = Configuration(
      interface: "eth0", virtualServer: IPAddress("10.60.0.10")!,
      realServers: [IPAddress("10.70.1.2")!], ports: [53])
    func updated(_ list: String) throws -> (configuration: Configuration, warnings: [String]) {
      let file = try ConfigFile.parse(Array("[Real Servers]\n\(list)\n".utf8), fileName: "f")
      return try configuration.updated(from: file, on: DirectorAddresses())
    }
    let (next, warnings) = try updated("127.0.0.1\n10.70.2.2\n[ULB]")
    #expect(next.realServers == [IPAddress("10.70.2.2")!])
    #expect(warnings.map { $0.prefix(21) } == ["f, line 4: section [U", "real server 127.0.0.1"])
    let error = #expect(throws: ConfigFileError.self) { try updated("# none\n127.0.0.1\n::1\n") }
    #expect(error?.line == 4, "the other family comes first")
    let unusable = #expect(throws: ConfigFileError.self) { try updated("# none\n127.0.0.1") }
    #expect(
      unusable?.description == "f, line 3: no real server can be given a client: 127.0.0.1 is a "
        + "loopback address. See options -vs and -rs.")
  }

  /// Files of pieces that mean something here, some of them long or not printable.
  @Test(arguments: [1, 2, 3, 4])
  func whatIsSaidOfAnyFileIsAFewShortLines(_ seed: UInt64) throws {
    let long = String(repeating: "x", count: 2000)
    let pieces = [
      "[Real Servers]\n", "[ulb]\n", "[ULB]\n", "[real server\u{1b}]\n", "[DEFAULT]\n",
      "[\(long)]\n",
      "[\(long)\u{7}]\r\n", "10.0.0.1\n", "10.0.0.2 = \(long)\n", "::1\n", "\(long)\n",
      "  \(long)\n",
      "port = 53\n", "port = \(long)\n", "loglevel = \(long)\n", "debug\n", "debug = \(long)\n",
      "\(long) = 1\n", "\u{9b}31m\n", "=\(long)\n", "# \(long)\n", "\u{2028}\u{85}", "a\u{301}\n",
    ]
    let configuration = Configuration(
      interface: "eth0", virtualServer: IPAddress("10.60.0.10")!,
      realServers: [IPAddress("10.70.1.2")!], ports: [53])
    var generator = SeededNumbers(seed: seed)
    var refused = 0
    for _ in 0..<2000 {
      let beginning = Bool.random(using: &generator) ? "[Real Servers]\n10.70.1.2\n" : ""
      let text =
        beginning
        + (0..<Int.random(in: 0..<8, using: &generator))
        .map { _ in pieces.randomElement(using: &generator)! }.joined()
      var said: [String]
      do {
        let file = try ConfigFile.parse(Array(text.utf8), fileName: "FILE")
        said = try configuration.updated(from: file, on: DirectorAddresses()).warnings
      } catch {
        refused += 1
        said = ["\(error)"]
      }
      #expect(said.count < 20)
      for line in said {
        #expect(line.utf8.count < 1500)
        let isPlain = line.unicodeScalars.allSatisfy {
          $0.properties.generalCategory != .control && $0 != "\u{2028}"
        }
        #expect(isPlain, "\(line.debugDescription)")
      }
    }
    #expect((100..<1900).contains(refused))
  }
}
