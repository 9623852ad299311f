// A client, and a network of clients, as an operator writes and reads them. Knows no association.

/// A client: whom an association belongs to.
public struct Client: Hashable, Sendable, CustomStringConvertible {
  public let address: IPAddress
  public let port: UInt16

  public init(address: IPAddress, port: UInt16) {
    self.address = address
    self.port = port
  }

  /// Reads an address and a port of 1 to 65535: `10.50.0.2:5683`, `[fd50::2]:5683` (RFC 3986, section
  /// 3.2.2). No blanks, no zone, no leading zeros in the port. `nil` for everything else.
  public init?(_ text: String) {
    var text = text
    guard let client = text.withUTF8({ Client(utf8: $0) }) else { return nil }
    self = client
  }

  /// Reads the same from UTF-8 in memory.
  init?(utf8 bytes: UnsafeBufferPointer<UInt8>) {
    guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")),
      let port = UInt16(strictDecimal: bytes[(colon + 1)...]), port > 0
    else { return nil }
    var host = bytes[..<colon]
    let isBracketed = host.first == UInt8(ascii: "[") && host.last == UInt8(ascii: "]")
    if isBracketed { host = host.dropFirst().dropLast() }
    guard !host.contains(UInt8(ascii: "%")),
      let address = IPAddress(utf8: UnsafeBufferPointer(rebasing: host)),
      isBracketed == (address.family == .ipv6)
    else { return nil }
    self.init(address: address, port: port)
  }

  /// As ``init(_:)`` reads it; of port 0, which no client can have, too.
  public var description: String {
    var bytes = [UInt8]()
    appendText(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Appends ``description`` in ASCII: without a string, as there are millions of clients.
  public func appendText(to bytes: inout [UInt8]) {
    switch address.family {
    case .ipv4: address.appendText(to: &bytes)
    case .ipv6:
      bytes.append(UInt8(ascii: "["))
      address.appendText(to: &bytes)
      bytes.append(UInt8(ascii: "]"))
    }
    bytes.append(UInt8(ascii: ":"))
    bytes.append(decimal: port)
  }
}

/// A network: the addresses that have its first bits (RFC 4632, section 3.1; RFC 4291, section 2.3).
public struct IPNetwork: Hashable, Sendable, CustomStringConvertible {
  /// Its first address.
  public let address: IPAddress
  /// How many bits its addresses have in common: 0…32 or 0…128.
  public let prefixLength: Int
  /// The bits that are in common.
  private let mask: (high: UInt64, low: UInt64)

  /// - Returns: `nil` where the family has no such prefix length, or the address has bits behind it.
  public init?(_ address: IPAddress, prefixLength: Int) {
    self.init(of: address, prefixLength: prefixLength)
    guard self.address == address else { return nil }
  }

  /// The network of that many bits that an address is in.
  ///
  /// - Returns: `nil` where the family has no such prefix length.
  public init?(of address: IPAddress, prefixLength: Int) {
    let width = address.family.octetCount * 8
    guard (0...width).contains(prefixLength) else { return nil }
    // Bits of IPv4 are the last 32.
    let free = width - prefixLength
    mask = (
      high: address.family == .ipv4 ? 0 : ~0 << UInt64(max(0, free - 64)),
      low: ~0 << UInt64(min(64, free))
    )
    self.address = address.masked(high: mask.high, low: mask.low)
    self.prefixLength = prefixLength
  }

  /// Reads `10.50.0.0/16`, `fd50::/64`; an address alone is a network of its own. No blanks, no zone,
  /// no leading zeros in the length, no bits behind the prefix. `nil` for everything else.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    let slash = bytes.firstIndex(of: UInt8(ascii: "/")) ?? bytes.endIndex
    let host = bytes[..<slash]
    guard !host.contains(UInt8(ascii: "%")), let address = IPAddress(utf8: host) else { return nil }
    guard slash < bytes.endIndex else {
      self.init(address, prefixLength: address.family.octetCount * 8)
      return
    }
    guard let length = UInt16(strictDecimal: bytes[(slash + 1)...]) else { return nil }
    self.init(address, prefixLength: Int(length))
  }

  public var family: AddressFamily { address.family }

  /// Whether an address is one of the network's; none of the other family is.
  public func contains(_ other: IPAddress) -> Bool {
    other.family == family && other.high & mask.high == address.high
      && other.low & mask.low == address.low
  }

  /// With its prefix length, whatever that is.
  public var description: String { "\(address)/\(prefixLength)" }

  public static func == (left: IPNetwork, right: IPNetwork) -> Bool {
    left.address == right.address && left.prefixLength == right.prefixLength
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(address)
    hasher.combine(prefixLength)
  }
}

extension UInt16 {
  /// Reads decimal digits, of which the first is 0 for 0 alone. `nil` for anything else.
  fileprivate init?(strictDecimal digits: some Collection<UInt8>) {
    guard (1...5).contains(digits.count), digits.count == 1 || digits.first != UInt8(ascii: "0")
    else { return nil }
    var number: UInt32 = 0
    for digit in digits {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
      number = number * 10 + UInt32(digit - UInt8(ascii: "0"))
    }
    self.init(exactly: number)
  }
}
