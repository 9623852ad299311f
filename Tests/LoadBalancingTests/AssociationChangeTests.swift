// Changes of associations as text: what one director writes, another reads.
import LoadBalancing
import Testing

@Suite("Association changes")
struct AssociationChangeTests {
  private static let client = Client("10.50.0.2:5683")!

  private static let written: [(change: AssociationChange, line: String)] = [
    (
      .association(
        SharedAssociation(
          at: 1_764_428_400_123, clientClass: .resident, client: client,
          realServer: IPAddress("10.70.1.2")!, virtualServer: "coap")),
      #"{"at":1764428400123,"class":"resident","client":"10.50.0.2:5683","#
        + #""real_server":"10.70.1.2","virtual_server":"coap"}"#
    ),
    (
      .association(
        SharedAssociation(
          at: 0, clientClass: .answered, client: Client("[fd50::2]:1")!,
          realServer: IPAddress("fd70::2")!, virtualServer: "a \"b\"\\ é/")),
      #"{"at":0,"class":"answered","client":"[fd50::2]:1","#
        + #""real_server":"fd70::2","virtual_server":"a \"b\"\\ é/"}"#
    ),
    (
      .gone(GoneAssociation(at: 7, client: client, reason: .forgotten, virtualServer: "coap")),
      #"{"at":7,"client":"10.50.0.2:5683","gone":"forgotten","virtual_server":"coap"}"#
    ),
    (
      .gone(GoneAssociation(at: 8, client: client, reason: .evicted, virtualServer: "other")),
      #"{"at":8,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":"other"}"#
    ),
    (
      .override(
        SharedOverride(
          at: 9, realServer: IPAddress("10.70.1.2")!, state: .draining, virtualServer: "coap",
          weight: 5)),
      #"{"at":9,"real_server":"10.70.1.2","state":"draining","virtual_server":"coap","weight":5}"#
    ),
    (
      .override(
        SharedOverride(
          at: 9, realServer: IPAddress("10.70.1.2")!, state: nil, virtualServer: "coap",
          weight: nil)),
      #"{"at":9,"real_server":"10.70.1.2","state":null,"virtual_server":"coap","weight":null}"#
    ),
  ]

  @Test("what is written is read again")
  func roundTrip() throws {
    var writer = AssociationChangeWriter()
    var text: [UInt8] = []
    for (change, _) in Self.written { writer.append(change, to: &text) }
    #expect(
      String(decoding: text, as: UTF8.self) == Self.written.map { $0.line + "\n" }.joined())
    #expect(try AssociationChangeReader.read(text) == Self.written.map(\.change))
    #expect(try AssociationChangeReader.read(text.dropLast()) == Self.written.map(\.change))
    #expect(try AssociationChangeReader.read([]) == [])
  }

  @Test("order and spacing of the members are free")
  func otherForms() throws {
    let text =
      #" { "virtual_server" : "coap", "client":"10.50.0.2:5683","at": 1764428400123,"#
      + #""real_server":"10.70.1.2","class":"resident"}"# + "\r\n"
      + #"{"at":7,"client":"10.50.0.2:5683","gone":"forgotten","virtual_server":"\u0063oap"}"#
    #expect(
      try AssociationChangeReader.read(Array(text.utf8))
        == [Self.written[0].change, Self.written[2].change])
  }

  @Test(
    "what is no change is refused with its line's number",
    arguments: [
      "", "{}", "[]", "7", "{", #"{"cursor":"1.2"}"#,
      #"{"at":-1,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":"coap"}"#,
      #"{"at":07,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":"coap"}"#,
      #"{"at":281474976710656,"client":"10.50.0.2:1","gone":"evicted","virtual_server":"coap"}"#,
      #"{"at":7,"client":"10.50.0.2","gone":"evicted","virtual_server":"coap"}"#,
      #"{"at":7,"client":"10.50.0.2:0","gone":"evicted","virtual_server":"coap"}"#,
      #"{"at":7,"client":"10.50.0.2:5683","gone":"lost","virtual_server":"coap"}"#,
      #"{"at":7,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":""}"#,
      #"{"at":7,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":"coap"} x"#,
      #"{"at":7,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":"coap","a":1}"#,
      #"{"at":7,"class":"friend","client":"10.50.0.2:1","real_server":"10.70.1.2","virtual_server":"a"}"#,
      #"{"at":7,"class":"resident","client":"10.50.0.2:1","real_server":"x","virtual_server":"a"}"#,
      #"{"at":7,"class":"resident","client":"10.50.0.2:1","real_server":"fe80::1%a","virtual_server":"a"}"#,
      #"{"at":9,"real_server":"10.70.1.2","state":"gone","virtual_server":"coap","weight":5}"#,
      #"{"at":9,"real_server":"10.70.1.2","state":null,"virtual_server":"coap","weight":257}"#,
      #"{"at":9,"real_server":"10.70.1.2","state":null,"virtual_server":"coap"}"#,
    ])
  func malformed(_ line: String) {
    let text = Self.written[0].line + "\n" + line + "\n"
    #expect(throws: AssociationChangeReader.Malformed(line: 2)) {
      try AssociationChangeReader.read(Array(text.utf8))
    }
  }

  @Test("a cursor is two numbers")
  func cursor() {
    let cursor = ChangeCursor(generation: .max, sequence: 12)
    #expect(cursor.description == "18446744073709551615.12")
    #expect(ChangeCursor(cursor.description) == cursor)
    for text in ["", ".", "1", "1.", ".1", "1.2.3", "+1.2", "1.-2", "1. 2", "a.b"] {
      #expect(ChangeCursor(text) == nil, "\(text)")
    }
    #expect(
      String(decoding: AssociationChangeWriter.line(cursor, isReset: true), as: UTF8.self)
        == #"{"cursor":"18446744073709551615.12","reset":true}"# + "\n")
    #expect(
      String(decoding: AssociationChangeWriter.line(cursor), as: UTF8.self)
        == #"{"cursor":"18446744073709551615.12"}"# + "\n")
  }
}
