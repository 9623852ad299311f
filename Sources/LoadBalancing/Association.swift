// Which client is with which real server, as everybody outside the packet path knows it.
// Knows neither the tables' layout nor a file's.

/// A client: whom an association belongs to.
public struct Client: Hashable, Sendable {
  public let address: IPAddress
  public let port: UInt16

  public init(address: IPAddress, port: UInt16) {
    self.address = address
    self.port = port
  }
}

/// A client and the real server that it is with.
public struct Association: Hashable, Sendable {
  public let client: Client
  /// The real server's index in the list that goes with the association.
  public let realServer: UInt32
  /// How long ago it was used: 0 is last. In a unit of where it comes from; the order counts alone.
  public let age: UInt8

  public init(client: Client, realServer: UInt32, age: UInt8 = 0) {
    self.client = client
    self.realServer = realServer
    self.age = age
  }
}
