// How messages name much: at a bounded length, however much there is.

extension String {
  /// The most characters of one word that a message repeats.
  package static let mostShown = 200

  /// The text, or its beginning where it is long.
  package func shortened(atMost limit: Int = mostShown) -> String {
    let (beginning, isWhole) = beginning(limit)
    return beginning + (isWhole ? "" : "…")
  }

  /// The first `limit` characters (Unicode scalars), and whether that is all.
  package func beginning(_ limit: Int) -> (String, isWhole: Bool) {
    let scalars = unicodeScalars
    guard
      let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex),
      end < scalars.endIndex
    else { return (self, true) }
    return (String(self[..<end]), false)
  }
}

extension String {
  /// The text with `?` for each control character: what a stranger wrote, fit for one line of a
  /// message, and moving no cursor.
  package var onOneLine: String {
    // Nearly all text, and told apart at once.
    if utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return self }
    var scalars = String.UnicodeScalarView()
    for scalar in unicodeScalars { scalars.append(scalar.isControl ? "?" : scalar) }
    return String(scalars)
  }

  /// The text with `\u{9}` for a tab, where who reads it is to find what is wrong with it: on one
  /// line, whatever is in it.
  package var withEscapedControls: String {
    unicodeScalars.map { scalar in
      scalar.isControl ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
    }.joined()
  }
}

extension Unicode.Scalar {
  /// Whether it is a control character (Unicode's category Cc).
  var isControl: Bool { properties.generalCategory == .control }
}

extension Collection where Element: CustomStringConvertible {
  /// The elements with commas between, or where there are more than `most` their number and what
  /// they are: `40,001 ports`.
  func summary(atMost most: Int, of noun: String) -> String {
    count > most ? "\(grouped(count)) \(noun)" : map(\.description).joined(separator: ", ")
  }
}

/// A number with a comma after each three digits: `40,001`.
package func grouped(_ number: Int) -> String {
  let digits = String(number.magnitude)
  var result = number < 0 ? "-" : ""
  for (index, digit) in digits.enumerated() {
    if index > 0, (digits.utf8.count - index).isMultiple(of: 3) { result += "," }
    result.append(digit)
  }
  return result
}

/// How many letters have to be put in, left out, exchanged or swapped with their neighbour to get
/// from one word to the other (optimal string alignment).
package func wordDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
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
