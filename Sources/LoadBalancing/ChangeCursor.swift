// Where somebody is in what a director tells of changes.

/// A place between two changes, as text `GEN.SEQ`.
public struct ChangeCursor: Hashable, Sendable, CustomStringConvertible {
  /// Which changes: others are counted anew.
  public let generation: UInt64
  /// How many of them come before it; from 0, which no change has been told from, nobody can go on.
  public let sequence: UInt64

  public init(generation: UInt64, sequence: UInt64) {
    self.generation = generation
    self.sequence = sequence
  }

  /// Reads two decimal numbers; `nil` for everything else.
  public init?(_ text: String) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ $0.utf8.allSatisfy(Self.isDigit) }),
      let generation = UInt64(parts[0]), let sequence = UInt64(parts[1])
    else { return nil }
    self.init(generation: generation, sequence: sequence)
  }

  private static func isDigit(_ octet: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(octet)
  }

  public var description: String { "\(generation).\(sequence)" }
}
