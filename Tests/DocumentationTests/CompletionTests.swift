// The completions of ulb and ulb-sync, asked from the shells themselves. Those of ulbctl: UlbctlTests.
import Foundation
import TestSupport
import Testing

@Suite struct CompletionTests {
  private static let valued = [
    "--mode", "-d", "--debug", "-l", "--log_format", "--kernel_headers", "-cfg", "--state",
    "--allow",
    "--deny", "-vs", "-rs", "--real_server", "--state_interval", "-ma",
  ]

  @Test(arguments: CompletingShell.allCases)
  func ulbIsCompletedIn(_ shell: CompletingShell) throws {
    let documentation = try Documentation.made.get()
    let directory = try TemporaryDirectory()
    for name in ["eth0.servers", "two words"] {
      try Data().write(to: URL(fileURLWithPath: directory.path(of: name)))
    }
    try FileManager.default.createDirectory(
      atPath: directory.path(of: "headers"), withIntermediateDirectories: false)
    let lines =
      [
        "ulb ", "ulb l", "ulb -vs fd60::10 ", "ulb -rs 10.0.0.2 10.0.0.3 -- ", "ulb -p 5683 ",
        "ulb -vs=10.0.0.1 -p53 ", "ulb --check ", "ulb lo ", "ulb lo -", "ulb lo --",
        "ulb -p 5683 5684 --verify", "ulb lo --mode=", "ulb --log_format=j", "ulb lo --control n",
        "ulb lo --control_group roo",
      ] + Self.valued.map { "ulb lo \($0) " }
    let offered = try shell.completions(
      of: lines, from: documentation.path(shell.rawValue), in: directory.path,
      path: Package.executables)

    // The interface, where none is there yet and no option takes the word.
    let interfaces = try FileManager.default.contentsOfDirectory(atPath: "/sys/class/net").sorted()
    for line in [
      "ulb ", "ulb -vs fd60::10 ", "ulb -rs 10.0.0.2 10.0.0.3 -- ", "ulb -vs=10.0.0.1 -p53 ",
      "ulb --check ",
    ] {
      #expect(offered[line] == interfaces, "\(line)")
    }
    #expect(offered["ulb l"] == interfaces.filter { $0.hasPrefix("l") })
    #expect(Set(offered["ulb lo "]!).isDisjoint(with: interfaces))
    for line in [
      "ulb -p 5683 ", "ulb lo -rs ", "ulb lo --real_server ", "ulb lo -vs ",
      "ulb lo --state_interval ", "ulb lo -ma ",
    ] {
      #expect(offered[line] == [], "\(line)")
    }

    // All options of the help, and no others.
    let help = try runSuccessfully([Package.executable, "--help"]).joined(separator: "\n")
    let options = Set(
      help.matches(of: /\n  (?=-).*/).flatMap {
        $0.output.matches(of: /(?:  |, )(--?\w+)/).map { String($0.output.1) }
      })
    #expect(options.count == 37)
    let long = options.filter { $0.hasPrefix("--") }
    #expect(Set(offered["ulb lo --"]!) == long)
    // fish offers no short ones for a dash alone.
    if shell != .fish { #expect(Set(offered["ulb lo -"]!) == options) }
    #expect(offered["ulb -p 5683 5684 --verify"] == ["--verify_gateway"])

    // Values.
    #expect(offered["ulb lo --mode "] == ["auto", "generic", "native"])
    #expect(offered["ulb lo --mode="] == ["auto", "generic", "native"])
    #expect(offered["ulb --log_format=j"] == ["json"])
    #expect(offered["ulb lo --log_format "] == ["json", "text"])
    for option in ["-d", "--debug"] {
      #expect(offered["ulb lo \(option) "] == ["0", "1", "2", "3", "4"])
    }
    #expect(offered["ulb lo -l "] == ["CRITICAL", "DEBUG", "ERROR", "INFO", "TRACE", "WARNING"])
    for option in ["-cfg", "--state", "--allow", "--deny"] {
      #expect(
        offered["ulb lo \(option) "] == ["eth0.servers", "headers", "two words"], "\(option)")
    }
    #expect(offered["ulb lo --kernel_headers "] == ["headers", "system"])
    #expect(offered["ulb lo --control n"] == ["none"])
    #expect(offered["ulb lo --control_group roo"] == ["root"])
  }

  @Test(arguments: CompletingShell.allCases)
  func ulbSyncIsCompletedIn(_ shell: CompletingShell) throws {
    let documentation = try Documentation.made.get()
    let directory = try TemporaryDirectory()
    try Data().write(to: URL(fileURLWithPath: directory.path(of: "eth0.sync.conf")))
    let offered = try shell.completions(
      of: ["ulb-sync ", "ulb-sync l", "ulb-sync lo --", "ulb-sync lo --ch", "ulb-sync --config "],
      from: documentation.path(shell.rawValue), in: directory.path, path: Package.executables)
    let interfaces = try FileManager.default.contentsOfDirectory(atPath: "/sys/class/net").sorted()
    #expect(Set(offered["ulb-sync "]!).isSuperset(of: interfaces))
    #expect(offered["ulb-sync l"] == interfaces.filter { $0.hasPrefix("l") })
    let options = ["--check", "--config", "--help", "--version"]
    #expect(Set(offered["ulb-sync lo --"]!).isSuperset(of: options))
    #expect(offered["ulb-sync lo --ch"] == ["--check"])
    #expect(offered["ulb-sync --config "] == ["eth0.sync.conf"])
  }
}
