// The config file's virtual servers, what is set of real servers, and how faults of both are named.

import Foundation
import LoadBalancing
import TestSupport
import Testing

@testable import CommandLine

@Suite struct VirtualServerTests {
  static let arguments = ["eth0", "-vs", "10.60.0.10", "-cfg", "FILE", "-p", "5683"]

  static func start(
    _ text: String
  ) throws(UsageError) -> (configuration: Configuration, warnings: [String]) {
    let (request, warnings) = try CommandLineRequest.parse(arguments) { _ in
      .success(Array(text.utf8))
    }
    guard case .run(let configuration) = request else {
      throw .configuration(message: "nothing to run")
    }
    return (configuration, warnings)
  }

  /// What is in force where a file has changed.
  static func reload(
    _ text: String
  ) throws(ConfigFileError) -> (configuration: Configuration, warnings: [String]) {
    let before = Configuration(
      interface: "eth0", virtualServer: IPAddress("10.60.0.10")!,
      realServers: [IPAddress("10.70.1.2")!], ports: [5683]
    ) { $0.configFile = "FILE" }
    let file = try ConfigFile.parse(Array(text.utf8), fileName: "FILE")
    return try before.updated(from: file, on: DirectorAddresses())
  }

  @Test func allVectorsAreThere() {
    #expect(VirtualServerVector.all.count == 112)
  }

  @Test(arguments: VirtualServerVector.all)
  func aFileIsReadAtStart(_ vector: VirtualServerVector) throws {
    do throws(UsageError) {
      let (configuration, warnings) = try Self.start(vector.text)
      #expect(vector.refused == nil)
      let printed = Data(configuration.json().utf8)
      let check = try? Vectors.decode(VirtualServerVector.Check.self, printed)
      #expect(check != nil)
      #expect(check == vector.check)
      #expect(warnings == vector.warnings ?? [])
    } catch {
      let refused = try #require(vector.refused, "\(error)")
      let place = vector.line.map { "FILE, line \($0)" } ?? "FILE"
      #expect(error.exitStatus == 1)
      #expect(error.message.contains(": \(place): "), "\(error.message)")
      #expect(error.message.contains(refused), "\(error.message)")
      #expect(!error.message.contains("\n"))
    }
  }

  @Test(arguments: VirtualServerVector.all)
  func aChangedFileIsReadAsAtStart(_ vector: VirtualServerVector) throws {
    do throws(ConfigFileError) {
      let (configuration, warnings) = try Self.reload(vector.text)
      #expect(vector.refused == nil)
      #expect(configuration == (try? Self.start(vector.text).configuration))
      #expect(warnings == vector.warnings ?? [])
    } catch {
      let refused = try #require(vector.refused, "\(error)")
      #expect(error.line == vector.line)
      #expect(error.reason.contains(refused), "\(error)")
    }
  }

  @Test func aFileWithoutThemRemovesThem() throws {
    let text = "[Real Servers]\n10.70.1.2 = weight 2\n"
    let section = "[Virtual Server a]\naddress = fd60::10\nport = 1\n[Real Servers a]\nfd70::2\n"
    let (both, _) = try Self.reload(text + section + "[ulb]\nscheduler = maglev\n")
    #expect(both.virtualServers.map(\.label) == ["10.60.0.10", "a"])
    #expect(both.effective.virtualServers[0].scheduler == .maglev)
    let file = try ConfigFile.parse(Array(text.utf8), fileName: "FILE")
    let (one, _) = try both.updated(from: file, on: DirectorAddresses())
    #expect(one.virtualServers.count == 1)
    #expect(one.virtualServers[0].realServers == [RealServer(IPAddress("10.70.1.2")!, weight: 2)])
    #expect(one.effective.virtualServers[0].scheduler == .roundRobin)
  }

  @Test func aVirtualServerWithoutAUsableServerIsRefusedWithItsLine() {
    let error = #expect(throws: ConfigFileError.self) {
      try Self.reload(
        """
        [Real Servers]
        10.70.1.2
        [Virtual Server a]
        address = 10.60.0.11
        port = 5684
        [Real Servers a]
        127.0.0.1
        """)
    }
    #expect(error?.line == 7)
    #expect(
      error?.reason == "virtual server a: no real server can be given a client: 127.0.0.1 is a "
        + "loopback address. List one that can.")
  }

  /// The example's remarks that show settings have no blank behind their #.
  @Test func theExampleIsReadWithAllThatItShows() throws {
    let path = Package.path("debian/examples/eth0.servers")
    let example = try String(contentsOfFile: path, encoding: .utf8)
    let (plain, _) = try Self.reload(example)
    #expect(plain.virtualServers.count == 1)
    let all = example.split(separator: "\n").map {
      $0.hasPrefix("#") && !$0.hasPrefix("# ") ? $0.dropFirst() : $0
    }
    let (whole, warnings) = try Self.reload(all.joined(separator: "\n"))
    #expect(warnings == [])
    #expect(whole.virtualServers.map(\.realServers.count) == [4, 2])
    #expect(whole.liveSettings.scheduler == .maglev)
    #expect(whole.liveSettings.verifiesGateway == true)
  }

  @Test func longListsWithSettingsAreRead() throws {
    let list = (0..<50_000).map {
      "10.\($0 >> 16).\($0 >> 8 & 255).\($0 & 255) = weight 2, drain\n"
    }
    let other = (0..<50_000).map { "fd70::\(String($0, radix: 16)) = weight 3\n" }
    let file = try ConfigFile.parse(
      Array(
        ("[Real Servers]\n" + list.joined() + "[Virtual Server a]\n[Real Servers a]\n"
          + other.joined()).utf8), fileName: "FILE")
    #expect(
      file.list.servers.last
        == RealServer(IPAddress("10.0.195.79")!, weight: 2, state: .draining))
    #expect(file.virtualServers.first?.list.servers.count == 50_000)
    #expect(file.virtualServers.first?.list.line(ofServer: 49_999) == 100_003)
  }

  /// Files of pieces that mean something here, some of them long or not printable.
  @Test(arguments: [1, 2, 3, 4])
  func whatIsSaidOfAnyFileIsAFewShortLines(_ seed: UInt64) throws {
    let long = String(repeating: "x", count: 2000)
    let names = ["a", "b", "10.60.0.12", "two  words", "\u{7}", long, "\u{202e}", "a\u{301}"]
    let values = [
      "weight 2", "drain", "weight 257", "weight", long, "rack \u{1b}", ",", "weight\n 9",
    ]
    var generator = SeededNumbers(seed: seed)
    func any(_ texts: [String]) -> String { texts.randomElement(using: &generator)! }
    func piece() -> String {
      switch Int.random(in: 0..<12, using: &generator) {
      case 0...1: "[Virtual Server \(any(names))]\nport = 5684\naddress = 10.60.0.11\n"
      case 2: "[Virtual Server \(any(names))]\nport = 1\n"
      case 3: "[Virtual Servers \(any(names))]\n"
      case 4...6: "[Real Servers \(any(names))]\n10.70.2.2 = \(any(values))\n"
      case 7: "address = \(any(["10.60.0.11", "::", long, "10.60.0.10"]))\n"
      case 8: "scheduler = \(any(["maglev", "round-robin", long, "\u{9b}"]))\n"
      case 9: "10.70.\(Int.random(in: 0...9, using: &generator)).1 = \(any(values))\n"
      case 10: "port = \(any(["1", "5683", long, "0"]))\n"
      default: any(["[ulb]\n", "\(long) = 1\n", "  \(long)\n", "# \(long)\n", "fd70::1\n"])
      }
    }
    var refused = 0
    for _ in 0..<2000 {
      let name = any(names)
      let beginning = """
        [Real Servers]
        10.70.1.2
        [Virtual Server \(name)]
        address = 10.60.0.11
        port = 53
        [Real Servers \(name)]
        10.70.2.2 = \(any(["weight 2", "drain", "x"]))

        """
      let text =
        beginning
        + (0..<Int.random(in: 0..<5, using: &generator)).map { _ in piece() }
        .joined()
      var said: [String]
      do {
        said = try Self.reload(text).warnings
      } catch {
        refused += 1
        said = ["\(error)"]
        #expect(error.line != nil, "\(error)")
      }
      #expect(said.count < 20)
      for line in said {
        #expect(line.utf8.count < 1500)
        #expect(
          line.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control },
          "\(line.debugDescription)")
      }
    }
    #expect((100..<1900).contains(refused))
  }
}
