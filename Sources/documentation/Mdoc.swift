// The language of manual pages, mdoc(7): text, options and commands in it.
import CommandLine

enum Mdoc {
  // MARK: Text

  /// The longest line, in columns.
  private static let width = 78

  /// Text that is filled: each sentence begins a line, as mdoc(7) wants it.
  static func filled(_ text: String) -> String {
    var lines: [String] = []
    for sentence in sentences(of: text) {
      var line = ""
      for next in sentence.split(separator: " ").map({ word($0) }) {
        if !line.isEmpty, line.count + 1 + next.count > width {
          lines.append(line)
          line = ""
        }
        line += line.isEmpty ? next : " \(next)"
      }
      lines.append(line)
    }
    return lines.map(protected).joined(separator: "\n")
  }

  /// Lines that stay as they are.
  static func literal(_ lines: some Sequence<some StringProtocol>) -> String {
    lines.map { protected(escaped($0)) }.joined(separator: "\n")
  }

  /// A word, in which dashes are those of options.
  static func word(_ word: some StringProtocol) -> String {
    let text = escaped(word)
    // ulb-web, drop-in: hyphens. --state, (-x): options, to be copied.
    guard let dash = text.firstIndex(of: "-"), !text[..<dash].contains(where: \.isLetter) else {
      return text
    }
    return text.replacing("-", with: #"\-"#)
  }

  private static func escaped(_ text: some StringProtocol) -> String {
    String(text).replacing("\\", with: #"\e"#)
  }

  /// A line that is no macro.
  private static func protected(_ line: String) -> String {
    line.hasPrefix(".") || line.hasPrefix("'") ? #"\&"# + line : line
  }

  /// The sentences of a text. A point ends one only before a capital, a dash or a parenthesis: not in
  /// "e.g. 10"; and what stands in parentheses is one of its own behind another.
  static func sentences(of text: String) -> [String] {
    var sentences: [String] = []
    var words: [Substring] = []
    let all = text.split(separator: " ")
    for (index, word) in all.enumerated() {
      words.append(word)
      let next = index + 1 < all.count ? all[index + 1].first : nil
      let isEnd = word.hasSuffix(".") || word.hasSuffix(")") && words[0].hasPrefix("(")
      if let next, isEnd, next.isUppercase || "-(".contains(next) {
        sentences.append(words.joined(separator: " "))
        words = []
      }
    }
    if !words.isEmpty { sentences.append(words.joined(separator: " ")) }
    return sentences
  }

  /// Macros in a list: `.Cm a ,` and so on, the last one behind "and".
  static func list(_ macros: [String]) -> String {
    var lines: [String] = []
    for (index, macro) in macros.enumerated() {
      switch macros.count - index {
      case 1: lines.append(macro)
      case 2: lines += [macro, "and"]
      default: lines.append("\(macro) ,")
      }
    }
    return lines.joined(separator: "\n")
  }

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
      "body": ([command.abstract.map(filled)].compactMap { $0 } + [discussion].compactMap { $0 })
        .joined(separator: "\n"),
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

/// A help text for where it does not stand in the help.
enum Summary {
  /// Shown by the synopsis, too.
  private static let mark = "<Required> "

  /// What a shell shows beside an option: the first sentence.
  static func of(_ help: [HelpParagraph]) -> String {
    let text = sentence(help.first?.lines.joined(separator: " ") ?? "")
    let first = Mdoc.sentences(of: text).first ?? ""
    return first.hasSuffix(".") ? String(first.dropLast()) : first
  }

  /// The text as a sentence: without the mark of required options, from a capital to a full stop, and
  /// without the blank that ulb.py has before a colon.
  static func sentence(_ text: String) -> String {
    let text = text.replacing(" :", with: ":")
    let rest = text.hasPrefix(mark) ? text.dropFirst(mark.count) : text[...]
    let last = Mdoc.sentences(of: text).last ?? ""
    let isEnded = last.hasSuffix(".") || last.hasSuffix(":") || last.hasPrefix("(")
    return rest.prefix(1).uppercased() + rest.dropFirst() + (isEnded ? "" : ".")
  }
}
