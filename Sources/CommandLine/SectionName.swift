// The sections of the config file that ulb reads, and which of them somebody meant by a name that
// is none of theirs. Knows no file.

/// A section that means something, by its exact name.
enum SectionName: String, CaseIterable {
  case realServers = "Real Servers"
  case settings = "ulb"
  /// configparser's: its entries belong to every section.
  case defaults = "DEFAULT"

  /// The name's octets.
  var utf8: [UInt8] { Array(rawValue.utf8) }

  /// The most octets of a name that are looked at, and the most letters that may be wrong.
  private static let (mostOctets, mostWrong) = (64, 2)

  /// The section that a name seems to be meant for; `nil` for those that bear their exact name, and
  /// for names that are nobody's.
  static func meant(by name: [UInt8]) -> SectionName? {
    guard !allCases.contains(where: { $0.utf8 == name }) else { return nil }
    let letters = letters(of: name.prefix(mostOctets))
    switch letters {
    case Self.letters(of: settings.utf8): return .settings
    case Self.letters(of: defaults.utf8): return .defaults
    default:
      // [Real Server], [real-servers], [Rael Servers], and lists with a name of their own.
      let own = Self.letters(of: realServers.utf8)
      let isMeant = letters.starts(with: own.dropLast()) || distance(letters, own) <= mostWrong
      return isMeant ? .realServers : nil
    }
  }

  /// Letters and digits in lower case, without what stands between them.
  private static func letters(of name: some Sequence<UInt8>) -> [UInt8] {
    name.compactMap { octet in
      switch octet {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): octet + 0x20
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): octet
      default: nil
      }
    }
  }

  /// How many letters have to be put in, left out, exchanged or swapped with their neighbour to get
  /// from one word to the other (optimal string alignment).
  private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var beforeLast = [Int]()
    var last = Array(0...right.count)
    for (row, letter) in left.enumerated() {
      var next = [row + 1]
      for (column, other) in right.enumerated() {
        var best = min(
          last[column + 1] + 1, next[column] + 1, last[column] + (letter == other ? 0 : 1))
        if row > 0, column > 0, letter == right[column - 1], other == left[row - 1] {
          best = min(best, beforeLast[column - 1] + 1)
        }
        next.append(best)
      }
      (beforeLast, last) = (last, next)
    }
    return last[right.count]
  }
}
