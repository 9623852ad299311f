// State files of both versions and families as they are documented, written down octet by octet.
import LoadBalancing
import Testing

@testable import AssociationFile

/// A whole file and what it says.
struct Golden: Sendable, CustomTestStringConvertible {
  let version: Int
  let preamble: Preamble
  /// In the file's order.
  let associations: [Association]
  let bytes: [UInt8]

  var testDescription: String { "version \(version), \(preamble.family)" }

  /// In the order of use.
  var loaded: [Association] { associations.sorted { $0.age < $1.age } }

  private init(
    _ version: Int, _ family: AddressFamily, roundPosition: UInt32, servers: [String],
    clients: [(address: String, port: UInt16, realServer: UInt32, age: UInt8)],
    _ hexadecimal: String
  ) {
    self.version = version
    preamble = Preamble(
      family: family, roundPosition: roundPosition, realServers: servers.map { IPAddress($0)! })
    associations = clients.map {
      Association(
        client: Client(address: IPAddress($0.address)!, port: $0.port), realServer: $0.realServer,
        age: $0.age)
    }
    let digits = Array(hexadecimal.filter { !$0.isWhitespace })
    bytes = stride(from: 0, to: digits.count, by: 2).map {
      UInt8(String(digits[$0..<$0 + 2]), radix: 16)!
    }
  }

  /// As they are written now.
  static let current = [
    Golden(
      2, .ipv4, roundPosition: 2, servers: ["10.70.1.2", "10.70.2.2", "10.70.3.2"],
      clients: [
        ("10.50.0.2", 5683, 0, 7), ("192.0.2.255", 1, 2, 255), ("203.0.113.7", 65535, 1, 0),
      ],
      """
      756c627374617465 02000000 04 000000 02000000 03000000
      0a460102 0a460202 0a460302
      0a320002 1633 07 00 00000000
      c00002ff 0001 ff 00 02000000
      cb007107 ffff 00 00 01000000
      0300000000000000 c33e935b
      """),
    Golden(
      2, .ipv6, roundPosition: 1, servers: ["fd70:1::2", "fd70:2::2"],
      clients: [("fd50::2", 5684, 1, 128), ("2001:db8:1:2:3:4:5:6", 49152, 0, 1)],
      """
      756c627374617465 02000000 06 000000 01000000 02000000
      fd700001000000000000000000000002 fd700002000000000000000000000002
      fd500000000000000000000000000002 1634 80 00 01000000
      20010db8000100020003000400050006 c000 01 00 00000000
      0200000000000000 de54f5a3
      """),
  ]

  /// As ulb 1.0.0 wrote them.
  static let former = [
    Golden(
      1, .ipv4, roundPosition: 2, servers: ["10.70.1.2", "10.70.2.2", "10.70.3.2"],
      clients: [
        ("10.50.0.2", 5683, 0, 0), ("192.0.2.255", 1, 2, 0), ("203.0.113.7", 65535, 1, 0),
      ],
      """
      756c627374617465 01000000 04 000000 02000000 03000000
      0a460102 0a460202 0a460302
      0a320002 1633 0000 00000000
      c00002ff 0001 0000 02000000
      cb007107 ffff 0000 01000000
      0300000000000000 6523d55a
      """),
    Golden(
      1, .ipv6, roundPosition: 1, servers: ["fd70:1::2", "fd70:2::2"],
      clients: [("fd50::2", 5684, 1, 0), ("2001:db8:1:2:3:4:5:6", 49152, 0, 0)],
      """
      756c627374617465 01000000 06 000000 01000000 02000000
      fd700001000000000000000000000002 fd700002000000000000000000000002
      fd500000000000000000000000000002 1634 0000 01000000
      20010db8000100020003000400050006 c000 0000 00000000
      0200000000000000 307cf986
      """),
  ]

  static let all = current + former
}
