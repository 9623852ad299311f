// The options of ulb as the templates of completions take them.
import CommandLine

/// A shell that completes command lines.
enum Shell: String, CaseIterable {
  case bash, zsh, fish

  /// Where it looks for the completion of a command.
  func fileName(of command: String) -> String {
    switch self {
    case .bash: command
    case .zsh: "_\(command)"
    case .fish: "\(command).fish"
    }
  }

  /// What its template is given.
  func values(_ syntax: CommandLineSyntax) -> [String: Any] {
    let options = syntax.options
    func patterns(_ isIncluded: (CommandLineSyntax.Option) -> Bool) -> String {
      options.filter(isIncluded).flatMap(\.spellings).joined(separator: self == .fish ? " " : "|")
    }
    return [
      "argument": syntax.argument.name,
      "options": options.map { self.option($0, among: options) },
      "spellings": options.flatMap(\.spellings).joined(separator: " "),
      "with_value": patterns { !$0.valueName.isEmpty && !$0.takesSeveral },
      "with_values": patterns { $0.takesSeveral },
      "known": options.compactMap { option -> [String: Any]? in
        if option.value.words.isEmpty, option.value.paths.isEmpty { return nil }
        return [
          "pattern": option.spellings.joined(separator: "|"),
          "words": option.value.words.joined(separator: " "), "paths": option.value.paths,
        ]
      },
    ]
  }

  private func option(
    _ option: CommandLineSyntax.Option, among all: [CommandLineSyntax.Option]
  ) -> [String: Any] {
    let others = all.filter { option.excluded.contains($0.spellings[0]) }.flatMap(\.spellings)
    var values: [String: Any] = [
      "forms": option.spellings.map { form($0, hasValue: !option.valueName.isEmpty) },
      "excluded": option.stops ? "- :" : (option.spellings + others).joined(separator: " "),
      "summary": quoted(Summary.of(option.help)),
    ]
    if !option.valueName.isEmpty {
      values["value"] = [
        "name": quoted(option.valueName), "action": action(option.value),
      ]
    }
    return values
  }

  /// A spelling as the template wants it.
  private func form(_ spelling: String, hasValue: Bool) -> String {
    switch self {
    case .bash: spelling
    case .zsh: spelling + (hasValue && spelling.hasPrefix("--") ? "=" : "")
    case .fish:
      if spelling.hasPrefix("--") {
        "-l \(spelling.dropFirst(2))"
      } else {
        "\(spelling.utf8.count == 2 ? "-s" : "-o") \(spelling.dropFirst())"
      }
    }
  }

  private func action(_ value: OptionValue) -> String {
    let words = value.words.joined(separator: " ")
    return switch (self, value) {
    case (.bash, _): ""
    case (.zsh, .free): " "
    case (.zsh, .oneOf): "(\(words))"
    case (.zsh, .group): "_groups"
    case (.zsh, .file([])): "_files"
    case (.zsh, .directory([])): "_files -/"
    case (.zsh, .file): "{_ulb_word_or_path \(words)}"
    case (.zsh, .directory): "{_ulb_word_or_path \(words) -/}"
    case (.fish, .free): "-x"
    case (.fish, .oneOf): "-x -a '\(words)'"
    case (.fish, .group): "-x -a '(__fish_complete_groups)'"
    case (.fish, .file([])): "-r -F"
    case (.fish, .file): "-r -F -a '\(words)'"
    case (.fish, .directory): "-x -a '\(words) (__fish_complete_directories)'"
    }
  }

  /// Text between single quotes, for zsh inside of a specification of _arguments.
  private func quoted(_ text: String) -> String {
    switch self {
    case .bash, .zsh:
      #"\[]:"#.reduce(text) { $0.replacing(String($1), with: "\\\($1)") }
        .replacing("'", with: #"'\''"#)
    case .fish: text.replacing("\\", with: #"\\"#).replacing("'", with: #"\'"#)
    }
  }
}

extension OptionValue {
  /// What can be said in the place of a path, or at all.
  fileprivate var words: [String] {
    switch self {
    case .free, .group: []
    case .oneOf(let words), .file(let words), .directory(let words): words
    }
  }

  /// The action of bash's compgen that lists the others; empty for none.
  fileprivate var paths: String {
    switch self {
    case .free, .oneOf: ""
    case .file: "file"
    case .directory: "directory"
    case .group: "group"
    }
  }
}
