// How Python's argparse reads a command line: which word is an option, which its value, and in
// which order faults are found. Knows no option of ulb.
import LoadBalancing

/// A command line's options and its one positional argument, read into `Values`.
struct ArgumentParser<Values> {
  /// A fault of one value, worded for the operator, without the option's name.
  struct ValueError: Error {
    let message: String
  }

  /// Why parsing ends before its end.
  enum Interruption: Error {
    /// A usage error with its message.
    case failure(String)
    /// An option that ends everything, like --help, by its first spelling.
    case stopped(String)
  }

  /// How many words an option takes.
  enum Arity {
    case none
    case one
    case oneOrMore
  }

  struct Option {
    /// All spellings, with their dashes, the short one first.
    let spellings: [String]
    var arity = Arity.one
    /// What stands for the value in the help, where it is not one of a few words.
    var placeholder = ""
    var value = OptionValue.free
    /// Lines of help, not wrapped.
    let help: [String]
    var isRequired = false
    /// May be given by an unambiguous prefix, and written together with its value or others.
    var isAbbreviable = true
    /// Ends parsing as soon as it is met.
    var stops = false
    /// Converts, checks and stores the words of one occurrence.
    var store: (inout Values, [String]) throws(ValueError) -> Void = { _, _ in }

    /// The name in messages: `-d/--debug`.
    var name: String { spellings.joined(separator: "/") }

    /// The value in the help.
    var valueName: String {
      if case .oneOf(let words) = value { "{\(words.joined(separator: ","))}" } else { placeholder }
    }
  }

  /// Options of which at most one may be given.
  struct Group {
    /// First spellings.
    let members: [String]
    let isRequired: Bool
  }

  struct Positional {
    let name: String
    let help: [String]
    let store: (inout Values, String) throws(ValueError) -> Void
  }

  /// The program's name in the usage.
  let program: String
  let positional: Positional
  let options: [Option]
  let groups: [Group]
  /// The help's heading over the options that cannot be abbreviated.
  let extraHeading: String
  private let bySpelling: [String: Int]

  init(
    program: String, positional: Positional, options: [Option], groups: [Group],
    extraHeading: String
  ) {
    self.program = program
    self.positional = positional
    self.options = options
    self.groups = groups
    self.extraHeading = extraHeading
    bySpelling = Dictionary(
      options.indices.flatMap { index in options[index].spellings.map { ($0, index) } },
      uniquingKeysWith: { first, _ in first })
  }

  /// Reads the words after the program's name.
  func parse(_ words: [String], into values: inout Values) throws(Interruption) {
    var run = Run(parser: self, words: words)
    try run.classify()
    try run.consume(into: &values)
  }
}

// MARK: - Recognising options

extension ArgumentParser {
  /// A word that looks like an option.
  fileprivate struct Match {
    /// `nil` for an option that does not exist.
    let option: Int?
    /// The spelling it was recognised by.
    let spelling: String
    /// The value in the same word: after `=`, or after a one-letter option.
    var value: String?
  }

  /// What a word would be as an option; `nil` if it is none.
  fileprivate func match(_ word: String) throws(Interruption) -> Match? {
    guard word.utf8.first == UInt8(ascii: "-") else { return nil }
    if let option = bySpelling[word] { return Match(option: option, spelling: word) }
    if word.utf8.count == 1 { return nil }
    if let (spelling, value) = Self.splitAtEquals(word), let option = bySpelling[spelling] {
      return Match(option: option, spelling: spelling, value: value)
    }
    let candidates = abbreviations(word)
    if candidates.count > 1 {
      let names = candidates.map { $0.spelling }.joined(separator: ", ")
      throw .failure("ambiguous option: \(word.shortened()) could match \(names)")
    }
    if let candidate = candidates.first { return candidate }
    if Self.isNegativeNumber(word) || word.utf8.contains(UInt8(ascii: " ")) { return nil }
    return Match(option: nil, spelling: word)
  }

  /// Every option that `word` can be short for.
  private func abbreviations(_ word: String) -> [Match] {
    let isLong = word.utf8.starts(with: "--".utf8)
    // A long option's value stands after "="; with one dash, "=" is a letter like others.
    let (prefix, value) = isLong ? Self.splitAtEquals(word) ?? (word, nil) : (word, nil)
    let letter = String(String.UnicodeScalarView(word.unicodeScalars.prefix(2)))
    var result = [Match]()
    for (index, option) in options.enumerated() where option.isAbbreviable {
      for spelling in option.spellings {
        if !isLong, spelling == letter {
          let rest = String(String.UnicodeScalarView(word.unicodeScalars.dropFirst(2)))
          result.append(Match(option: index, spelling: spelling, value: rest))
        } else if spelling.utf8.starts(with: prefix.utf8) {
          result.append(Match(option: index, spelling: spelling, value: value))
        }
      }
    }
    return result
  }

  private static func splitAtEquals(_ word: String) -> (String, String?)? {
    guard let index = word.utf8.firstIndex(of: UInt8(ascii: "=")) else { return nil }
    return (String(word[..<index]), String(word[word.utf8.index(after: index)...]))
  }

  /// `-5`, `-1.5`, `-.5`: a value, as no option looks like that.
  private static func isNegativeNumber(_ word: String) -> Bool {
    func isDigits(_ part: Substring.UnicodeScalarView) -> Bool {
      part.allSatisfy { PythonText.decimalDigit($0) != nil }
    }
    let digits = Substring(word).unicodeScalars.dropFirst()
    guard let point = digits.firstIndex(of: ".") else { return !digits.isEmpty && isDigits(digits) }
    let fraction = digits[digits.index(after: point)...]
    return isDigits(digits[..<point]) && !fraction.isEmpty && isDigits(fraction)
  }
}

// MARK: - Consuming words

/// The state of one pass over a command line.
private struct Run<Values> {
  typealias Parser = ArgumentParser<Values>

  enum Word {
    case argument
    /// The first `--`: what follows it are arguments.
    case separator
    case option(Parser.Match)
  }

  let parser: Parser
  let words: [String]
  var kinds: [Word] = []
  /// Options met so far.
  var seen: Set<Int> = []
  var hasPositional = false
  var unrecognized: [String] = []

  init(parser: Parser, words: [String]) {
    self.parser = parser
    self.words = words
  }

  mutating func classify() throws(Parser.Interruption) {
    var isOver = false
    for word in words {
      if isOver {
        kinds.append(.argument)
      } else if word == "--" {
        kinds.append(.separator)
        isOver = true
      } else {
        kinds.append(try parser.match(word).map { .option($0) } ?? .argument)
      }
    }
  }

  mutating func consume(into values: inout Values) throws(Parser.Interruption) {
    let optionIndices = kinds.indices.filter { isOption($0) }
    var start = 0
    for next in optionIndices where next >= start {
      // The words before the next option: the positional argument, the rest are too many.
      start = try consumePositional(at: start, into: &values)
      unrecognized += words[start..<next]
      start = try consumeOption(at: next, into: &values)
    }
    start = try consumePositional(at: start, into: &values)
    unrecognized += words[start...]
    try checkPresence()
  }

  private func isOption(_ index: Int) -> Bool {
    if case .option = kinds[index] { true } else { false }
  }

  private func isArgument(_ index: Int) -> Bool {
    if index < kinds.count, case .argument = kinds[index] { true } else { false }
  }

  private func isSeparator(_ index: Int) -> Bool {
    if index < kinds.count, case .separator = kinds[index] { true } else { false }
  }

  /// Takes the positional argument, with a separator around it, if it stands at `start`.
  ///
  /// - Returns: the index after it.
  private mutating func consumePositional(
    at start: Int, into values: inout Values
  ) throws(Parser.Interruption) -> Int {
    guard !hasPositional else { return start }
    let index = isSeparator(start) ? start + 1 : start
    guard isArgument(index) else { return start }
    hasPositional = true
    do throws(Parser.ValueError) {
      try parser.positional.store(&values, words[index])
    } catch {
      throw .failure("argument \(parser.positional.name): \(error.message)")
    }
    return isSeparator(index + 1) ? index + 2 : index + 1
  }

  /// Takes the option at `start` with its values, and further one-letter options of its word.
  ///
  /// - Returns: the index after them.
  private mutating func consumeOption(
    at start: Int, into values: inout Values
  ) throws(Parser.Interruption) -> Int {
    guard case .option(let match) = kinds[start] else { return start + 1 }
    guard var index = match.option else {
      unrecognized.append(words[start])
      return start + 1
    }
    var spelling = match.spelling
    var value = match.value
    var flags = [Int]()
    // The tail of a word is more options as long as they take no value: -hd4 is -h -d 4.
    while let tail = value, parser.options[index].arity == .none {
      guard !spelling.utf8.starts(with: "--".utf8), let letter = tail.unicodeScalars.first,
        let next = parser.option(spelled: "-\(letter)")
      else { throw fault(index, "ignored explicit argument \(PythonText.quoted(tail))") }
      flags.append(index)
      index = next
      spelling = "-\(letter)"
      let rest = String(String.UnicodeScalarView(tail.unicodeScalars.dropFirst()))
      value = rest.isEmpty ? nil : rest
    }

    var arguments = [String]()
    var end = start + 1
    if let value {
      arguments = [value]
    } else {
      let limit = parser.options[index].arity.limit
      while end - start - 1 < limit, isArgument(end) { end += 1 }
      arguments = Array(words[(start + 1)..<end])
      switch parser.options[index].arity {
      case .one where arguments.isEmpty: throw fault(index, "expected one argument")
      case .oneOrMore where arguments.isEmpty: throw fault(index, "expected at least one argument")
      default: break
      }
    }
    for flag in flags { try take(flag, [], into: &values) }
    try take(index, arguments, into: &values)
    return end
  }

  private mutating func take(
    _ index: Int, _ arguments: [String], into values: inout Values
  ) throws(Parser.Interruption) {
    let option = parser.options[index]
    do throws(Parser.ValueError) {
      try option.store(&values, arguments)
    } catch {
      throw fault(index, error.message)
    }
    seen.insert(index)
    for group in parser.groups where group.members.contains(option.spellings[0]) {
      for other in group.members where other != option.spellings[0] {
        if let otherIndex = parser.option(spelled: other), seen.contains(otherIndex) {
          throw fault(index, "not allowed with argument \(parser.options[otherIndex].name)")
        }
      }
    }
    if option.stops { throw .stopped(option.spellings[0]) }
  }

  /// What must be there, and what must not.
  private func checkPresence() throws(Parser.Interruption) {
    var missing = hasPositional ? [] : [parser.positional.name]
    for (index, option) in parser.options.enumerated()
    where option.isRequired && !seen.contains(index) {
      missing.append(option.name)
    }
    if !missing.isEmpty {
      throw .failure(
        "the following arguments are required: \(missing.joined(separator: ", "))")
    }
    for group in parser.groups where group.isRequired {
      let members = group.members.compactMap { parser.option(spelled: $0) }
      if !members.contains(where: { seen.contains($0) }) {
        let names = members.map { parser.options[$0].name }.joined(separator: " ")
        throw .failure("one of the arguments \(names) is required")
      }
    }
    if !unrecognized.isEmpty {
      let words = unrecognized.joined(separator: " ").shortened()
      throw .failure("unrecognized arguments: \(words)")
    }
  }

  private func fault(_ index: Int, _ message: String) -> Parser.Interruption {
    .failure("argument \(parser.options[index].name): \(message)")
  }
}

extension ArgumentParser {
  fileprivate func option(spelled spelling: String) -> Int? { bySpelling[spelling] }
}

extension ArgumentParser.Arity {
  /// The most words it takes.
  fileprivate var limit: Int {
    switch self {
    case .none: 0
    case .one: 1
    case .oneOrMore: .max
    }
  }
}
