// IP addresses as text and as octets, the way Python's ipaddress module reads and prints them.
// Knows no sockets and resolves no names.

/// The two address families; a director serves the one of its virtual server.
public enum AddressFamily: Sendable, Hashable, CaseIterable, CustomStringConvertible {
  case ipv4
  case ipv6

  /// `ipv4` or `ipv6`, as messages spell it.
  public var description: String {
    switch self {
    case .ipv4: "ipv4"
    case .ipv6: "ipv6"
    }
  }

  /// Octets of an address on the wire: 4 or 16.
  public var octetCount: Int {
    switch self {
    case .ipv4: 4
    case .ipv6: 16
    }
  }
}

/// An IPv4 or IPv6 address. A zone (`%eth0`) is read and dropped.
public struct IPAddress: Hashable, Sendable, CustomStringConvertible {
  public let family: AddressFamily
  /// The first eight octets of an IPv6 address as a number; 0 for IPv4.
  let high: UInt64
  /// The last eight octets of an IPv6 address as a number, or the four of an IPv4 address.
  let low: UInt64

  private init(family: AddressFamily, high: UInt64, low: UInt64) {
    self.family = family
    self.high = high
    self.low = low
  }

  /// The address with the other bits cleared.
  func masked(high: UInt64, low: UInt64) -> IPAddress {
    IPAddress(family: family, high: self.high & high, low: self.low & low)
  }

  /// Reads the textual forms that Python's `ipaddress.ip_address` accepts: dotted decimal without
  /// leading zeros, and RFC 4291 section 2.2 with an optional zone (RFC 4007). No blanks, no
  /// brackets, no prefix length. `nil` for everything else.
  public init?(_ text: String) {
    var text = text
    let parsed = text.withUTF8 { Self.parse($0) }
    guard let parsed else { return nil }
    self = parsed
  }

  /// Reads the same forms from UTF-8.
  public init?(utf8 bytes: ArraySlice<UInt8>) {
    guard let parsed = bytes.withUnsafeBufferPointer({ Self.parse($0) }) else { return nil }
    self = parsed
  }

  /// Reads the same forms from UTF-8 in memory.
  init?(utf8 bytes: UnsafeBufferPointer<UInt8>) {
    guard let parsed = Self.parse(bytes) else { return nil }
    self = parsed
  }

  /// An address of 4 octets (IPv4) or 16 (IPv6) in network order.
  ///
  /// - Precondition: no other count.
  public init(octets: [UInt8]) {
    precondition(octets.count == 4 || octets.count == 16, "an address has 4 or 16 octets")
    let head = octets.dropLast(8)
    self.init(
      family: octets.count == 4 ? .ipv4 : .ipv6,
      high: head.reduce(0) { $0 << 8 | UInt64($1) },
      low: octets.suffix(8).reduce(0) { $0 << 8 | UInt64($1) })
  }

  /// An address in memory, in network order: of a table's key, of a file. Made without an array, as
  /// there are millions of them.
  ///
  /// - Precondition: `octets` has as many as the family.
  public init(family: AddressFamily, octets: UnsafeRawBufferPointer) {
    precondition(octets.count == family.octetCount, "an address has 4 or 16 octets")
    func number<Number: FixedWidthInteger & BitwiseCopyable>(_ offset: Int) -> Number {
      Number(bigEndian: octets.loadUnaligned(fromByteOffset: offset, as: Number.self))
    }
    switch family {
    case .ipv4:
      let low: UInt32 = number(0)
      self.init(family: family, high: 0, low: UInt64(low))
    case .ipv6: self.init(family: family, high: number(0), low: number(8))
    }
  }

  /// Puts the octets into memory, in network order.
  ///
  /// - Precondition: `octets` has room for as many as the family has.
  public func copyOctets(to octets: UnsafeMutableRawBufferPointer) {
    switch family {
    case .ipv4:
      octets.storeBytes(of: UInt32(truncatingIfNeeded: low).bigEndian, as: UInt32.self)
    case .ipv6:
      octets.storeBytes(of: high.bigEndian, as: UInt64.self)
      octets.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
    }
  }

  /// `0.0.0.0` or `::`.
  public static func unspecified(_ family: AddressFamily) -> IPAddress {
    IPAddress(family: family, high: 0, low: 0)
  }

  /// The 4 or 16 octets in network order.
  public var octets: [UInt8] {
    switch family {
    case .ipv4:
      (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * $0)) }
    case .ipv6:
      (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) }
        + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
    }
  }

  /// True for `0.0.0.0` and `::`.
  public var isUnspecified: Bool { high == 0 && low == 0 }

  /// True for 127.0.0.0/8 (RFC 1122 section 3.2.1.3) and `::1`.
  public var isLoopback: Bool {
    family == .ipv4 ? low >> 24 == 127 : high == 0 && low == 1
  }

  /// True for 224.0.0.0/4 (RFC 5771) and ff00::/8.
  public var isMulticast: Bool {
    family == .ipv4 ? low >> 28 == 0xe : high >> 56 == 0xff
  }

  /// True for 255.255.255.255 (RFC 919).
  public var isLimitedBroadcast: Bool { family == .ipv4 && low == 0xffff_ffff }

  /// Whether one machine can have this address, and be reached by it from outside its link. As ip.h of
  /// the template says of each packet: IPv4-mapped addresses (RFC 4291, section 2.5.5) are none.
  public var isUnicast: Bool {
    guard !isUnspecified, !isLoopback, !isMulticast, !isLimitedBroadcast else { return false }
    return family == .ipv4 || high >> 54 != 0xfe80 >> 6 && (high != 0 || low >> 32 != 0xffff)
  }

  /// Dotted decimal, or RFC 5952 without its section 5: IPv4-mapped addresses stay hexadecimal.
  public var description: String {
    var bytes = [UInt8]()
    appendText(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Appends ``description`` in ASCII: without a string, as there are millions of addresses.
  public func appendText(to bytes: inout [UInt8]) {
    switch family {
    case .ipv4:
      for index in 0..<4 as Range<UInt64> {
        if index > 0 { bytes.append(UInt8(ascii: ".")) }
        bytes.append(decimal: UInt8(truncatingIfNeeded: low >> (24 - 8 * index)))
      }
    case .ipv6: appendCompressed(to: &bytes)
    }
  }

  private func group(_ index: Int) -> UInt16 {
    UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> (48 - 16 * UInt64(index & 3)))
  }

  private func appendCompressed(to bytes: inout [UInt8]) {
    // The first of the longest runs of at least two zero groups (RFC 5952 sections 4.2.2, 4.2.3).
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8 && group(end) == 0 { end += 1 }
      if end - start > best.count { best = start..<end }
      start = end + 1
    }
    if best.count < 2 { best = 8..<8 }
    for index in 0..<8 where !best.contains(index) {
      if index > 0 && index != best.upperBound { bytes.append(UInt8(ascii: ":")) }
      if index == best.upperBound { bytes.append(contentsOf: "::".utf8) }
      bytes.append(hexadecimal: group(index))
    }
    if best.upperBound == 8 && !best.isEmpty { bytes.append(contentsOf: "::".utf8) }
  }
}

extension [UInt8] {
  /// Appends a number's decimal digits in ASCII.
  package mutating func append(decimal number: some UnsignedInteger & FixedWidthInteger) {
    if number >= 10 { append(decimal: number / 10) }
    append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10))
  }

  /// Appends a number's hexadecimal digits in ASCII, in small letters and without leading zeros.
  fileprivate mutating func append(hexadecimal number: UInt16) {
    if number >= 16 { append(hexadecimal: number >> 4) }
    let digit = UInt8(truncatingIfNeeded: number & 15)
    append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
  }
}

// MARK: - Reading

extension IPAddress {
  private typealias Bytes = UnsafeBufferPointer<UInt8>

  private static func parse(_ bytes: Bytes) -> IPAddress? {
    if let value = ipv4(bytes, 0..<bytes.count) {
      return IPAddress(family: .ipv4, high: 0, low: UInt64(value))
    }
    return ipv6(bytes)
  }

  /// Four decimal numbers of at most three digits, 0…255, without leading zeros.
  private static func ipv4(_ bytes: Bytes, _ range: Range<Int>) -> UInt32? {
    var result: UInt32 = 0
    var octet: UInt32 = 0
    var digits = 0
    var dots = 0
    for index in range {
      let byte = bytes[index]
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        // A leading zero could mean octal: refused, as inet_pton does.
        if digits == 3 || (digits > 0 && octet == 0) { return nil }
        octet = octet * 10 + UInt32(byte - UInt8(ascii: "0"))
        digits += 1
      case UInt8(ascii: "."):
        guard digits > 0, octet <= 255, dots < 3 else { return nil }
        result = result << 8 | octet
        (octet, digits, dots) = (0, 0, dots + 1)
      default:
        return nil
      }
    }
    guard dots == 3, digits > 0, octet <= 255 else { return nil }
    return result << 8 | octet
  }

  private static func ipv6(_ bytes: Bytes) -> IPAddress? {
    var end = bytes.count
    if let percent = bytes.firstIndex(of: UInt8(ascii: "%")) {
      let zone = bytes[(percent + 1)...]
      if zone.isEmpty || zone.contains(UInt8(ascii: "%")) { return nil }
      if zone.contains(UInt8(ascii: "/")) { return nil }
      end = percent
    }
    // The groups before and after "::"; `gap` is where it stands.
    var groups = [UInt16]()
    groups.reserveCapacity(8)
    var gap: Int?
    var index = 0
    if end >= 2, bytes[0] == UInt8(ascii: ":"), bytes[1] == UInt8(ascii: ":") {
      gap = 0
      index = 2
    }
    while index < end {
      if groups.count == 8 { return nil }
      var value: UInt32 = 0
      let start = index
      while index < end, let digit = hexadecimalDigit(bytes[index]) {
        value = value << 4 | UInt32(digit)
        index += 1
        if index - start > 4 { return nil }
      }
      if index < end, bytes[index] == UInt8(ascii: ".") {
        guard groups.count <= 6, let last = ipv4(bytes, start..<end) else { return nil }
        groups.append(UInt16(truncatingIfNeeded: last >> 16))
        groups.append(UInt16(truncatingIfNeeded: last))
        index = end
        break
      }
      if index == start { return nil }
      groups.append(UInt16(value))
      if index == end { break }
      guard bytes[index] == UInt8(ascii: ":") else { return nil }
      index += 1
      if index == end { return nil }
      if bytes[index] == UInt8(ascii: ":") {
        if gap != nil { return nil }
        gap = groups.count
        index += 1
      }
    }
    if let gap {
      guard groups.count < 8 else { return nil }
      groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    return IPAddress(
      family: .ipv6,
      high: groups[..<4].reduce(0) { $0 << 16 | UInt64($1) },
      low: groups[4...].reduce(0) { $0 << 16 | UInt64($1) })
  }

  private static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}
