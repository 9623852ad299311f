// Changes as bytes and as lines, and back.
import LoadBalancing
import Testing

@testable import Sync

@Suite struct RecordTests {
  private static let client = Client("10.50.0.2:5683")!
  private static let resident = SharedChange(
    at: 1_764_428_400_123, virtualServer: "coap",
    .association(client: client, class: .resident, realServer: IPAddress("10.70.1.2")!))

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
    #expect(resident.key == "a:coap:\(CRC16.of(resident.field) % 16384)")
    #expect(StoredChange.virtualServer(ofKey: resident.key[...]) == "coap")
    #expect(StoredChange.virtualServer(ofKey: "a:udp:[fd40::1]:5683:17") == "udp:[fd40::1]:5683")
    #expect(StoredChange.virtualServer(ofKey: "a:17") == nil)
    #expect(StoredChange.virtualServer(ofKey: "overrides") == nil)

    let forgotten = try #require(
      StoredChange(
        SharedChange(at: 1, virtualServer: "coap", .forgotten(client: Client("[fd50::2]:1")!))))
    #expect(forgotten.field == bytes("fd500000000000000000000000000002 0001"))
    #expect(forgotten.value == bytes("000000000001 03"))
    #expect(forgotten.head == bytes("02 04 636f6170 0012 0007"))

    let evicted = try #require(
      StoredChange(SharedChange(at: 1, virtualServer: "coap", .evicted(client: Self.client))))
    #expect(evicted.value == bytes("000000000001"))
    #expect(evicted.head.first == 3)

    let override = try #require(
      StoredChange(
        SharedChange(
          at: 1, virtualServer: "coap",
          .override(realServer: IPAddress("10.70.1.2")!, state: .draining, weight: nil))))
    #expect(override.key == "overrides")
    #expect(override.field == Array("coap\u{0}10.70.1.2".utf8))
    #expect(
      override.value
        == bytes("000000000001") + Array(#"{"state":"draining","weight":null}"#.utf8))
    #expect(override.head == bytes("04 00 000e 0028"))
  }

  private static let all: [SharedChange] =
    AssociationClass.allCases.flatMap { known in
      ["10.50.0.2:1", "[fd50::2]:65535"].flatMap { client in
        ["10.70.1.2", "fd70::2"].map { server in
          SharedChange(
            at: 1 << 48 - 1, virtualServer: "a \"label\", ünlike",
            .association(
              client: Client(client)!, class: known, realServer: IPAddress(server)!))
        }
      }
    } + [
      SharedChange(at: 0, virtualServer: "coap", .forgotten(client: client)),
      SharedChange(
        at: 5, virtualServer: "coap",
        .override(realServer: IPAddress("fd70::2")!, state: .down, weight: RealServer.mostWeight)),
      SharedChange(
        at: 5, virtualServer: "coap",
        .override(realServer: IPAddress("10.70.1.2")!, state: nil, weight: nil)),
    ]

  @Test func whatIsWrittenIsRead() throws {
    let stored = Self.all.compactMap { StoredChange($0) }
    #expect(stored.count == Self.all.count)
    let records = stored.flatMap { $0.head + $0.field + $0.value }
    #expect(SharedChange.records(records) == Self.all)
    // Cut off anywhere it is nothing, or what is whole.
    for end in records.indices {
      let part = SharedChange.records(Array(records[..<end]))
      #expect(part == nil || part! == Array(Self.all.prefix(part!.count)))
    }
    // Kinds that are not known, and what is none, are passed over.
    let unknown = bytes("09 01 61 0001 0002 62 6363")
    let broken = bytes("01 01 61 0001 0002 62 6363")
    #expect(SharedChange.records(unknown + records + broken) == Self.all)
    #expect(
      StoredChange(
        SharedChange(
          at: 1, virtualServer: String(repeating: "x", count: 256), .evicted(client: Self.client)))
        == nil)
  }

  @Test func linesAreThoseOfTheDaemon() throws {
    var writer = ChangeWriter()
    writer.append(Self.resident)
    writer.append(SharedChange(at: 7, virtualServer: "coap", .forgotten(client: Self.client)))
    writer.append(SharedChange(at: 7, virtualServer: "coap", .evicted(client: Self.client)))
    writer.append(
      SharedChange(
        at: 7, virtualServer: "co\"ap",
        .override(realServer: IPAddress("10.70.1.2")!, state: .draining, weight: 5)))
    #expect(
      String(decoding: writer.bytes, as: UTF8.self) == #"""
        {"at":1764428400123,"class":"resident","client":"10.50.0.2:5683","real_server":"10.70.1.2","virtual_server":"coap"}
        {"at":7,"client":"10.50.0.2:5683","gone":"forgotten","virtual_server":"coap"}
        {"at":7,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":"coap"}
        {"at":7,"real_server":"10.70.1.2","state":"draining","virtual_server":"co\"ap","weight":5}

        """#)
    var all = ChangeWriter()
    for change in Self.all { all.append(change) }
    var splitter = LineSplitter()
    var read: [ChangeLine?] = []
    // In pieces of any length.
    for start in stride(from: 0, to: all.bytes.count, by: 7) {
      splitter.feed(Array(all.bytes[start..<min(start + 7, all.bytes.count)])) {
        read.append(ChangeLine($0))
      }
    }
    #expect(read == Self.all.map { .change($0) })
  }

  @Test(arguments: [
    (#"{"cursor":"5.17","reset":true}"#, ChangeLine.cursor("5.17", isReset: true)),
    (#"{"cursor":"5.17"}"#, .cursor("5.17", isReset: false)),
    (#" { "reset" : false , "cursor" : "5\u002e17" } "#, .cursor("5.17", isReset: false)),
    ("{}", nil), ("", nil), ("[]", nil), (#"{"cursor":5}"#, nil), (#"{"cursor":"5"}x"#, nil),
    (#"{"at":-1,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":"c"}"#, nil),
    (#"{"at":281474976710656,"client":"10.50.0.2:1","gone":"evicted","virtual_server":"c"}"#, nil),
    (#"{"at":99999999999999999999,"client":"10.50.0.2:1","gone":"evicted"}"#, nil),
    (#"{"at":1,"client":"10.50.0.2:1","gone":"lost","virtual_server":"c"}"#, nil),
    (#"{"at":1,"client":"10.50.0.2","gone":"evicted","virtual_server":"c"}"#, nil),
    (
      #"{"at":1,"class":"old","client":"1.2.3.4:1","real_server":"1.1.1.1","virtual_server":"c"}"#,
      nil
    ),
    (#"{"at":1,"real_server":"1.1.1.1","state":"off","virtual_server":"c","weight":1}"#, nil),
    (#"{"at":1,"real_server":"1.1.1.1","state":"up","virtual_server":"c"}"#, nil),
    (#"{"cursor":"5"#, nil), (#"{"cursor":"5\"#, nil), (#"{"cursor"}"#, nil),
    ("{\"cursor\":\"\n\"}", nil),
  ])
  func linesThatAreNone(_ text: String, _ line: ChangeLine?) {
    #expect(ChangeLine(Array(text.utf8)[...]) == line)
  }
}
