// How near a client is to being forgotten: by its class, and by how long ago it was used. Knows no
// table; whoever has one makes ranks of its stamps.

/// What a client has shown of itself.
public enum ClientClass: String, Sendable, CaseIterable {
  /// It sent, or a real server wrote to it first. Anybody can forge that.
  case newcomer
  /// A real server has answered it with more than a request for proof.
  case answered
  /// It has sent again, long enough after it was answered, and is never pushed out by a new client.
  case resident
}

/// By what the clients of a table are ranked. A rank is an octet: who has the highest is forgotten
/// next.
public enum Ranking: Sendable {
  /// By how long ago they were used alone: the rank is an age, in epochs of insertions. Of a table
  /// that is a single bucket it is how many others were used since.
  case byAge
  /// By class, residents lowest; within one by age: in epochs of insertions for newcomers, in half
  /// seconds since the answer for who was answered, in epochs of promotions for residents.
  case byClass

  /// The age of whatever was used that long ago or longer.
  public var oldestAge: UInt8 { self == .byAge ? 128 : 32 }

  /// Classes and their lowest ranks.
  private static let residents: UInt8 = 0
  private static let answered: UInt8 = 0x40
  private static let newcomers: UInt8 = 0x80

  /// No rank is higher.
  public var highest: UInt8 {
    self == .byAge ? oldestAge : Ranking.newcomers + oldestAge
  }

  /// The rank of a client of a class; ranked by age, all are newcomers.
  ///
  /// - Parameter age: what is older counts as the oldest.
  public func rank(_ clientClass: ClientClass, age: UInt8) -> UInt8 {
    let age = min(age, oldestAge)
    guard self == .byClass else { return age }
    return switch clientClass {
    case .resident: Ranking.residents + age
    case .answered: Ranking.answered + age
    case .newcomer: Ranking.newcomers + age
    }
  }

  /// The class that a rank tells.
  public func clientClass(_ rank: UInt8) -> ClientClass {
    guard self == .byClass, rank < Ranking.newcomers else { return .newcomer }
    return rank < Ranking.answered ? .resident : .answered
  }

  /// The age that a rank tells.
  public func age(_ rank: UInt8) -> UInt8 {
    self == .byAge ? rank : rank & 0x3f
  }

  /// The ranks of a class.
  public func ranks(of clientClass: ClientClass) -> ClosedRange<UInt8> {
    rank(clientClass, age: 0)...rank(clientClass, age: oldestAge)
  }

  /// What a rank of another ranking is in this one, with the same order. Who was ranked by age was
  /// known for as long as nobody had to prove anything: such clients are residents.
  public func rank(_ rank: UInt8, of other: Ranking) -> UInt8 {
    switch (other, self) {
    case (.byAge, .byClass): self.rank(.resident, age: rank / 4)
    case (.byClass, .byAge): rank / 2
    default: rank
    }
  }
}
