// The usage and help texts of an argument parser, laid out as argparse does on 80 columns.

extension ArgumentParser {
  /// The longest line of the usage, in columns.
  private static var usageWidth: Int { 78 }
  /// Where the texts of the help begin, in columns.
  private static var helpColumn: Int { 24 }

  /// `usage: …` on as many lines as it takes, the last one ended by a newline.
  var usage: String {
    let prefix = "usage: \(program)"
    let indentation = String(repeating: " ", count: prefix.utf8.count)
    var lines = [String]()
    var line = prefix
    for part in usageParts {
      if line.utf8.count + 1 + part.utf8.count > Self.usageWidth {
        lines.append(line)
        line = indentation
      }
      line += " \(part)"
    }
    lines.append(line)
    // The positional argument gets a line of its own once there are several.
    if lines.count == 1, line.utf8.count + 1 + positional.name.utf8.count <= Self.usageWidth {
      lines[0] += " \(positional.name)"
    } else {
      lines.append("\(indentation) \(positional.name)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The usage and a text for every argument.
  var help: String {
    let own = options.filter { $0.isAbbreviable }
    let extra = options.filter { !$0.isAbbreviable }
    var sections = [
      usage,
      "positional arguments:\n" + entry(positional.name, positional.help),
      "options:\n" + own.map { entry($0.invocation, $0.help) }.joined(),
    ]
    if !extra.isEmpty {
      sections.append("\(extraHeading):\n" + extra.map { entry($0.invocation, $0.help) }.joined())
    }
    return sections.joined(separator: "\n")
  }

  /// The pieces of the usage that no line break divides.
  private var usageParts: [String] {
    var parts = [String]()
    for option in options {
      if let group = groups.first(where: { $0.members.contains(option.spellings[0]) }) {
        // The whole group stands where its first member does.
        guard group.members.first == option.spellings[0] else { continue }
        let members = options.filter { group.members.contains($0.spellings[0]) }
        let text = members.map { $0.shortForm.joined(separator: " ") }.joined(separator: " | ")
        parts.append(group.isRequired ? "(\(text))" : "[\(text)]")
      } else if option.isRequired {
        parts += option.shortForm
      } else {
        parts.append("[\(option.shortForm.joined(separator: " "))]")
      }
    }
    return parts
  }

  private func entry(_ invocation: String, _ help: [String]) -> String {
    let column = Self.helpColumn
    var head = "  \(invocation)"
    var lines = [String]()
    var texts = help[...]
    if head.utf8.count <= column - 2, let first = texts.popFirst() {
      head += String(repeating: " ", count: column - head.utf8.count) + first
    }
    lines.append(head)
    for text in texts {
      lines.append(text.isEmpty ? "" : String(repeating: " ", count: column) + text)
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension ArgumentParser.Option {
  /// The value as the usage shows it.
  private var valueForm: [String] {
    switch arity {
    case .none: []
    case .one: [valueName]
    case .oneOrMore: [valueName, "[\(valueName) ...]"]
    }
  }

  /// The first spelling and its value.
  fileprivate var shortForm: [String] { [spellings[0]] + valueForm }

  /// Every spelling with its value.
  fileprivate var invocation: String {
    spellings.map { ([$0] + valueForm).joined(separator: " ") }.joined(separator: ", ")
  }
}
