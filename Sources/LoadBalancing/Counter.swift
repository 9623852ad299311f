// What the packet path counts. Knows nothing of where the counts are kept.

/// A count that each CPU keeps for itself. The raw value is its name in the C program, behind
/// `COUNTER_`.
public enum Counter: String, CaseIterable, Sendable {
  /// Events that the ring buffer had no room for.
  case eventsLost = "EVENTS_LOST"

  /// Where it stands among all: its key in the program's table of counters.
  public var key: UInt32 { UInt32(Counter.allCases.firstIndex(of: self) ?? 0) }
}
