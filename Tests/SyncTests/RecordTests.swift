// Changes as Redis keeps them, and back.
import LoadBalancing
import Testing

@testable import Sync

@Suite struct RecordTests {
  private static let client = Client("10.50.0.2:5683")!
  private static let resident = AssociationChange.association(
    SharedAssociation(
      at: 1_764_428_400_123, clientClass: .resident, client: client,
      realServer: IPAddress("10.70.1.2")!, virtualServer: "coap"))

  private static func gone(
    _ client: Client, _ reason: GoneAssociation.Reason, at: UInt64 = 1,
    virtualServer: String = "coap"
  ) -> AssociationChange {
    .gone(GoneAssociation(at: at, client: client, reason: reason, virtualServer: virtualServer))
  }

  private static func override(
    _ realServer: String, _ state: RealServer.State?, weight: Int?, at: UInt64
  ) -> AssociationChange {
    .override(
      SharedOverride(
        at: at, realServer: IPAddress(realServer)!, state: state, virtualServer: "coap",
        weight: weight))
  }

  private func bytes(_ hexadecimal: String) -> [UInt8] {
    let digits = Array(hexadecimal.utf8.filter { $0 != UInt8(ascii: " ") })
    return stride(from: 0, to: digits.count, by: 2).map {
      UInt8(String(decoding: digits[$0..<($0 + 2)], as: UTF8.self), radix: 16)!
    }
  }

  /// As they are in Redis: changed, directors of two versions do not understand each other.
  @Test func theVectors() throws {
    #expect(CRC16.of(Array("123456789".utf8)) == 0x31c3)
    let resident = try #require(StoredChange(Self.resident))
    #expect(resident.field == bytes("0a320002 1633"))
    #expect(resident.value == bytes("019ad020c5fb 02 0a460102"))
    #expect(resident.head == bytes("01 04 636f6170 0006 000b"))
    #expect(resident.key == "a:coap:\(CRC16.of(resident.field) % 32768)")
    #expect(StoredChange.virtualServer(ofKey: resident.key[...]) == "coap")
    #expect(StoredChange.virtualServer(ofKey: "a:udp:[fd40::1]:5683:17") == "udp:[fd40::1]:5683")
    #expect(StoredChange.virtualServer(ofKey: "a:17") == nil)
    #expect(StoredChange.virtualServer(ofKey: "overrides") == nil)

    let forgotten = try #require(
      StoredChange(Self.gone(Client("[fd50::2]:1")!, .forgotten)))
    #expect(forgotten.field == bytes("fd500000000000000000000000000002 0001"))
    #expect(forgotten.value == bytes("000000000001 03"))
    #expect(forgotten.head == bytes("02 04 636f6170 0012 0007"))

    let evicted = try #require(StoredChange(Self.gone(Self.client, .evicted)))
    #expect(evicted.value == bytes("000000000001"))
    #expect(evicted.head.first == 3)

    let override = try #require(
      StoredChange(Self.override("10.70.1.2", .draining, weight: nil, at: 1)))
    #expect(override.key == "overrides")
    #expect(override.field == Array("coap\u{0}10.70.1.2".utf8))
    #expect(
      override.value
        == bytes("000000000001") + Array(#"{"state":"draining","weight":null}"#.utf8))
    #expect(override.head == bytes("04 00 000e 0028"))
  }

  private static let all: [AssociationChange] =
    ClientClass.allCases.flatMap { clientClass in
      ["10.50.0.2:1", "[fd50::2]:65535"].flatMap { client in
        ["10.70.1.2", "fd70::2"].map { server in
          .association(
            SharedAssociation(
              at: AssociationChange.latest, clientClass: clientClass, client: Client(client)!,
              realServer: IPAddress(server)!, virtualServer: "a \"label\", ünlike"))
        }
      }
    } + [
      .association(
        SharedAssociation(
          at: 1, clientClass: .newcomer, isUnheard: true, client: client,
          realServer: IPAddress("10.70.1.2")!, virtualServer: "coap")),
      gone(client, .forgotten, at: 0),
      override("fd70::2", .down, weight: RealServer.mostWeight, at: 5),
      override("10.70.1.2", nil, weight: nil, at: 5),
    ]

  @Test func whatIsWrittenIsRead() throws {
    let stored = Self.all.compactMap { StoredChange($0) }
    #expect(stored.count == Self.all.count)
    let records = stored.flatMap { $0.head + $0.field + $0.value }
    #expect(AssociationChange.records(records) == Self.all)
    // Cut off anywhere it is nothing, or what is whole.
    for end in records.indices {
      let part = AssociationChange.records(Array(records[..<end]))
      #expect(part == nil || part! == Array(Self.all.prefix(part!.count)))
    }
    // Kinds that are not known, and what is none, are passed over.
    let unknown = bytes("09 01 61 0001 0002 62 6363")
    let broken = bytes("01 01 61 0001 0002 62 6363")
    #expect(AssociationChange.records(unknown + records + broken) == Self.all)
    // Nor is there a client without a port, nor one of a virtual server without a label.
    let whole = bytes("01 01 61 0006 000b 0a320002 1633 019ad020c5fb 02 0a460102")
    #expect(AssociationChange.records(whole)?.count == 1)
    let noPort = bytes("01 01 61 0006 000b 0a320002 0000 019ad020c5fb 02 0a460102")
    let noLabel = bytes("01 00 0006 000b 0a320002 1633 019ad020c5fb 02 0a460102")
    #expect(AssociationChange.records(noPort + noLabel) == [])
    #expect(
      StoredChange(
        Self.gone(Self.client, .evicted, virtualServer: String(repeating: "x", count: 256))) == nil)
  }

  /// An override's value in Redis is JSON, to which a later version may add.
  @Test(
    arguments: [
      (#"{"state":"draining","weight":5}"#, .draining, 5),
      (#"{"note":[1.5,{}],"state":"up","weight":null}"#, .up, nil),
      (#" { "weight" : 256, "state" : null } "#, nil, 256),
    ] as [(String, RealServer.State?, Int?)])
  func overridesAreRead(_ text: String, _ state: RealServer.State?, _ weight: Int?) {
    #expect(
      override(text)
        == .override(
          SharedOverride(
            at: 1, realServer: IPAddress("10.70.1.2")!, state: state, virtualServer: "coap",
            weight: weight)))
  }

  @Test(arguments: [
    "", "{}", "[]", #"{"state":"up"}"#, #"{"weight":5}"#, #"{"state":"off","weight":5}"#,
    #"{"state":7,"weight":5}"#, #"{"state":"up","weight":257}"#, #"{"state":"up","weight":-1}"#,
    #"{"state":"up","weight":"5"}"#, #"{"state":"up","weight":5}x"#,
  ])
  func overridesThatAreNone(_ text: String) {
    #expect(override(text) == nil)
  }

  private func override(_ text: String) -> AssociationChange? {
    let value = bytes("000000000001") + Array(text.utf8)
    return AssociationChange(
      overrideField: Array("coap\u{0}10.70.1.2".utf8)[...], value: value[...])
  }

  @Test func linesComeInPiecesOfAnyLength() {
    let text = Array("a\n\nbc\n{\"ü\"}\nnot ended".utf8)
    for length in 1...text.count {
      var splitter = LineSplitter()
      var lines: [String] = []
      for start in stride(from: 0, to: text.count, by: length) {
        splitter.feed(Array(text[start..<min(start + length, text.count)])) {
          lines.append(String(decoding: $0, as: UTF8.self))
        }
      }
      #expect(lines == ["a", "bc", "{\"ü\"}"], "pieces of \(length)")
    }
  }
}
