// The files that are made: which there are, and what their templates are given.
import CommandLine
import Glibc
import LoadBalancing
import Mustache

struct Documentation {
  private let ulbctl: Executable
  private let ulbSync: Executable
  private let tree: CommandTree
  private let ulb = CommandLineSyntax.current

  /// Asks ulbctl for its commands.
  init(ulbctl: Executable, ulbSync: Executable) throws {
    self.ulbctl = ulbctl
    self.ulbSync = ulbSync
    tree = try CommandTree(of: ulbctl)
  }

  /// Paths and texts.
  func files() throws -> [(path: String, text: String)] {
    var files: [(path: String, text: String)] = []
    let values = try values()
    let pages = [
      ("ulb.8", PackageResources.ulb_8_mustache),
      ("ulbctl.8", PackageResources.ulbctl_8_mustache),
      ("ulb.conf.5", PackageResources.ulb_conf_5_mustache),
      ("ulb-sync.8", PackageResources.ulb_sync_8_mustache),
      ("ulb-sync.conf.5", PackageResources.ulb_sync_conf_5_mustache),
      ("ulb@.service.8", PackageResources.ulb__service_8_mustache),
    ]
    for (name, template) in pages {
      files.append(("man/\(name)", try Self.render(name, template, values)))
    }
    let completions: [Shell: [UInt8]] = [
      .bash: PackageResources.ulb_bash_mustache, .zsh: PackageResources.ulb_zsh_mustache,
      .fish: PackageResources.ulb_fish_mustache,
    ]
    for shell in Shell.allCases {
      let name = shell.rawValue
      files.append(
        (
          "\(name)/\(shell.fileName(of: "ulb"))",
          try Self.render("ulb.\(name)", completions[shell]!, shell.values(ulb))
        ))
      files.append(
        ("\(name)/\(shell.fileName(of: "ulbctl"))", try ulbctl.output("completion", name)))
      files.append(
        (
          "\(name)/\(shell.fileName(of: "ulb-sync"))",
          try ulbSync.output("--generate-completion-script", name)
        ))
    }
    return files
  }

  /// What a page can show that is not written in it.
  private func values() throws -> [String: Any] {
    [
      "version": CommandLineRequest.version,
      "date": try Self.date(),
      "argument": [
        "name": ulb.argument.name, "body": Mdoc.body(ulb.argument.help),
      ],
      "original_options": ulb.options.filter(\.isOriginal).map(Mdoc.option),
      "further_options": ulb.options.filter { !$0.isOriginal }.map(Mdoc.option),
      "common_options": tree.commonOptions.map(Mdoc.option),
      "without_common_options": Mdoc.list(
        tree.commandsWithoutCommonOptions.map { ".Cm \(Mdoc.word($0))" }),
      "events": Event.allCases.map { event -> [String: Any] in
        let verdict =
          switch event.verdict {
          case .pass: "passed"
          case .drop: "dropped"
          case .send: "sent"
          }
        return [
          "name": event.name, "level": event.level.name, "verdict": verdict,
          "message": Mdoc.filled(event.message + "."),
        ]
      },
      "log_levels": LogLevel.allCases.map(\.name).joined(separator: ", "),
      "most_weight": RealServer.mostWeight,
      "most_virtual_servers": VirtualServer.most,
      "longest_name": VirtualServer.longestName,
      "most_networks": grouped(NetworkList.most),
      "groups": tree.groups.map { group in
        ["name": group.name, "commands": group.commands.map { Mdoc.command($0, of: tree) }]
      },
    ]
  }

  private static func render(
    _ name: String, _ template: [UInt8], _ values: [String: Any]
  ) throws -> String {
    do {
      return try MustacheTemplate(string: String(decoding: template, as: UTF8.self)).render(values)
    } catch {
      throw Failure("the template of \(name): \(error)")
    }
  }

  /// As mdoc(7) wants it: `January 31, 2026`.
  private static func date() throws -> String {
    var seconds = time(nil)
    if let text = getenv("SOURCE_DATE_EPOCH").map({ String(cString: $0) }) {
      guard let number = Int(text) else {
        throw Failure("SOURCE_DATE_EPOCH is '\(text)'; set it to seconds since 1970, or not at all")
      }
      seconds = number
    }
    var fields = tm()
    gmtime_r(&seconds, &fields)
    let months = [
      "January", "February", "March", "April", "May", "June", "July", "August", "September",
      "October", "November", "December",
    ]
    return "\(months[Int(fields.tm_mon)]) \(fields.tm_mday), \(1900 + Int(fields.tm_year))"
  }
}
