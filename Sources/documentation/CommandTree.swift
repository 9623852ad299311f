// The commands of ulbctl, as it tells them itself.
import JSONCoding

/// A part of what `ulbctl --experimental-dump-help` prints.
struct CommandInformation: Decodable {
  struct Argument: Decodable {
    enum Kind: String, Decodable { case positional, option, flag }

    struct Name: Decodable, Equatable {
      let kind: String
      let name: String

      /// With its dashes.
      var spelling: String { (kind == "long" ? "--" : "-") + name }
    }

    let kind: Kind
    let names: [Name]?
    let valueName: String?
    let abstract: String?
    let defaultValue: String?
    let allValues: [String]?
    let isOptional: Bool
    let isRepeating: Bool
    let shouldDisplay: Bool

    var spellings: [String] { names?.map(\.spelling) ?? [] }
  }

  let commandName: String
  let abstract: String?
  let discussion: String?
  let arguments: [Argument]?
  let subcommands: [CommandInformation]?

  /// Those that are its own: what every command has to show its help and its version is left out.
  var shownArguments: [Argument] {
    (arguments ?? []).filter {
      $0.shouldDisplay && !$0.spellings.contains("--help") && !$0.spellings.contains("--version")
    }
  }
}

struct CommandTree {
  struct Group {
    let name: String
    let commands: [CommandInformation]
  }

  /// As the help groups them.
  let groups: [Group]
  /// What nearly all commands have.
  let commonOptions: [CommandInformation.Argument]

  private struct Dump: Decodable {
    let command: CommandInformation
  }

  init(of ulbctl: Executable) throws {
    let text = try ulbctl.output("--experimental-dump-help")
    let dump: Dump
    do {
      dump = try JSON.decode(Dump.self, from: text.utf8)
    } catch {
      throw Failure("\(ulbctl.path) --experimental-dump-help cannot be read: \(error)")
    }
    let commands = dump.command.subcommands ?? []
    groups = try Self.headings(in: try ulbctl.output("--help")).map { heading in
      Group(
        name: heading.name,
        commands: try heading.commands.map { name in
          guard let command = commands.first(where: { $0.commandName == name }) else {
            throw Failure("\(ulbctl.path) --help names a command '\(name)' that it does not dump")
          }
          return command
        })
    }
    let grouped = groups.flatMap(\.commands)
    guard grouped.count + 1 == commands.count else {
      throw Failure(
        "\(ulbctl.path) has \(commands.count) commands with 'help', and its help groups "
          + "\(grouped.count); put each into a group")
    }
    let all = grouped.flatMap(\.shownArguments)
    var common: [CommandInformation.Argument] = []
    for argument in all where argument.kind != .positional {
      let alike = all.filter { $0.isSame(as: argument) }
      if 2 * alike.count > grouped.count, !common.contains(where: argument.isSame) {
        common.append(argument)
      }
    }
    commonOptions = common
  }

  /// Those that have none of the common options.
  var commandsWithoutCommonOptions: [String] {
    groups.flatMap(\.commands).filter { ownArguments($0).count == $0.shownArguments.count }
      .map(\.commandName)
  }

  /// What a command has beside the common options.
  func ownArguments(_ command: CommandInformation) -> [CommandInformation.Argument] {
    command.shownArguments.filter { argument in
      !commonOptions.contains(where: argument.isSame)
    }
  }

  /// The headings over commands, which the dump does not have: `SEEING SUBCOMMANDS:`, and below it a
  /// command's name behind two blanks.
  private static func headings(in help: String) -> [(name: String, commands: [String])] {
    var headings: [(name: String, commands: [String])] = []
    var isOpen = false
    for line in help.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasSuffix(" SUBCOMMANDS:") {
        let name = line.dropLast(" SUBCOMMANDS:".count)
        headings.append((name.prefix(1) + name.dropFirst().lowercased(), []))
        isOpen = true
      } else if line.isEmpty {
        isOpen = false
      } else if isOpen, line.hasPrefix("  "), line.dropFirst(2).first != " " {
        let name = line.dropFirst(2).prefix { $0 != " " }
        headings[headings.endIndex - 1].commands.append(String(name))
      }
    }
    return headings
  }
}

extension CommandInformation.Argument {
  func isSame(as other: Self) -> Bool {
    names == other.names && abstract == other.abstract && kind == other.kind
  }
}
