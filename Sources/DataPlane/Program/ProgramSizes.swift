// How large the tables of a program are: the one place where that is worked out. Knows no kernel.
import CLayout
import LoadBalancing

/// A virtual server with the number that the tables know it by.
public struct NumberedVirtualServer: Sendable, Hashable {
  public let number: UInt8
  public let virtualServer: VirtualServer

  public init(_ number: UInt8, _ virtualServer: VirtualServer) {
    (self.number, self.virtualServer) = (number, virtualServer)
  }
}

extension Configuration {
  /// The virtual servers that a program knows, with their numbers. The command line's is one of them
  /// only if it has an address, or there is no other: then each packet is told so.
  ///
  /// - Parameter numbers: of ``virtualServers``, in their order.
  public func served(_ numbers: [UInt8]) -> [NumberedVirtualServer] {
    precondition(numbers.count == virtualServers.count)
    let all = zip(numbers, virtualServers).map { NumberedVirtualServer($0, $1) }
    let withAddress = all.filter { !$0.virtualServer.address.isUnspecified }
    return withAddress.isEmpty ? Array(all.prefix(1)) : withAddress
  }
}

/// The sizes of the tables that are made with a program.
public struct ProgramSizes: Sendable, Equatable {
  /// Where the turns or Maglev entries of one virtual server are, in lines of the table `rounds`.
  public struct Lines: Sendable, Equatable {
    /// The first line of the first bank. The second bank comes right behind.
    public let first: Int
    /// Of each bank.
    public let count: Int
    /// How many of these are for Maglev entries behind the turns, of a virtual server that schedules by
    /// turns.
    public let hashed: Int

    /// The first line of a bank.
    public func first(bank: UInt32) -> Int { first + Int(bank) * count }
    /// How many turns, or entries in their place, there is room for in a bank.
    public var room: Int { (count - hashed) * ProgramSizes.slotsOfLine }
  }

  /// How many slots of real servers each family has; a family without a virtual server has none.
  public let slots: [AddressFamily: Int]
  /// By the virtual server's number.
  public let rounds: [UInt8: Lines]
  /// How many lines the table `rounds` has.
  public let lines: Int

  /// The families that the program knows.
  public var families: [AddressFamily] { AddressFamily.allCases.filter { slots[$0] != nil } }

  /// How many cells there are by the hash of a real server's address, as a power of two: eight for
  /// each slot at least, so that few addresses share one.
  func likelySlotBits(_ family: AddressFamily) -> Int {
    var bits = 5
    while 1 << bits < 8 * (slots[family] ?? 0) { bits += 1 }
    return bits
  }

  /// Entries of a block of the counters of real servers: one for each slot, and one for those whose
  /// slots others have.
  func counted(_ family: AddressFamily) -> Int { 1 + (slots[family] ?? 1) }

  /// Entries of tables with one for each number of a virtual server.
  public static let numbers = Int(VIRTUAL_SERVER_NUMBERS)
  static let slotsOfLine = Int(SLOTS_OF_LINE)

  /// - Parameters:
  ///   - virtualServers: those that the program knows.
  ///   - lengths: how many turns or entries each has now, by its number.
  ///   - slots: of each family that has one of them.
  ///   - maxRealServers: real servers of equal weight that each is to have room for.
  ///   - hashesAll: whether each has Maglev entries, whatever its scheduler.
  public init(
    _ virtualServers: [NumberedVirtualServer], lengths: [UInt8: Int],
    slots: [AddressFamily: Int], maxRealServers: UInt32, hashesAll: Bool
  ) {
    var rounds: [UInt8: Lines] = [:]
    var next = 0
    for numbered in virtualServers {
      let length =
        switch numbered.virtualServer.scheduler {
        case .maglev: Int(MAGLEV_ENTRIES)
        case .roundRobin: lengths[numbered.number] ?? 0
        }
      let hashed =
        hashesAll && numbered.virtualServer.scheduler == .roundRobin
        ? ProgramSizes.lines(Int(MAGLEV_ENTRIES)) : 0
      let count =
        ProgramSizes.lineCount(length, maxRealServers: Int(maxRealServers)) + hashed
      rounds[numbered.number] = Lines(first: next, count: count, hashed: hashed)
      next += 2 * count
    }
    self.slots = slots
    self.rounds = rounds
    lines = max(1, next)
  }

  /// Lines that so many slots fill.
  private static func lines(_ slots: Int) -> Int { (slots + slotsOfLine - 1) / slotsOfLine }

  /// Lines for so many turns. Weights make more of them than there are real servers: then there is
  /// room for twice as many at most, so that not each change of a weight is compiled anew.
  private static func lineCount(_ length: Int, maxRealServers: Int) -> Int {
    guard length > maxRealServers, length != MAGLEV_ENTRIES else {
      return max(1, lines(max(length, maxRealServers)))
    }
    var count = 1
    while count < lines(length) { count *= 2 }
    return count
  }
}
