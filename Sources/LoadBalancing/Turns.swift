// The order in which real servers are given new clients in turn.

/// Round robin by weight, spread smoothly.
public enum Turns {
  /// The most turns of a round that weights make. A list without weights has as many as entries.
  public static let most = 65_536

  /// The turns of a round, each the index of a real server in the list.
  ///
  /// Where all weights are equal, one turn each in the order of the list. Else as many turns as its
  /// weight, but for a common divisor: servers of one weight together, the heaviest first, have
  /// their turns evenly over those that are still free. So no server has a third turn in a row while
  /// another one could stand between, over the round's end neither. A server that takes no new
  /// client has none.
  public static func round(of realServers: [RealServer]) -> [Int] {
    let entries = realServers.indices.filter { realServers[$0].takesNewClients }
    guard let first = entries.first else { return [] }
    if entries.allSatisfy({ realServers[$0].weight == realServers[first].weight }) {
      return entries
    }
    let counts = counts(of: entries.map { realServers[$0].weight })
    var classes = [Int: [Int]]()
    for (entry, count) in zip(entries, counts) { classes[count, default: []].append(entry) }

    let length = counts.reduce(0, +)
    var turns = [Int](repeating: first, count: length)
    var free = Array(0..<length)
    for (count, members) in classes.sorted(by: { $0.key > $1.key }) {
      var taken = [Bool](repeating: false, count: free.count)
      for turn in 0..<(count * members.count) {
        let place = turn * free.count / (count * members.count)
        taken[place] = true
        turns[free[place]] = members[turn % members.count]
      }
      free = zip(free, taken).filter { !$0.1 }.map(\.0)
    }
    return turns
  }

  /// How many turns each weight has: at least one, and at most ``most`` in all where there are no
  /// more servers than that.
  private static func counts(of weights: [Int]) -> [Int] {
    let divisor = weights.reduce(0, greatestCommonDivisor)
    let counts = weights.map { $0 / divisor }
    var (turns, total) = (most, counts.reduce(0, +))
    guard total > turns else { return counts }
    // The lightest are rounded up to one turn; what is left is shared out among the others.
    for count in counts.sorted() {
      guard count * turns < total else { break }
      (turns, total) = (turns - 1, total - count)
    }
    return counts.map { total == 0 ? 1 : max(1, $0 * turns / total) }
  }

  private static func greatestCommonDivisor(_ left: Int, _ right: Int) -> Int {
    var (left, right) = (left, right)
    while right != 0 { (left, right) = (right, left % right) }
    return left
  }
}
