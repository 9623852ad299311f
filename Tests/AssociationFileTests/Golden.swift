// State files of all versions and both families as they are documented, written down octet by octet.
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

  var testDescription: String {
    "version \(version), \(preamble.virtualServers.map(\.family))"
  }

  /// A configuration that has the file's virtual servers.
  var configured: [VirtualServer] {
    preamble.virtualServers.map {
      VirtualServer(name: $0.name, address: $0.address, ports: [], realServers: [])
    }
  }

  /// In the order in which they are handed over: of each family in that of use.
  var loaded: [Association] {
    AddressFamily.allCases.flatMap { family in
      associations.filter { $0.client.address.family == family }.sorted { $0.rank < $1.rank }
    }
  }

  private init(
    _ version: Int, _ virtualServers: [SavedVirtualServer], _ associations: [Association],
    _ hexadecimal: String,
    overrides: [(target: Overrides.Target, override: RealServer.Override)] = [],
    rankedBy ranking: Ranking = .byAge
  ) {
    self.version = version
    preamble = Preamble(
      virtualServers: virtualServers,
      overrides: Overrides(
        Dictionary(uniqueKeysWithValues: overrides.map { ($0.target, $0.override) })),
      ranking: ranking)
    self.associations = associations
    let digits = Array(hexadecimal.filter { !$0.isWhitespace })
    bytes = stride(from: 0, to: digits.count, by: 2).map {
      UInt8(String(digits[$0..<$0 + 2]), radix: 16)!
    }
  }

  private init(
    former version: Int, _ family: AddressFamily, roundPosition: UInt32, servers: [String],
    clients: [(address: String, port: UInt16, realServer: UInt32, rank: UInt8)],
    _ hexadecimal: String
  ) {
    let virtualServer = SavedVirtualServer(
      address: .unspecified(family), roundPosition: roundPosition,
      realServers: servers.map { IPAddress($0)! })
    let associations = clients.map { client in
      Self.association(client.address, client.port, 0, client.realServer, rank: client.rank)
    }
    self.init(version, [virtualServer], associations, hexadecimal)
  }

  private static func association(
    _ address: String, _ port: UInt16, _ virtualServer: UInt8, _ realServer: UInt32, rank: UInt8,
    isUnheard: Bool = false
  ) -> Association {
    Association(
      client: Client(address: IPAddress(address)!, port: port), virtualServer: virtualServer,
      realServer: realServer, rank: rank, isUnheard: isUnheard)
  }

  private static func virtualServer(
    named name: String? = nil, _ address: String, roundPosition: UInt32, _ servers: [String]
  ) -> SavedVirtualServer {
    SavedVirtualServer(
      name: name, address: IPAddress(address)!, roundPosition: roundPosition,
      realServers: servers.map { IPAddress($0)! })
  }

  private static func override(
    _ name: String?, _ address: String, _ state: RealServer.State?, _ weight: Int?,
    was configuredState: RealServer.State, _ configuredWeight: Int
  ) -> (target: Overrides.Target, override: RealServer.Override) {
    let configured = RealServer.Setting(state: configuredState, weight: configuredWeight)
    return (
      Overrides.Target(name: name, address: IPAddress(address)!),
      RealServer.Override(state: state, weight: weight, configured: configured)
    )
  }

  /// As they are written now.
  static let current = [
    Golden(
      5,
      [virtualServer("10.60.0.1", roundPosition: 2, ["10.70.1.2", "10.70.2.2", "10.70.3.2"])],
      [
        association("10.50.0.2", 5683, 0, 0, rank: 7),
        association("192.0.2.255", 1, 0, 2, rank: 0xbf, isUnheard: true),
        association("203.0.113.7", 65535, 0, 1, rank: 0x45),
      ],
      """
      756c627374617465 05000000 01000000 00000000 01000000
      04 00 0000 02000000 03000000
      0a3c0001000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      0a460102 0a460202 0a460302
      0a320002 1633 07 00 00000000
      c00002ff 0001 ff 00 02000000
      cb007107 ffff 45 00 01000000
      0300000000000000 0000000000000000 bbe85e68
      """, rankedBy: .byClass),
    Golden(
      5, [virtualServer("fd60::1", roundPosition: 1, ["fd70:1::2", "fd70:2::2"])],
      [
        association("fd50::2", 5684, 0, 1, rank: 128),
        association("2001:db8:1:2:3:4:5:6", 49152, 0, 0, rank: 1),
      ],
      """
      756c627374617465 05000000 01000000 00000000 00000000
      06 00 0000 01000000 02000000
      fd600000000000000000000000000001
      0000000000000000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      fd700001000000000000000000000002
      fd700002000000000000000000000002
      fd500000000000000000000000000002 1634 80 00 01000000
      20010db8000100020003000400050006 c000 01 00 00000000
      0000000000000000 0200000000000000 36ddae14
      """),
    Golden(
      5,
      [
        virtualServer("10.60.0.1", roundPosition: 2, ["10.70.1.2", "10.70.2.2", "10.70.3.2"]),
        virtualServer(named: "lwm2m-v6", "fd60::10", roundPosition: 1, ["fd70:1::2", "fd70:2::2"]),
        virtualServer(named: "björk", "10.60.0.1", roundPosition: 0x0102_0304, []),
        virtualServer(
          named: String(repeating: "x", count: 63), "10.60.0.2", roundPosition: 0, ["10.70.1.2"]),
      ],
      [
        association("10.50.0.2", 5683, 0, 2, rank: 7),
        association("10.50.0.2", 5683, 3, 0, rank: 0),
        association("192.0.2.255", 1, 0, 0, rank: 255),
        association("fd50::2", 5684, 1, 1, rank: 128),
        association("fd50::2", 5683, 1, 0, rank: 1),
      ],
      """
      756c627374617465 05000000 04000000 03000000 00000000
      04 00 0000 02000000 03000000
      0a3c0001000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      06 08 0000 01000000 02000000
      fd600000000000000000000000000010
      6c776d326d2d7636000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      04 06 0000 04030201 00000000
      0a3c0001000000000000000000000000
      626ac3b6726b0000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      04 3f 0000 00000000 01000000
      0a3c0002000000000000000000000000
      7878787878787878787878787878787878787878787878787878787878787878
      7878787878787878787878787878787878787878787878787878787878787800
      0a460102 0a460202 0a460302
      fd700001000000000000000000000002
      fd700002000000000000000000000002
      0a460102
      01000000 00 01 03 00 ffffffff 02000000
      00000000 01 03 02 00 00010000 01000000
      00000000 03 00 03 00 00000000 0a000000
      0a320002 1633 07 00 02000000
      0a320002 1633 00 03 00000000
      c00002ff 0001 ff 00 00000000
      fd500000000000000000000000000002 1634 80 01 01000000
      fd500000000000000000000000000002 1633 01 01 00000000
      0300000000000000 0200000000000000 6cf1164c
      """,
      overrides: [
        override(nil, "10.70.2.2", .down, nil, was: .up, 2),
        override("lwm2m-v6", "fd70:1::2", .up, 256, was: .draining, 1),
        override(String(repeating: "x", count: 63), "10.70.1.2", nil, 0, was: .up, 10),
      ]),
  ]

  /// As former versions of ulb wrote them.
  static let former = [
    Golden(
      4,
      [virtualServer("10.60.0.1", roundPosition: 2, ["10.70.1.2", "10.70.2.2", "10.70.3.2"])],
      [
        association("10.50.0.2", 5683, 0, 0, rank: 7),
        association("192.0.2.255", 1, 0, 2, rank: 255),
        association("203.0.113.7", 65535, 0, 1, rank: 0),
      ],
      """
      756c627374617465 04000000 01000000 00000000
      04 00 0000 02000000 03000000
      0a3c0001000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      0a460102 0a460202 0a460302
      0a320002 1633 07 00 00000000
      c00002ff 0001 ff 00 02000000
      cb007107 ffff 00 00 01000000
      0300000000000000 0000000000000000 7e4e8fd1
      """),
    Golden(
      4, [virtualServer("fd60::1", roundPosition: 1, ["fd70:1::2", "fd70:2::2"])],
      [
        association("fd50::2", 5684, 0, 1, rank: 128),
        association("2001:db8:1:2:3:4:5:6", 49152, 0, 0, rank: 1),
      ],
      """
      756c627374617465 04000000 01000000 00000000
      06 00 0000 01000000 02000000
      fd600000000000000000000000000001
      0000000000000000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      fd700001000000000000000000000002
      fd700002000000000000000000000002
      fd500000000000000000000000000002 1634 80 00 01000000
      20010db8000100020003000400050006 c000 01 00 00000000
      0000000000000000 0200000000000000 81cbd616
      """),
    Golden(
      4,
      [
        virtualServer("10.60.0.1", roundPosition: 2, ["10.70.1.2", "10.70.2.2", "10.70.3.2"]),
        virtualServer(named: "lwm2m-v6", "fd60::10", roundPosition: 1, ["fd70:1::2", "fd70:2::2"]),
        virtualServer(named: "björk", "10.60.0.1", roundPosition: 0x0102_0304, []),
        virtualServer(
          named: String(repeating: "x", count: 63), "10.60.0.2", roundPosition: 0, ["10.70.1.2"]),
      ],
      [
        association("10.50.0.2", 5683, 0, 2, rank: 7),
        association("10.50.0.2", 5683, 3, 0, rank: 0),
        association("192.0.2.255", 1, 0, 0, rank: 255),
        association("fd50::2", 5684, 1, 1, rank: 128),
        association("fd50::2", 5683, 1, 0, rank: 1),
      ],
      """
      756c627374617465 04000000 04000000 03000000
      04 00 0000 02000000 03000000
      0a3c0001000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      06 08 0000 01000000 02000000
      fd600000000000000000000000000010
      6c776d326d2d7636000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      04 06 0000 04030201 00000000
      0a3c0001000000000000000000000000
      626ac3b6726b0000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      04 3f 0000 00000000 01000000
      0a3c0002000000000000000000000000
      7878787878787878787878787878787878787878787878787878787878787878
      7878787878787878787878787878787878787878787878787878787878787800
      0a460102 0a460202 0a460302
      fd700001000000000000000000000002
      fd700002000000000000000000000002
      0a460102
      01000000 00 01 03 00 ffffffff 02000000
      00000000 01 03 02 00 00010000 01000000
      00000000 03 00 03 00 00000000 0a000000
      0a320002 1633 07 00 02000000
      0a320002 1633 00 03 00000000
      c00002ff 0001 ff 00 00000000
      fd500000000000000000000000000002 1634 80 01 01000000
      fd500000000000000000000000000002 1633 01 01 00000000
      0300000000000000 0200000000000000 21bf4bf9
      """,
      overrides: [
        override(nil, "10.70.2.2", .down, nil, was: .up, 2),
        override("lwm2m-v6", "fd70:1::2", .up, 256, was: .draining, 1),
        override(String(repeating: "x", count: 63), "10.70.1.2", nil, 0, was: .up, 10),
      ]),
    Golden(
      3,
      [virtualServer("10.60.0.1", roundPosition: 2, ["10.70.1.2", "10.70.2.2", "10.70.3.2"])],
      [
        association("10.50.0.2", 5683, 0, 0, rank: 7),
        association("192.0.2.255", 1, 0, 2, rank: 255),
        association("203.0.113.7", 65535, 0, 1, rank: 0),
      ],
      """
      756c627374617465 03000000 01000000
      04 00 0000 02000000 03000000
      0a3c0001000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      0a460102 0a460202 0a460302
      0a320002 1633 07 00 00000000
      c00002ff 0001 ff 00 02000000
      cb007107 ffff 00 00 01000000
      0300000000000000 0000000000000000 60325cb8
      """),
    Golden(
      3, [virtualServer("fd60::1", roundPosition: 1, ["fd70:1::2", "fd70:2::2"])],
      [
        association("fd50::2", 5684, 0, 1, rank: 128),
        association("2001:db8:1:2:3:4:5:6", 49152, 0, 0, rank: 1),
      ],
      """
      756c627374617465 03000000 01000000
      06 00 0000 01000000 02000000
      fd600000000000000000000000000001
      0000000000000000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      fd700001000000000000000000000002
      fd700002000000000000000000000002
      fd500000000000000000000000000002 1634 80 00 01000000
      20010db8000100020003000400050006 c000 01 00 00000000
      0000000000000000 0200000000000000 a7f71b7b
      """),
    Golden(
      3,
      [
        virtualServer("10.60.0.1", roundPosition: 2, ["10.70.1.2", "10.70.2.2", "10.70.3.2"]),
        virtualServer(named: "lwm2m-v6", "fd60::10", roundPosition: 1, ["fd70:1::2", "fd70:2::2"]),
        virtualServer(named: "björk", "10.60.0.1", roundPosition: 0x0102_0304, []),
        virtualServer(
          named: String(repeating: "x", count: 63), "10.60.0.2", roundPosition: 0, ["10.70.1.2"]),
      ],
      [
        association("10.50.0.2", 5683, 0, 2, rank: 7),
        association("10.50.0.2", 5683, 3, 0, rank: 0),
        association("192.0.2.255", 1, 0, 0, rank: 255),
        association("fd50::2", 5684, 1, 1, rank: 128),
        association("fd50::2", 5683, 1, 0, rank: 1),
      ],
      """
      756c627374617465 03000000 04000000
      04 00 0000 02000000 03000000
      0a3c0001000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      06 08 0000 01000000 02000000
      fd600000000000000000000000000010
      6c776d326d2d7636000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      04 06 0000 04030201 00000000
      0a3c0001000000000000000000000000
      626ac3b6726b0000000000000000000000000000000000000000000000000000
      0000000000000000000000000000000000000000000000000000000000000000
      04 3f 0000 00000000 01000000
      0a3c0002000000000000000000000000
      7878787878787878787878787878787878787878787878787878787878787878
      7878787878787878787878787878787878787878787878787878787878787800
      0a460102 0a460202 0a460302
      fd700001000000000000000000000002
      fd700002000000000000000000000002
      0a460102
      0a320002 1633 07 00 02000000
      0a320002 1633 00 03 00000000
      c00002ff 0001 ff 00 00000000
      fd500000000000000000000000000002 1634 80 01 01000000
      fd500000000000000000000000000002 1633 01 01 00000000
      0300000000000000 0200000000000000 2aea3753
      """),
    Golden(
      former: 2, .ipv4, roundPosition: 2, servers: ["10.70.1.2", "10.70.2.2", "10.70.3.2"],
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
      former: 2, .ipv6, roundPosition: 1, servers: ["fd70:1::2", "fd70:2::2"],
      clients: [("fd50::2", 5684, 1, 128), ("2001:db8:1:2:3:4:5:6", 49152, 0, 1)],
      """
      756c627374617465 02000000 06 000000 01000000 02000000
      fd700001000000000000000000000002 fd700002000000000000000000000002
      fd500000000000000000000000000002 1634 80 00 01000000
      20010db8000100020003000400050006 c000 01 00 00000000
      0200000000000000 de54f5a3
      """),
    Golden(
      former: 1, .ipv4, roundPosition: 2, servers: ["10.70.1.2", "10.70.2.2", "10.70.3.2"],
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
      former: 1, .ipv6, roundPosition: 1, servers: ["fd70:1::2", "fd70:2::2"],
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
