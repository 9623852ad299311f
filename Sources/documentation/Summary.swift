// The help texts of ulb where they are not shown by --help.
import CommandLine

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
