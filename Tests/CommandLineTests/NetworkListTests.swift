// The files of the lists of clients, and the options that name them.
import LoadBalancing
import Testing

@testable import CommandLine

@Suite struct NetworkListTests {
  private static func parse(
    _ text: String, for purpose: NetworkList.Purpose = .denying
  ) throws -> Set<String> {
    let list = try NetworkList.parse(Array(text.utf8), file: "list", for: purpose)
    #expect(list.file == "list")
    return Set(list.networks.map(\.description))
  }

  @Test func linesAreNetworksAddressesAndRemarks() throws {
    let text = """
      # offices
      10.50.0.0/16
        192.0.2.7 \t# a host

      fd50::/64#no blank needed
      \tFD60::0010
      0.0.0.0/0\r
      ::/0
      """
    let expected: Set = [
      "10.50.0.0/16", "192.0.2.7/32", "fd50::/64", "fd60::10/128", "0.0.0.0/0", "::/0",
    ]
    for purpose in NetworkList.Purpose.allCases {
      #expect(try Self.parse(text, for: purpose) == expected)
    }
  }

  @Test func whatIsThereTwiceIsThereOnce() throws {
    #expect(try Self.parse("10.0.0.1\n10.0.0.1/32\n") == ["10.0.0.1/32"])
  }

  @Test(arguments: [
    (
      "10.0.0.1/8",
      "'10.0.0.1/8' has bits set behind its prefix; write 10.0.0.0/8, or 10.0.0.1 for "
        + "this address alone"
    ),
    (
      "fd50::1/64",
      "'fd50::1/64' has bits set behind its prefix; write fd50::/64, or fd50::1 for "
        + "this address alone"
    ),
    (
      "10.0.0.0/33",
      "'10.0.0.0/33' has a prefix length that is none; write 10.0.0.0/N with N from 0 "
        + "to 32"
    ),
    (
      "fd50::/129",
      "'fd50::/129' has a prefix length that is none; write fd50::/N with N from 0 to "
        + "128"
    ),
    (
      "10.0.0.0/08",
      "'10.0.0.0/08' has a prefix length that is none; write 10.0.0.0/N with N from 0 "
        + "to 32"
    ),
    (
      "10.0.0.0/",
      "'10.0.0.0/' has a prefix length that is none; write 10.0.0.0/N with N from 0 to "
        + "32"
    ),
    ("10.0.0", "'10.0.0' is no network; write one as in 10.50.0.0/16 or fd50::/64, or an address"),
    ("/8", "'/8' is no network; write one as in 10.50.0.0/16 or fd50::/64, or an address"),
    (
      "fe80::1%eth0",
      "'fe80::1%eth0' is no network; write one as in 10.50.0.0/16 or fd50::/64, or an "
        + "address"
    ),
    (
      "10.0.0.0/8 10.1.0.0/16",
      "'10.1.0.0/16' stands behind '10.0.0.0/8'; write each network in a "
        + "line of its own, and a # before remarks"
    ),
    (
      "a\u{1b}b",
      "'a\\u{1b}b' is no network; write one as in 10.50.0.0/16 or fd50::/64, or an address"
    ),
  ])
  func aLineThatIsNoneIsRefusedWithItsMend(_ line: String, _ reason: String) throws {
    for purpose in NetworkList.Purpose.allCases {
      let error = #expect(throws: ConfigFileError.self) {
        try Self.parse("10.9.0.0/16\n# remark\n\(line)\nnonsense\n", for: purpose)
      }
      #expect(error == ConfigFileError(fileName: "list", line: 3, reason: reason))
    }
  }

  @Test func bytesThatAreNoTextAreRefused() {
    let error = #expect(throws: ConfigFileError.self) {
      try NetworkList.parse([0xff, 0xfe, 0x0a], file: "list", for: .denying)
    }
    #expect(error?.line == 1)
  }

  /// Whoever empties the file by mistake is not to lose every new client.
  @Test(arguments: ["", "\n", "# nobody yet\n"])
  func nobodyCanBeDeniedButNotAllowed(_ text: String) throws {
    #expect(try Self.parse(text) == [])
    let error = #expect(throws: ConfigFileError.self) { try Self.parse(text, for: .allowing) }
    #expect(error?.line == nil)
    #expect(error?.reason.contains("every client would be denied") == true)
  }

  @Test func thereAreBounds() throws {
    var text = ""
    for number in 0..<NetworkList.most {
      text += "10.\(number >> 16).\(number >> 8 & 0xff).\(number & 0xff)\n"
    }
    #expect(try Self.parse(text).count == NetworkList.most)
    let error = #expect(throws: ConfigFileError.self) { try Self.parse(text + "\n10.200.0.0/16") }
    #expect(error?.line == NetworkList.most + 2)
  }

  // MARK: Options

  private static func configuration(_ arguments: [String]) throws -> Configuration {
    let (request, _) = try CommandLineRequest.parse(OptionTests.usual + arguments) { name in
      switch name {
      case "good": .success(Array("10.50.0.0/16\nfd50::/64\n".utf8))
      case "other": .success(Array("10.50.7.0/24\n".utf8))
      case "bad": .success(Array("10.0.0.1/8\n".utf8))
      default: .failure(FileError(.noSuchFileOrDirectory))
      }
    }
    guard case .run(let configuration) = request else { throw CancellationError() }
    return configuration
  }

  @Test func theOptionsAreStored() throws {
    let configuration = try Self.configuration(["--allow", "good", "--deny=other", "--strict"])
    #expect(
      configuration.lists.allowed
        == NetworkList(
          file: "good", networks: [IPNetwork("10.50.0.0/16")!, IPNetwork("fd50::/64")!]))
    #expect(
      configuration.lists.denied
        == NetworkList(file: "other", networks: [IPNetwork("10.50.7.0/24")!]))
    #expect(configuration.lists.isStrict)
    #expect(
      configuration.json().contains(
        #"{"allow":{"file":"good","networks":2},"config_file":null,"debug":0,"#
          + #""deny":{"file":"other","networks":1},"#))
    #expect(configuration.json().contains(#","strict":true,"#))
    #expect(try !Self.configuration(["--deny", "good"]).lists.isStrict)
  }

  @Test func aFileThatCannotBeReadIsAUsageError() throws {
    for option in ["--allow", "--deny"] {
      let error = #expect(throws: UsageError.self) { try Self.configuration([option, "none"]) }
      #expect(error?.exitStatus == 2)
      #expect(
        error?.message
          == "argument \(option): can't open 'none': [Errno 2] No such file or directory: 'none'")
    }
  }

  @Test func aFileThatIsRefusedIsNamedWithItsLine() throws {
    for (option, title) in [("--allow", "allowed"), ("--deny", "denied")] {
      let error = #expect(throws: UsageError.self) { try Self.configuration([option, "bad"]) }
      #expect(error?.exitStatus == 1)
      #expect(
        error?.message.hasPrefix(
          "Unable to load list of \(title) clients: bad, line 1: '10.0.0.1/8' has bits") == true)
    }
  }

  @Test func strictWantsAList() throws {
    let error = #expect(throws: UsageError.self) { try Self.configuration(["--strict"]) }
    #expect(error?.exitStatus == 1)
    #expect(error?.message.contains("leave --strict out") == true)
  }

  @Test func theyAreSpelledInFull() throws {
    for word in ["--all", "--den", "--stric"] {
      let error = #expect(throws: UsageError.self) { try Self.configuration([word, "good"]) }
      #expect(error?.exitStatus == 2)
    }
  }
}
