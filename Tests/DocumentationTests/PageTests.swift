// The manual pages: correct, complete, and true where a program can say so.
import Foundation
import TestSupport
import Testing

@Suite struct PageTests {
  private let documentation: Documentation

  init() throws { documentation = try Documentation.made.get() }

  @Test(arguments: Documentation.pages)
  func mandocAndManHaveNothingToSayOf(_ page: String) throws {
    let path = documentation.path("man/\(page)")
    let lint = try run("mandoc", "-T", "lint", "-W", "style", path)
    // Whether the other pages are installed is none of its business.
    let lines = (lint.standardOutput + "\n" + lint.standardError).split(separator: "\n").filter {
      !$0.contains(": STYLE: referenced manual not found: ")
        && !$0.hasPrefix("mandoc: outdated mandoc.db ")
    }
    #expect(lines == [])
    let man = try run(
      "man", "--warnings", "-l", path,
      environment: ["MANPAGER": "cat", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"])
    #expect(man.status == 0)
    #expect(man.standardError == "")
    #expect(man.standardOutput.contains("SEE ALSO"))
  }

  @Test func pagesBearTheirDateAndTheVersion() throws {
    let version = try runSuccessfully([Package.operatorCommand, "--version"])[0]
      .replacing("ulbctl", with: "ulb")
    for page in Documentation.pages {
      let text = try documentation.text("man/\(page)")
      #expect(text.contains("\n.Dd January 31, 2026\n") || text.hasPrefix(".Dd January 31, 2026\n"))
      #expect(text.contains("\n.Os \"\(version)\"\n"))
    }
  }

  @Test func theSameSourcesMakeTheSameFiles() throws {
    let again = try Documentation()
    for path in Documentation.pages.map({ "man/\($0)" }) + [
      "bash/ulb", "zsh/_ulb", "fish/ulb.fish",
    ] {
      #expect(try again.text(path) == documentation.text(path))
    }
  }

  // MARK: Nothing of the help is missing

  @Test func theWholeHelpOfUlbIsInItsPage() throws {
    let page = try documentation.shown("ulb.8").words
    var options = 0
    for line in try runSuccessfully([Package.executable, "--help"]).drop(while: { $0 != "options:" }
    ) {
      let text = line.trimmingCharacters(in: .whitespaces)
      if let heading = line.wholeMatch(of: #/  (-\S.*?)(  +(\S.*))?/#)?.output {
        options += 1
        for spelling in heading.1.matches(of: /(^|, )(--?\w+)/).map(\.output.2) {
          #expect(page.contains(spelling.lowercased()), "\(line)")
        }
        if let text = heading.3 { #expect(page.contains(String(text).words), "\(line)") }
      } else if line.hasPrefix("    ") {
        #expect(page.contains(text.words), "\(line)")
      }
    }
    #expect(options == 27)
  }

  @Test func theWholeHelpOfUlbctlIsInItsPage() throws {
    let page = try documentation.shown("ulbctl.8").words
    let dump = try runSuccessfully([Package.operatorCommand, "--experimental-dump-help"])
    let tree = try #require(
      try JSONSerialization.jsonObject(with: Data(dump.joined(separator: "\n").utf8))
        as? [String: Any])
    let root = try #require(tree["command"] as? [String: Any])
    let commands = try #require(root["subcommands"] as? [[String: Any]])
      .filter { $0["commandName"] as? String != "help" }
    #expect(commands.count == 19)
    for command in commands {
      let name = try #require(command["commandName"] as? String)
      #expect(page.contains(" \(name) "))
      for text in [command["abstract"], command["discussion"]] {
        if let text = text as? String { #expect(page.contains(text.words), "\(name)") }
      }
      for argument in try #require(command["arguments"] as? [[String: Any]]) {
        let names = argument["names"] as? [[String: String]] ?? []
        let spellings = names.map { ($0["kind"] == "long" ? "--" : "-") + ($0["name"] ?? "") }
        for spelling in spellings { #expect(page.contains(spelling), "\(name) \(spelling)") }
        if spellings.contains("--help") || spellings.contains("--version") { continue }
        if let text = argument["abstract"] as? String {
          #expect(page.contains(text.words), "\(name) \(spellings)")
        }
      }
    }
  }

  // MARK: The config file

  /// The settings that a message of ulb names are the ones that the page explains.
  @Test(arguments: [
    ("[ulb]", "[ulb]\nnonsense = 1\n"),
    ("[Virtual Server NAME]", "[Virtual Server x]\nnonsense = 1\n[Real Servers x]\n10.0.0.2\n"),
  ])
  func eachSettingOf(_ section: String, _ text: String) throws {
    let (directory, arguments) = try configuration("[Real Servers]\n10.0.0.1\n\(text)")
    let check = try completed(arguments)
    _ = directory
    #expect(check.status == 1)
    let list = try #require(
      check.standardError.firstMatch(of: /no such setting; use (.*), or remove/))
    let settings = list.1.split(separator: #/, | or /#)
    #expect(settings.count >= 3)
    let page = try documentation.text("man/ulb.conf.5")
    let explained = try #require(
      page.components(separatedBy: "\n.Ss \(section)\\&\n").last?.components(separatedBy: "\n.S")
        .first)
    let items = explained.matches(of: /\n\.It Cm (\w+)/).map(\.output.1)
    #expect(Set(items) == Set(settings))
  }

  @Test func theExampleOfTheConfigFileIsTaken() throws {
    let examples = try documentation.literals("ulb.conf.5", in: "EXAMPLES")
    try #require(examples.count == 2)
    let (directory, arguments) = try configuration(examples[0])
    let list = directory.path(of: "list")
    try Data(examples[1].utf8).write(to: URL(fileURLWithPath: list))
    for option in ["--allow", "--deny"] {
      let check = try completed(arguments + [option, list])
      #expect(check.status == 0)
      #expect(check.standardError == "")
      #expect(check.standardOutput.contains(#""lwm2m-v6""#))
      #expect(check.standardOutput.contains(#""maglev""#))
    }
  }

  // MARK: Command lines

  @Test func theExamplesOfUlbAreCommandLines() throws {
    let (directory, _) = try configuration("[Real Servers]\n10.70.1.2\n")
    let denied = directory.path(of: "denied")
    try Data("10.50.0.0/16\n".utf8).write(to: URL(fileURLWithPath: denied))
    let lines = try documentation.literals("ulb.8", in: "EXAMPLES").joined(separator: "\n")
      .replacing(/\\\n */, with: "").replacing(
        "/etc/ulb/eth0.servers", with: directory.path(of: "config")
      )
      .replacing("/etc/ulb/eth0.deny", with: denied)
      .split(separator: "\n")
    #expect(lines.count == 3)
    for line in lines {
      let words = line.split(separator: " ").map(String.init)
      #expect(words[0] == "ulb")
      let check = try completed(
        [Package.executable] + words.dropFirst().filter { $0 != "--check" } + ["--check"]
      )
      #expect(check.status == 0, "\(line)")
      #expect(check.standardError == "", "\(line)")
    }
  }

  @Test func theOptionsOfTheUnitAreACommandLine() throws {
    let (directory, _) = try configuration("[Real Servers]\n10.70.1.2\n")
    let example = try documentation.literals("ulb@.service.8", in: "EXAMPLES")[0]
    let options = try #require(example.wholeMatch(of: /ULB_OPTIONS="(.*)"/)).1
      .replacing("/etc/ulb/eth0.servers", with: directory.path(of: "config"))
    let check = try completed(
      [Package.executable, "eth0", "--check"]
        + options.split(separator: " ").map(String.init))
    #expect(check.status == 0)
    #expect(check.standardError == "")
  }

  /// Of ulbctl nothing but the command line is looked at: no daemon is there.
  @Test func theExamplesOfUlbctlAreCommandLines() throws {
    let (directory, _) = try configuration("[Real Servers]\n10.70.1.2\n")
    let lines = try documentation.literals("ulbctl.8", in: "EXAMPLES").joined(separator: "\n")
      .replacing("eth0.servers", with: directory.path(of: "config"))
      .split(separator: "\n").filter { $0.hasPrefix("ulbctl ") }
    #expect(lines.count == 5)
    for line in lines {
      let words = line.split(separator: " ").dropFirst().map(String.init)
      let absent = directory.path(of: "absent.sock")
      let answer = try completed(
        [Package.operatorCommand, "--socket", absent] + words)
      #expect(answer.status == 3, "\(line): \(answer.standardError)")
    }
  }

  // MARK: What goes wrong

  @Test func whatCannotBeMadeIsSaidOnOneLine() throws {
    let directory = try TemporaryDirectory()
    /// A folder with other programs in the place of the executables.
    func folder(_ ulbctl: String, _ ulbSync: String) throws -> TemporaryDirectory {
      let folder = try TemporaryDirectory()
      for (name, target) in [("ulbctl", ulbctl), ("ulb-sync", ulbSync)] {
        try FileManager.default.createSymbolicLink(
          atPath: folder.path(of: name), withDestinationPath: target)
      }
      return folder
    }
    let failing = try folder("/usr/bin/false", Package.executables + "/ulb-sync")
    let echoing = try folder("/usr/bin/echo", Package.executables + "/ulb-sync")
    let incomplete = try folder(Package.operatorCommand, "/usr/bin/uptime")
    for (arguments, status, words) in [
      ([], 2, "usage: documentation DIRECTORY [EXECUTABLES]"),
      (
        [directory.path, failing.path], 1,
        "'\(failing.path(of: "ulbctl"))' '--experimental-dump-help' failed"
      ),
      (
        [directory.path, incomplete.path], 1,
        "'\(incomplete.path(of: "ulb-sync"))' '--generate-completion-script' 'bash' failed"
      ),
      (
        [directory.path, echoing.path], 1,
        "\(echoing.path(of: "ulbctl")) --experimental-dump-help cannot be read"
      ),
      (["/proc/self/nowhere"], 1, "/proc/self/nowhere cannot be made: "),
    ] {
      let failed = try completed([Package.documentation] + arguments)
      #expect(failed.status == Int32(status))
      let last = failed.standardError.split(separator: "\n").last ?? ""
      #expect(last.contains(words), "\(failed.standardError)")
    }
    #expect(try directory.contents() == [])
  }

  // MARK: Helpers

  private func completed(_ arguments: [String]) throws -> CompletedProcess {
    try CompletedProcess(ChildProcess(arguments))
  }

  /// - Returns: the folder of a config file, and a command line that checks it.
  private func configuration(_ text: String) throws -> (TemporaryDirectory, [String]) {
    let directory = try TemporaryDirectory()
    let path = directory.path(of: "config")
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    return (
      directory,
      [Package.executable, "eth0", "--check", "-vs", "10.60.0.10", "-p", "5683", "-cfg", path]
    )
  }
}
