// Options and commands as items of lists in mdoc(7), for the templates of pages.
import CommandLine

extension Mdoc {
  // MARK: Options of ulb

  /// A help text without what marks the required options, which the synopsis shows.
  static func body(_ help: [HelpParagraph]) -> String {
    var lines: [String] = []
    for (index, paragraph) in help.enumerated() {
      if paragraph.isExample {
        let isFirst = index == 0 || !help[index - 1].isExample
        let isLast = index + 1 == help.count || !help[index + 1].isExample
        lines.append(isFirst ? ".Bd -literal -offset indent" : "")
        lines.append(literal(paragraph.lines))
        if isLast { lines.append(".Ed") }
      } else {
        if index > 0 { lines.append(".Pp") }
        lines.append(filled(Summary.sentence(paragraph.lines.joined(separator: " "))))
      }
    }
    return lines.joined(separator: "\n")
  }

  /// An item of the list of options.
  static func option(_ option: CommandLineSyntax.Option) -> [String: Any] {
    let spellings = option.spellings.map { flag($0) }.joined(separator: " , ")
    let value: String =
      switch option.value {
      case .oneOf(let words): " Cm " + words.map { word($0) }.joined(separator: " | Cm ")
      case .free where option.valueName.isEmpty: ""
      case .free, .group: " Ar \(option.valueName)"
      case .file(let words), .directory(let words):
        " Ar \(option.valueName.prefix { $0 != "|" })" + words.map { " | Cm \($0)" }.joined()
      }
    return [
      "head": spellings + value + (option.takesSeveral ? " ..." : ""), "body": body(option.help),
    ]
  }

  /// `Fl vs`, `Fl \-state`: the macro sets one dash itself.
  private static func flag(_ spelling: String) -> String {
    "Fl " + spelling.dropFirst().replacing("-", with: #"\-"#)
  }

  // MARK: Commands of ulbctl

  static func option(_ argument: CommandInformation.Argument) -> [String: Any] {
    ["head": head(argument), "body": body(argument)]
  }

  static func command(_ command: CommandInformation, of tree: CommandTree) -> [String: Any] {
    let all = tree.ownArguments(command)
    let own = all.filter { $0.kind == .positional } + all.filter { $0.kind != .positional }
    let discussion = command.discussion.map { text in
      let lines = text.split(separator: "\n")
      return lines.count == 1
        ? ".Pp\n" + filled(text)
        : ".Bd -literal -offset indent\n\(literal(lines))\n.Ed"
    }
    var values: [String: Any] = [
      "head": ([word(command.commandName)] + own.map(synopsis)).joined(separator: " "),
      "body": [command.abstract.map(filled), discussion].compactMap { $0 }.joined(separator: "\n"),
    ]
    if !own.isEmpty { values["arguments"] = ["items": own.map(option)] }
    return values
  }

  private static func synopsis(_ argument: CommandInformation.Argument) -> String {
    let (text, dots) = (short(argument), argument.isRepeating ? " ..." : "")
    return argument.isOptional ? "Oo \(text)\(dots) Oc" : "\(text)\(dots)"
  }

  /// The longest spelling with its value.
  private static func short(_ argument: CommandInformation.Argument) -> String {
    let value = argument.valueName.map { "Ar \(word($0))" } ?? ""
    switch argument.kind {
    case .positional: return value
    case .flag: return flag(argument.spellings.last ?? "")
    case .option: return "\(flag(argument.spellings.last ?? "")) \(value)"
    }
  }

  private static func head(_ argument: CommandInformation.Argument) -> String {
    guard argument.kind != .positional else { return short(argument) }
    let spellings = argument.spellings.map { flag($0) }.joined(separator: " , ")
    return argument.kind == .flag
      ? spellings : "\(spellings) Ar \(word(argument.valueName ?? ""))"
  }

  private static func body(_ argument: CommandInformation.Argument) -> String {
    var notes: [String] = []
    if let values = argument.allValues { notes.append("values: \(values.joined(separator: ", "))") }
    if let value = argument.defaultValue { notes.append("default: \(value)") }
    let note = notes.isEmpty ? "" : " (\(notes.joined(separator: "; ")))"
    return filled((argument.abstract ?? "") + note)
  }
}
