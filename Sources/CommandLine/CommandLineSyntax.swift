// The command line of ulb for those who describe it: manual pages, completions of shells.

/// What the value of an option can be.
public enum OptionValue: Sendable, Equatable {
  /// Anything: nobody can know it beforehand.
  case free
  case oneOf([String])
  /// The path of a file, or one of some words.
  case file(or: [String] = [])
  /// The path of a directory, or one of some words.
  case directory(or: [String] = [])
  /// The name of a group of users.
  case group
}

/// All options of ulb, as its help shows them.
public struct CommandLineSyntax: Sendable {
  public struct Option: Sendable {
    /// All spellings, with their dashes, the short one first.
    public let spellings: [String]
    /// What stands for the value; empty where there is none.
    public let valueName: String
    public let value: OptionValue
    /// Takes all words up to the next option.
    public let takesSeveral: Bool
    public let isRequired: Bool
    /// Ends everything, like --help.
    public let stops: Bool
    /// First spellings of the options that cannot stand beside it.
    public let excluded: [String]
    /// An option of ulb.py: may be abbreviated.
    public let isOriginal: Bool
    public let help: [HelpParagraph]
  }

  /// The argument that is no option.
  public let argument: (name: String, help: [HelpParagraph])
  public let options: [Option]

  /// The syntax of this version.
  public static let current = CommandLineSyntax(
    Options(readFile: { _ in .failure(FileError(.noSuchFileOrDirectory)) }).parser)

  private init(_ parser: Options.Parser) {
    argument = (parser.positional.name, HelpParagraph.paragraphs(of: parser.positional.help))
    options = parser.options.map { option in
      let spelling = option.spellings[0]
      let group = parser.groups.first { $0.members.contains(spelling) }
      return Option(
        spellings: option.spellings, valueName: option.arity == .none ? "" : option.valueName,
        value: option.value, takesSeveral: option.arity == .oneOrMore,
        isRequired: option.isRequired, stops: option.stops,
        excluded: group.map { $0.members.filter { $0 != spelling } } ?? [],
        isOriginal: option.isAbbreviable, help: HelpParagraph.paragraphs(of: option.help))
    }
  }
}

/// Lines of a help text between two empty ones.
public struct HelpParagraph: Sendable, Equatable {
  public let lines: [String]

  /// Lines of a config file, which are not to be filled. They begin with a section.
  public var isExample: Bool { lines[0].hasPrefix("[") }

  static func paragraphs(of lines: [String]) -> [HelpParagraph] {
    lines.split(separator: "").map { HelpParagraph(lines: Array($0)) }
  }
}
