// How long the steps took that led to a program in service, in words for the log.
import DataPlane

extension DataPlane.Times {
  /// The steps of a start on one line.
  func summary(attach: Duration) -> String {
    [("render", render), ("compile", compile), ("load", load), ("fill", fill), ("attach", attach)]
      .map { "\($0) \($1.inMilliseconds) ms" }.joined(separator: ", ")
  }
}

extension Duration {
  /// A number of milliseconds with at most two decimals.
  var inMilliseconds: String { "\((self / .milliseconds(1) * 100).rounded() / 100)" }
}
