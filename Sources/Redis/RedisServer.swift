// Where Redis is, and as whom it is asked.

/// A Redis server, or the master among several that Sentinels watch.
public struct RedisServer: Sendable, Equatable {
  public enum Place: Sendable, Hashable {
    case tcp(host: String, port: Int)
    case unix(path: String)
    /// The master of a name, which any of these Sentinels knows.
    case sentinels([Endpoint], master: String)
  }

  public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    public var host: String
    public var port: Int

    public init(host: String, port: Int) {
      self.host = host
      self.port = port
    }

    /// `HOST:PORT`, an IPv6 address in brackets, with another port where none is given.
    public init?(_ text: String, defaultPort: Int) {
      var host = text[...]
      var port = defaultPort
      if let colon = text.lastIndex(of: ":"),
        text.hasPrefix("[") != text.hasSuffix("]")
          || !text.hasPrefix("[")
      {
        guard let number = UInt16(text[text.index(after: colon)...]), number > 0 else { return nil }
        host = text[..<colon]
        port = Int(number)
      }
      if host.hasPrefix("["), host.hasSuffix("]") {
        host = host.dropFirst().dropLast()
      } else if host.contains(":") {
        return nil
      }
      guard !host.isEmpty, !host.contains(where: { $0.isWhitespace || "/@?#[]".contains($0) })
      else {
        return nil
      }
      self.init(host: String(host), port: port)
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
  }

  /// TLS, and whom it is spoken with.
  public struct TLS: Sendable, Equatable {
    /// Certificates (PEM) of who signs the server's; the machine's own list where there is none.
    public var authorities: String?
    /// Chain and key (PEM) that are shown to a server that asks for them.
    public var certificate: String?
    public var key: String?
    /// The name in the server's certificate, where it is not the host's.
    public var serverName: String?

    public init() {}
  }

  public var place: Place
  /// Not over a Unix socket.
  public var tls: TLS?
  public var username: String?
  public var password: String?
  public var database = 0

  public init(_ place: Place) { self.place = place }

  /// What it is called in messages: an address, a path, or `MASTER of SENTINELS`.
  public var name: String {
    switch place {
    case .tcp(let host, let port): Endpoint(host: host, port: port).description
    case .unix(let path): path
    case .sentinels(let sentinels, let master):
      "\(master) of \(sentinels.map(\.description).joined(separator: ", "))"
    }
  }
}
