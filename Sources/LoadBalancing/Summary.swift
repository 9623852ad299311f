// How messages name many things: at a bounded length, however many there are.

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
