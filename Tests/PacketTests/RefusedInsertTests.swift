// An association that cannot be made: its bucket is locked, by a CPU that a hypervisor has stopped.
import LoadBalancing
import Testing

@Suite("Refused associations", .serialized)
struct RefusedInsertTests {
  /// A lock is any octet that is not 0.
  @Test("are nobody's", arguments: AddressFamily.allCases, [1, 0x80, 0xff] as [UInt8])
  func refused(family: AddressFamily, lock: UInt8) throws {
    let director = try Director(family, level: .trace, maxAssociations: 7)
    let addresses = director.addresses
    let known = addresses.request(client: 1)
    try director.expect(.sent("new", .ingressNewNAT, known, to: addresses.server(1)))
    director.buckets[lockOf: 0] = lock
    let before = director.buckets.entries
    for row in Self.cases(addresses) { try director.expect(row) }
    // Who is known is served.
    try director.expect(.sent("known", .ingressReusedNAT, known, to: addresses.server(1)))
    let reply = addresses.reply(server: 1, client: 1)
    try director.expect(.sent("known", .egressReusedNAT, reply, from: addresses.virtualServer))
    // Nobody else has let go of it.
    #expect(director.buckets[lockOf: 0] == lock)
    #expect(director.buckets.entries == before)

    director.buckets[lockOf: 0] = 0
    for client in 2..<5 { #expect(try director.server(of: client) != nil) }
    #expect(director.buckets[lockOf: 0] == 0)
  }

  /// While their bucket is locked.
  static func cases(_ addresses: Addresses) -> [Case] {
    (2..<5).flatMap { client in
      [
        Case(
          name: "locked", event: .ingressCannotCreateAssociation, verdict: .drop,
          datagram: addresses.request(client: client)),
        Case(
          name: "server-initiated, locked", event: .egressCannotCreateAssociation, verdict: .drop,
          datagram: addresses.reply(server: 1, client: client)),
      ]
    }
  }

  /// Of two buckets, one is a client's first and the other its second.
  @Test("the lock of a client's second bucket is not asked for", arguments: AddressFamily.allCases)
  func second(family: AddressFamily) throws {
    let director = try Director(family, level: .trace, maxAssociations: 8)
    let addresses = director.addresses
    let buckets = director.buckets
    try #require(buckets.count == 2)
    var seen: Set<Int> = []
    for client in 0..<20 {
      buckets.clear()
      try director.admit([client])
      let first = try #require(director.entry(of: client)).place.bucket
      seen.insert(first)
      // In an empty table, and where the client has to go into the locked one.
      for others in [0, Buckets.places] {
        buckets.clear()
        for index in 0..<others {
          buckets[.init(bucket: first, index: index)] = 0xabcd_0001_0000 << 16 | UInt64(index) << 16
        }
        buckets[lockOf: 1 - first] = 1
        _ = director.events()
        let reply = addresses.reply(server: 2, client: client)
        try director.expect(
          .sent("new", .egressNewNAT, reply, from: addresses.virtualServer))
        let bucket = try #require(director.entry(of: client)).place.bucket
        #expect(bucket == (others == 0 ? first : 1 - first))
        #expect(buckets[lockOf: 1 - first] == 1 && buckets[lockOf: first] == 0)
        buckets[lockOf: 1 - first] = 0
      }
      // And its first is asked for even so.
      buckets.clear()
      buckets[lockOf: first] = 1
      let request = addresses.request(client: client)
      try director.expect(
        Case(
          name: "locked", event: .ingressCannotCreateAssociation, verdict: .drop,
          datagram: request))
      buckets[lockOf: first] = 0
    }
    #expect(seen == [0, 1])
  }
}
