// What a look at the tables brings to light. Knows no table.
import LoadBalancing

/// What is found, and when.
struct ChangeFindings {
  let clock: ChangeTime
  let now: UInt32
  var changes: [AssociationChange] = []
  /// How many uses may still be told.
  var uses: Int
  /// Of the first pass: when clients of each rank were seen; nothing is told of them. Else empty.
  var timesOfRanks: [UInt32] = []

  var isFirst: Bool { !timesOfRanks.isEmpty }

  mutating func mayTellUse() -> Bool {
    guard uses > 0 else { return false }
    uses -= 1
    return true
  }

  /// When a client was seen that is found for the first time.
  func time(ofRank rank: @autoclosure () -> UInt8) -> UInt32 {
    isFirst ? timesOfRanks[Int(rank())] : now
  }
}
