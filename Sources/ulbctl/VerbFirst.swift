// The order of words on the command line: which daemon is meant may stand before the verb, as ip(8)
// and others have it; the parser knows it behind the verb alone.

enum VerbFirst {
  /// Options of every verb that are followed by a value.
  static let withValue = ["-i", "--interface", "--socket"]
  /// One that is not.
  static let flag = "--json"

  /// The words with what names the daemon behind the verb. Other words before the verb stay where they
  /// are, for the parser to refuse.
  static func arrange(_ arguments: [String]) -> [String] {
    var moved: [String] = []
    var rest = arguments[...]
    while let word = rest.first {
      let name = word.split(separator: "=", maxSplits: 1).first.map(String.init) ?? word
      if withValue.contains(word), rest.count > 1 {
        moved += rest.prefix(2)
        rest = rest.dropFirst(2)
      } else if word == flag || name != word && withValue.contains(name) {
        moved.append(word)
        rest = rest.dropFirst()
      } else {
        break
      }
    }
    guard let verb = rest.first, !verb.hasPrefix("-") else { return arguments }
    return [verb] + moved + rest.dropFirst()
  }
}
