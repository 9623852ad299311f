// Consistent hashing of clients over real servers (Eisenbud et al.: Maglev, 2016, section 3.4).
// The hash of a client is also the template's, in maglev.h: both must choose alike.

/// A table of entries that each client hashes to one of, filled by weight.
///
/// Nothing in it is secret, as directors with the same real servers must choose alike. Whoever can
/// forge source addresses can therefore choose those that all fall to one real server. The hash of
/// the association table does have a secret: nobody can aim at one of its buckets.
public enum Maglev {
  /// The entries of a table: a prime number, and more than 100 times the usual count of real
  /// servers, so that their shares differ by less than 1 % (section 5.3).
  public static let entries = 65_537

  /// The table of a list: for each entry the index of its real server; empty where none takes a new
  /// client. The list's order changes nothing. One that is there twice has both weights, and the
  /// first of its indices.
  ///
  /// Each server has its own order of preference among the entries. They take turns, in the order of
  /// their addresses, to take the one that they prefer of those that are left; the heaviest in each
  /// turn, the others in as many as their weight is of its.
  public static func table(of realServers: [RealServer]) -> [Int] {
    var candidates = candidates(realServers)
    guard let heaviest = candidates.map(\.weight).max() else { return [] }
    if candidates.count == 1 {
      return [Int](repeating: candidates[0].index, count: entries)
    }
    var table = [Int](repeating: -1, count: entries)
    var left = entries
    while true {
      for number in candidates.indices {
        candidates[number].credit += candidates[number].weight
        guard candidates[number].credit >= heaviest else { continue }
        candidates[number].credit -= heaviest
        var entry = candidates[number].next
        while table[entry] >= 0 { entry = candidates[number].following(entry) }
        table[entry] = candidates[number].index
        candidates[number].next = candidates[number].following(entry)
        left -= 1
        if left == 0 { return table }
      }
    }
  }

  /// The entry of a client.
  public static func entry(of client: Client) -> Int {
    Int(((hash(of: client) >> 32) * UInt64(entries)) >> 32)
  }

  /// The hash of a client; the upper half counts.
  static func hash(of client: Client) -> UInt64 {
    let (address, port) = (client.address, UInt64(client.port))
    return switch address.family {
    case .ipv4: mixed(address.low << 16 | port)
    case .ipv6: mixed(mixed(mixed(address.high) ^ address.low) ^ port)
    }
  }

  /// All bits of a number spread over all bits (the finalizer of Steele et al.: SplitMix64, 2014).
  static func mixed(_ number: UInt64) -> UInt64 {
    var number = number
    number ^= number >> 30
    number &*= 0xbf58_476d_1ce4_e5b9
    number ^= number >> 27
    number &*= 0x94d0_49bb_1331_11eb
    number ^= number >> 31
    return number
  }

  /// A real server that takes new clients.
  private struct Candidate {
    /// In the list.
    let index: Int
    let address: IPAddress
    var weight: Int
    /// Parts of a turn that are not used yet, in those that the weights are in.
    var credit = 0
    /// The entry that it prefers among those not looked at yet, and the way to the following.
    var next: Int
    let skip: Int

    /// The order of preference depends on nothing but the address.
    init(index: Int, address: IPAddress, weight: Int) {
      self.index = index
      self.address = address
      self.weight = weight
      let number = address.family == .ipv4 ? address.low : mixed(address.high) ^ address.low
      next = Int(mixed(number ^ 0x9e37_79b9_7f4a_7c15) % UInt64(entries))
      skip = Int(mixed(number ^ 0x3c6e_f372_fe94_f82a) % UInt64(entries - 1)) + 1
    }

    func following(_ entry: Int) -> Int {
      let next = entry + skip
      return next < entries ? next : next - entries
    }
  }

  /// Each address once, in their order.
  private static func candidates(_ realServers: [RealServer]) -> [Candidate] {
    var numbers = [IPAddress: Int]()
    var result = [Candidate]()
    for (index, server) in realServers.enumerated() where server.takesNewClients {
      if let number = numbers[server.address] {
        result[number].weight += server.weight
      } else {
        numbers[server.address] = result.count
        result.append(Candidate(index: index, address: server.address, weight: server.weight))
      }
    }
    return result.sorted {
      ($0.address.high, $0.address.low) < ($1.address.high, $1.address.low)
    }
  }
}

extension VirtualServer {
  /// Whom new clients are given to, each the index of a real server: the turns of a round, or the
  /// entries of a Maglev table. Empty where there is nobody.
  public var round: [Int] {
    switch scheduler {
    case .roundRobin: Turns.round(of: realServers)
    case .maglev: Maglev.table(of: realServers)
    }
  }
}
