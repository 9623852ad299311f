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
    (
      .association(
        SharedAssociation(
          at: AssociationChange.latest, clientClass: .newcomer, client: Client("10.50.0.2:65535")!,
          realServer: IPAddress("fd70::2")!, virtualServer: "coap")),
      #"{"at":281474976710655,"class":"newcomer","client":"10.50.0.2:65535","#
        + #""real_server":"fd70::2","virtual_server":"coap"}"#
    ),
    (
      .association(
        SharedAssociation(
          at: 1, clientClass: .newcomer, isUnheard: true, client: client,
          realServer: IPAddress("10.70.1.2")!, virtualServer: "coap")),
      #"{"at":1,"class":"unheard","client":"10.50.0.2:5683","#
        + #""real_server":"10.70.1.2","virtual_server":"coap"}"#
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
    var reader = AssociationChangeReader(unknownMembers: .refused)
    for (change, line) in Self.written {
      #expect(reader.read(line: Array(line.utf8)[...]) == .change(change))
    }
  }

  @Test("when and where it was can be asked of each change")
  func ofEach() {
    #expect(
      Self.written.map(\.change.at) == [
        1_764_428_400_123, 0, 7, 8, 9, 9, AssociationChange.latest, 1,
      ])
    #expect(
      Self.written.map(\.change.virtualServer) == [
        "coap", "a \"b\"\\ é/", "coap", "other", "coap", "coap", "coap", "coap",
      ])
  }

  @Test("labels are told apart as they are written")
  func labels() throws {
    let labels = [
      "a", "é", "é", "\"", "\\", "\\\"", "a\\", "\u{1}", "\u{7f}", "日本", "a", "\n\"", "u0061", "a",
    ]
    let changes = labels.map {
      AssociationChange.gone(
        GoneAssociation(at: 7, client: Self.client, reason: .evicted, virtualServer: $0))
    }
    var writer = AssociationChangeWriter()
    var text: [UInt8] = []
    for change in changes { writer.append(change, to: &text) }
    #expect(try AssociationChangeReader.read(text) == changes)
    let head = Array(#"{"at":7,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":""#.utf8)
    let malformed: [[UInt8]] = [
      Array(#"\x"}"#.utf8), Array(#"\"}"#.utf8), Array(#"\"#.utf8), Array("a".utf8),
      Array("\u{1}\"}".utf8), [0xff] + Array(#""}"#.utf8), Array(#"\ud800"}"#.utf8),
    ]
    for rest in malformed {
      #expect(throws: AssociationChangeReader.Malformed(line: 1), "\(rest)") {
        try AssociationChangeReader.read(head + rest)
      }
    }
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
      "", "{}", "[]", "7", "{", #"{"cursor":"1.2"}"#, #"{"cursor":"1.2","reset":true}"#,
      #"{"at":-1,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":"coap"}"#,
      #"{"at":07,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":"coap"}"#,
      #"{"at":281474976710656,"client":"10.50.0.2:1","gone":"evicted","virtual_server":"coap"}"#,
      #"{"at":99999999999999999999,"client":"10.50.0.2:1","gone":"evicted","virtual_server":"a"}"#,
      #"{"at":1.5,"client":"10.50.0.2:5683","gone":"evicted","virtual_server":"coap"}"#,
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
      #"{"at":9,"real_server":"10.70.1.2","state":7,"virtual_server":"coap","weight":null}"#,
    ])
  func malformed(_ line: String) {
    let text = Self.written[0].line + "\n" + line + "\n"
    #expect(throws: AssociationChangeReader.Malformed(line: 2)) {
      try AssociationChangeReader.read(Array(text.utf8))
    }
  }

  @Test("a stream's reader passes over the members that it does not know")
  func newerMembers() {
    let forms = [
      #"{"a":[1,{"b":-2.5}],"#, #"{"aa":"text","#, #"{"aa":null,"ab":false,"#,
    ]
    for (change, line) in Self.written {
      for form in forms {
        let newer = Array((form + line.dropFirst()).utf8)
        var lenient = AssociationChangeReader(unknownMembers: .ignored)
        #expect(lenient.read(line: newer[...]) == .change(change))
        var strict = AssociationChangeReader(unknownMembers: .refused)
        #expect(strict.read(line: newer[...]) == nil)
      }
    }
  }

  @Test(
    "a stream has cursors, too",
    arguments: [
      (
        #"{"cursor":"5.17","reset":true}"#,
        .cursor(ChangeCursor(generation: 5, sequence: 17), isReset: true)
      ),
      (
        #"{"cursor":"5.0"}"#,
        .cursor(ChangeCursor(generation: 5, sequence: 0), isReset: false)
      ),
      (
        #" { "reset" : false , "cursor" : "5\u002e17", "newer" : {} } "#,
        .cursor(ChangeCursor(generation: 5, sequence: 17), isReset: false)
      ),
      ("{}", nil), ("", nil), ("[]", nil), (#"{"cursor":5}"#, nil), (#"{"cursor":"5"}"#, nil),
      (#"{"cursor":"5.17"}x"#, nil), (#"{"cursor":"5.17","reset":1}"#, nil),
      (#"{"reset":true}"#, nil), (#"{"cursor":"5"#, nil), (#"{"cursor":"5\"#, nil),
      (#"{"cursor"}"#, nil), ("{\"cursor\":\"\n\"}", nil),
      (#"{"at":7,"client":"10.50.0.2:5683","gone":"lost","virtual_server":"coap"}"#, nil),
      (#"{"at":9,"real_server":"10.70.1.2","state":"up","virtual_server":"coap"}"#, nil),
    ] as [(String, AssociationChangeReader.Line?)])
  func cursorLines(_ text: String, _ line: AssociationChangeReader.Line?) {
    var reader = AssociationChangeReader(unknownMembers: .ignored)
    #expect(reader.read(line: Array(text.utf8)[...]) == line)
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
