// Standard error: the one line that a failure ends with, and libbcc's dumps.
import Glibc

enum StandardError {
  /// Writes all of a text, as far as anybody takes it.
  static func write(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  /// Writes why the program ends.
  static func write(failure: String) {
    write("ulb: error: \(failure)\n")
  }

  /// Writes what the operator hardly meant, a line each.
  static func write(warnings: [String]) {
    for warning in warnings { write("ulb: warning: \(warning)\n") }
  }
}
