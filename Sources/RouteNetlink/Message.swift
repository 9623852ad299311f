// Messages of netlink(7) and their attributes, as octets. Knows no socket, and no message's meaning.
import CLinux
import Glibc

/// A message of the kernel's, or a request for it.
public struct NetlinkMessage: Sendable, Equatable {
  /// `RTM_…` or `NLMSG_…`.
  public let type: UInt16
  /// `NLM_F_…`.
  public let flags: UInt16
  /// A request's own number, which its answer has too; 0 of news.
  public let sequence: UInt32
  /// What stands behind the header.
  public let payload: [UInt8]

  public init(type: UInt16, flags: UInt16 = 0, sequence: UInt32 = 0, payload: [UInt8]) {
    (self.type, self.flags, self.sequence, self.payload) = (type, flags, sequence, payload)
  }

  private static let headerSize = MemoryLayout<nlmsghdr>.size

  /// As it is sent.
  public var octets: [UInt8] {
    octetsOf(
      nlmsghdr(
        nlmsg_len: UInt32(Self.headerSize + payload.count), nlmsg_type: type, nlmsg_flags: flags,
        nlmsg_seq: sequence, nlmsg_pid: 0)) + payload
  }

  /// The messages of a datagram; what is cut short is left out.
  public static func all(in datagram: some Collection<UInt8>) -> [NetlinkMessage] {
    var messages: [NetlinkMessage] = []
    var rest = ArraySlice(Array(datagram))
    while let header = rest.beginning(as: nlmsghdr.self) {
      let length = Int(header.nlmsg_len)
      guard length >= headerSize, length <= rest.count else { break }
      messages.append(
        NetlinkMessage(
          type: header.nlmsg_type, flags: header.nlmsg_flags, sequence: header.nlmsg_seq,
          payload: Array(rest.prefix(length).dropFirst(headerSize))))
      rest = rest.dropFirst(aligned(length))
    }
    return messages
  }

  /// The number of an error, or 0 for an acknowledgement; `nil` for any other message.
  var errorNumber: Int32? {
    guard type == UInt16(NLMSG_ERROR) else { return nil }
    return payload[...].beginning(as: Int32.self).map { -$0 }
  }
}

/// Attributes behind what begins a payload (`struct rtattr`).
struct Attributes {
  private var values: [UInt16: ArraySlice<UInt8>] = [:]

  private static let headerSize = MemoryLayout<rtattr>.size

  /// What is cut short is left out.
  init(_ octets: ArraySlice<UInt8>) {
    var rest = octets
    while let header = rest.beginning(as: rtattr.self) {
      let length = Int(header.rta_len)
      guard length >= Self.headerSize, length <= rest.count else { break }
      // The upper two bits tell how it is written.
      values[header.rta_type & 0x3fff] = rest.prefix(length).dropFirst(Self.headerSize)
      rest = rest.dropFirst(aligned(length))
    }
  }

  /// The octets of an attribute; `nil` where it is not there.
  subscript(_ type: some BinaryInteger) -> ArraySlice<UInt8>? { values[UInt16(type)] }

  /// As it is sent.
  static func octets(_ type: some BinaryInteger, _ value: [UInt8]) -> [UInt8] {
    let length = headerSize + value.count
    return octetsOf(rtattr(rta_len: UInt16(length), rta_type: UInt16(type))) + value
      + [UInt8](repeating: 0, count: aligned(length) - length)
  }
}

/// Netlink's alignment (`NLMSG_ALIGN`, `RTA_ALIGN`).
private func aligned(_ length: Int) -> Int { (length + 3) & ~3 }

/// A value as it stands in memory.
func octetsOf<Value: BitwiseCopyable>(_ value: Value) -> [UInt8] {
  withUnsafeBytes(of: value) { Array($0) }
}

extension ArraySlice<UInt8> {
  /// The value that they begin with; `nil` where there are too few.
  func beginning<Value: BitwiseCopyable>(as type: Value.Type) -> Value? {
    guard count >= MemoryLayout<Value>.size else { return nil }
    return withUnsafeBytes { $0.loadUnaligned(as: type) }
  }
}
