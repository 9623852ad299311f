// The language of manual pages, mdoc(7): how text is written in it.

enum Mdoc {
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
}
