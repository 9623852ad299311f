// Why a command fails, and with which exit status.

/// One line for standard error: what is wrong, where, and what to do.
struct Failure: Error, Equatable, CustomStringConvertible {
  /// What a script can tell apart.
  enum Kind: Int32, Sendable {
    /// The daemon or the operator has refused.
    case refused = 1
    /// The command line is wrong: as ArgumentParser's own errors, see ``Entry``.
    case usage = 2
    /// There is no daemon, or it does not answer.
    case noDaemon = 3
  }

  let kind: Kind
  let description: String

  init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}
