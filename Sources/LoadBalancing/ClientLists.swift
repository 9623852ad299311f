// Which clients may become one: networks that are allowed, and networks that are denied. Knows neither
// where they were read nor how a packet asks for them.

/// Networks of clients, of both families, as one file lists them.
public struct NetworkList: Sendable, Equatable {
  /// How many a file can list.
  public static let most = 1 << 19

  /// The path of the file as given.
  public let file: String
  public let networks: Set<IPNetwork>

  public init(file: String, networks: Set<IPNetwork>) {
    (self.file, self.networks) = (file, networks)
  }
}

/// The lists that say whose packets are dropped: of the networks that a client is in, the one with the
/// longest prefix decides.
public struct ClientLists: Sendable, Equatable {
  /// With it, who is on no list is denied.
  public var allowed: NetworkList?
  public var denied: NetworkList?
  /// Whether each packet of a client is asked for, those of residents too.
  public var isStrict = false

  /// Allows all.
  public init() {}

  /// Whether there is a list.
  public var isAny: Bool { allowed != nil || denied != nil }
  /// Whether who is on no list is denied.
  public var deniesUnlisted: Bool { allowed != nil }

  /// The networks of a family that decide, and whether each is denied: of one that is on both lists,
  /// it is.
  public func decisions(of family: AddressFamily) -> [IPNetwork: Bool] {
    var decisions: [IPNetwork: Bool] = [:]
    for (list, isDenied) in [(allowed, false), (denied, true)] {
      for network in list?.networks ?? [] where network.family == family {
        decisions[network] = isDenied
      }
    }
    return decisions
  }

  /// Whether packets ask for the lists in another way: that is compiled in.
  func isCompiled(differentlyFrom other: ClientLists) -> Bool {
    isAny != other.isAny || deniesUnlisted != other.deniesUnlisted || isStrict != other.isStrict
  }
}
