// Why nothing is written.

/// One line: what is wrong, where, and what to do.
struct Failure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
