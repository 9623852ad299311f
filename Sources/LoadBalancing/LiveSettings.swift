// What a running daemon can change without a restart. Knows no file.

/// Settings of the config file that stand over the command line's. `nil`: not set there.
public struct LiveSettings: Sendable, Hashable {
  public var logLevel: LogLevel?
  /// libbcc's debug flag word, 0…4.
  public var debug: Int?
  /// UDP ports in host order, at least one if set.
  public var ports: [UInt16]?

  public init(logLevel: LogLevel? = nil, debug: Int? = nil, ports: [UInt16]? = nil) {
    self.logLevel = logLevel
    self.debug = debug
    self.ports = ports
  }
}
