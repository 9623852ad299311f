// Which number the tables have for which virtual server. A plan only: writes no table.

/// The numbers of the virtual servers.
///
/// One keeps its number as long as it is configured. Associations tell the number: that of one that
/// is gone is given to nobody until none of its associations is left, not even to the same name, as
/// it has lost them.
public struct VirtualServerPlan: Sendable, Equatable {
  /// Numbers are below this: enough for all to be replaced at once.
  public static let numbers = 2 * VirtualServer.most
  /// The command line's, whatever its address.
  public static let commandLine: UInt8 = 0

  /// Who a number belongs to: a name, with one family. In the other one it is another virtual server,
  /// as no client of the one can be the other's.
  public struct Holder: Sendable, Hashable {
    public let name: String
    public let family: AddressFamily

    public init(name: String, family: AddressFamily) {
      self.name = name
      self.family = family
    }

    /// `nil` for the command line's.
    init?(_ virtualServer: VirtualServer) {
      guard let name = virtualServer.name else { return nil }
      self.init(name: name, family: virtualServer.family)
    }
  }

  /// What a new list changed.
  public struct Change: Sendable, Equatable {
    /// The numbers of the list, in its order.
    public var numbers: [UInt8] = []
    /// Those of them that had no number before.
    public var added: [UInt8] = []
    /// Those that nobody has now: to be swept.
    public var removed: [UInt8] = []
  }

  /// More numbers are to be swept than a list can spare.
  public struct TooFewNumbers: Error, Hashable {
    /// How many the list needs beside those that it has.
    public let needed: Int
    public let free: Int
  }

  private var numbers: [Holder: UInt8]
  /// Numbers that nobody has and associations may tell.
  public private(set) var unswept: Set<UInt8>

  /// - Parameters:
  ///   - holders: who had a number in another process; what is no number is passed over.
  ///   - unswept: numbers that nobody has, and associations of that process may tell.
  public init(holders: [UInt8: Holder] = [:], unswept: Set<UInt8> = []) {
    func isNumber(_ number: UInt8) -> Bool {
      number != Self.commandLine && number < Self.numbers
    }
    numbers = [:]
    self.unswept = unswept.filter(isNumber)
    for (number, holder) in holders.sorted(by: { $0.key < $1.key }) where isNumber(number) {
      // One number a holder: the lowest.
      if numbers[holder] == nil, !unswept.contains(number) {
        numbers[holder] = number
      } else {
        self.unswept.insert(number)
      }
    }
  }

  /// The number of a virtual server; `nil` if it has none.
  public func number(of virtualServer: VirtualServer) -> UInt8? {
    Holder(virtualServer).map { numbers[$0] } ?? Self.commandLine
  }

  /// Makes `list` the list in service: whoever has no number gets the lowest that is free.
  ///
  /// - Parameter list: the command line's virtual server first, names distinct.
  /// - Throws: where too few are free. The plan is as it was then.
  public mutating func apply(_ list: [VirtualServer]) throws(TooFewNumbers) -> Change {
    var change = Change()
    var next = [Holder: UInt8]()
    var newcomers = [Holder]()
    for holder in list.compactMap(Holder.init) {
      if let number = numbers[holder] {
        next[holder] = number
      } else {
        newcomers.append(holder)
      }
    }
    let taken = Set(numbers.values).union(unswept)
    let free = (1..<UInt8(Self.numbers)).filter { !taken.contains($0) }
    guard newcomers.count <= free.count else {
      throw TooFewNumbers(needed: newcomers.count, free: free.count)
    }
    for (holder, number) in zip(newcomers, free) {
      next[holder] = number
      change.added.append(number)
    }
    change.removed = Set(numbers.values).subtracting(next.values).sorted()
    unswept.formUnion(change.removed)
    numbers = next
    change.numbers = list.compactMap(number)
    return change
  }

  /// Gives a number back, as no association tells it any more.
  public mutating func markSwept(_ number: UInt8) { unswept.remove(number) }
}
