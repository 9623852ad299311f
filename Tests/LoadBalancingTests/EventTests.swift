// Events, their lines in ulb.py's form, and JSON.

import Foundation
import Testing

@testable import LoadBalancing

@Suite struct EventTests {
  static func record(_ event: Event, _ family: AddressFamily = .ipv4) throws -> EventRecord {
    let addresses =
      family == .ipv4
      ? ["10.188.7.5", "10.40.0.1", "10.40.0.2"]
      : ["2001:db8::5", "2001:db8::1", "2001:db8::2"]
    let client = try #require(IPAddress(addresses[0]))
    let virtual = try #require(IPAddress(addresses[1]))
    let real = try #require(IPAddress(addresses[2]))
    let (gateway, director): ([UInt8], [UInt8]) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0xAB, 0, 0xFF])
    let isEgress = event.direction == .egress
    return EventRecord(
      event: event, sourceMAC: gateway, destinationMAC: director,
      source: isEgress ? real : client, destination: isEgress ? client : virtual,
      sourcePort: isEgress ? 5683 : 40000, destinationPort: isEgress ? 40000 : 5683,
      newSourceMAC: director, newDestinationMAC: gateway,
      newSource: isEgress ? virtual : client, newDestination: isEgress ? client : real)
  }

  @Test func codesAreThoseOfTheTable() {
    #expect(Event.allCases.map { $0.rawValue } == Array(1...25))
    #expect(
      Event.allCases.map { "\($0.name) \($0.level.name)" } == [
        "INVALID_ETH_SIZE WARNING", "NOT_IP_V4 TRACE", "NOT_IP_V6 TRACE",
        "INVALID_IP_SIZE WARNING", "TOO_SMALL_IP_HEADER WARNING", "NOT_UDP TRACE",
        "TOO_BIG_IP_HEADER INFO", "FRAGMENTED_IP_PACKET INFO", "LIFETIME_EXPIRED WARNING",
        "INVALID_UDP_SIZE WARNING", "NO_VIRTUAL_SERVER ERROR", "INGRESS_NOT_HANDLED_PORT TRACE",
        "INVALID_CLIENT WARNING", "INGRESS_CANNOT_CREATE_ASSO ERROR", "INGRESS_NEW_NAT DEBUG",
        "INGRESS_REUSED_NAT DEBUG", "EGRESS_NOT_HANDLED_PORT TRACE",
        "EGRESS_CANNOT_CREATE_ASSO ERROR", "EGRESS_NEW_NAT DEBUG", "EGRESS_REUSED_NAT DEBUG",
        "EGRESS_NOT_AUTHORIZED INFO",
        "UNHANDLED_TRAFFIC TRACE", "INGRESS_DENIED INFO", "EGRESS_DENIED INFO",
        "EGRESS_UNVERIFIED WARNING",
      ])
  }

  @Test func directionAndKindFollowTheName() {
    for event in Event.allCases {
      #expect((event.direction == .ingress) == event.name.hasPrefix("INGRESS_"))
      #expect((event.direction == .egress) == event.name.hasPrefix("EGRESS_"))
      #expect((event.kind == .translated) == event.name.hasSuffix("_NAT"))
    }
    #expect(
      Event.allCases.filter { $0.kind == .withoutAddresses }
        == [.invalidEthernetSize, .notIPv4, .notIPv6])
  }

  @Test func levelsAreInPythonsOrder() {
    #expect(LogLevel.allCases.map { $0.rawValue } == [50, 40, 30, 20, 10, 5])
    #expect(LogLevel.trace < .debug && LogLevel.error < .critical)
    for level in LogLevel.allCases { #expect(LogLevel(name: level.name) == level) }
    #expect(LogLevel(name: "debug") == nil)
  }

  // The lines were written out by hand: 33 columns for "02:00:00:00:00:01/10.188.7.5" (28).
  @Test(arguments: [
    (
      Event.ingressNewNAT,
      "     02:00:00:00:00:01/10.188.7.5 ─┐  02:00:00:ab:00:ff/10.40.0.1       Destination NAT\n"
        + "                                   └> 02:00:00:00:00:01/10.40.0.2       (NEW ASSOCIATION)"
    ),
    (
      .ingressReusedNAT,
      "     02:00:00:00:00:01/10.188.7.5 ─┐  02:00:00:ab:00:ff/10.40.0.1       Destination NAT\n"
        + "                                   └> 02:00:00:00:00:01/10.40.0.2       (REUSED ASSOCIATION)"
    ),
    (
      .egressNewNAT,
      "                                    ┌ 02:00:00:00:00:01/10.40.0.2       Source NAT\n"
        + "     02:00:00:00:00:01/10.188.7.5 <─┘ 02:00:00:ab:00:ff/10.40.0.1       (NEW ASSOCIATION)"
    ),
    (
      .egressReusedNAT,
      "                                    ┌ 02:00:00:00:00:01/10.40.0.2       Source NAT\n"
        + "     02:00:00:00:00:01/10.188.7.5 <─┘ 02:00:00:ab:00:ff/10.40.0.1       (REUSED ASSOCIATION)"
    ),
    (
      .ingressNotHandledPort,
      "     02:00:00:00:00:01/10.188.7.5 ──> 02:00:00:ab:00:ff/10.40.0.1       Unhandled port"
    ),
    (
      .egressNotAuthorized,
      "     02:00:00:ab:00:ff/10.188.7.5 <── 02:00:00:00:00:01/10.40.0.2       "
        + "Not associated real server"
    ),
    (
      .notUDP,
      "     02:00:00:00:00:01/10.188.7.5 <─> 02:00:00:ab:00:ff/10.40.0.1       Not UDP packet"
    ),
    (
      .notIPv4,
      "                                  <->                                   Not IPv4 packet"
    ),
  ])
  func aLineOfIPv4IsThatOfTheOriginal(_ event: Event, _ line: String) throws {
    #expect(try Self.record(event).line == line)
  }

  @Test(arguments: [
    (
      Event.ingressNewNAT,
      "                            02:00:00:00:00:01/2001:db8::5 ─┐  "
        + "02:00:00:ab:00:ff/2001:db8::1                             Destination NAT\n"
        + "                                                           └> "
        + "02:00:00:00:00:01/2001:db8::2                             (NEW ASSOCIATION)"
    ),
    (
      .egressReusedNAT,
      "                                                            ┌ "
        + "02:00:00:00:00:01/2001:db8::2                             Source NAT\n"
        + "                            02:00:00:00:00:01/2001:db8::5 <─┘ "
        + "02:00:00:ab:00:ff/2001:db8::1                             (REUSED ASSOCIATION)"
    ),
    (
      .unhandledTraffic,
      "                            02:00:00:00:00:01/2001:db8::5 <─> "
        + "02:00:00:ab:00:ff/2001:db8::1                             Unhandled traffic"
    ),
    (
      .notIPv6,
      "                                                          <-> "
        + "                                                          Not IPv6 packet"
    ),
  ])
  func aLineOfIPv6IsThatOfTheOriginal(_ event: Event, _ line: String) throws {
    #expect(try Self.record(event, .ipv6).line == line)
  }

  @Test func everyLineSaysItsText() throws {
    for event in Event.allCases {
      for family in AddressFamily.allCases {
        #expect(try Self.record(event, family).line.contains(event.text))
      }
    }
  }

  @Test func aTranslationInJSONHasBothAddresses() throws {
    let json = try Self.record(.ingressNewNAT).json(
      time: Timestamp(seconds: 1_700_000_000, nanoseconds: 7_999_999))
    #expect(
      json == """
        {"destination":"10.40.0.1","destination_mac":"02:00:00:ab:00:ff",\
        "destination_port":5683,"event":"INGRESS_NEW_NAT","level":"DEBUG",\
        "message":"Destination NAT (NEW ASSOCIATION)","new_destination":"10.40.0.2",\
        "new_source":"10.188.7.5","source":"10.188.7.5","source_mac":"02:00:00:00:00:01",\
        "source_port":40000,"time":"2023-11-14T22:13:20.007Z"}
        """)
  }

  /// Where it is known, whatever the event; ulb.py's lines have no place for it.
  @Test func theVirtualServerIsAFieldInJSONAndNotInALine() throws {
    for event in Event.allCases {
      for name in [nil, "10.40.0.1", "lwm2m-v6", "\"\\/ü"] {
        var record = try Self.record(event)
        let line = record.line
        record.virtualServer = name
        let json = record.json(time: Timestamp(seconds: 0))
        let object = try #require(
          try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        #expect(object["virtual_server"] as? String == name)
        #expect(object.keys.contains("virtual_server") == (name != nil))
        #expect(record.line == line)
      }
    }
  }

  @Test func anEventInJSONIsOneObjectOnOneLine() throws {
    for event in Event.allCases {
      var record = try Self.record(event)
      record.sourcePort = 0
      let json = record.json(time: Timestamp(seconds: 0))
      #expect(!json.contains("\n"))
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
      #expect(object["event"] as? String == event.name)
      #expect(object["level"] as? String == event.level.name)
      #expect(object["time"] as? String == "1970-01-01T00:00:00.000Z")
      #expect((object["source"] != nil) == (event.kind != .withoutAddresses))
      #expect((object["new_source"] != nil) == (event.kind == .translated))
      #expect(object["source_port"] == nil)
    }
  }
}

@Suite struct LogLineTests {
  @Test func aMessageIsOneObjectOnOneLine() {
    #expect(
      LogLine.json(
        time: Timestamp(seconds: 86399, nanoseconds: 999_999_999), level: .info, message: "a\n/b")
        == #"{"level":"INFO","message":"a\n/b","time":"1970-01-01T23:59:59.999Z"}"#)
  }

  @Test func aMessageAboutAVirtualServerNamesIt() {
    #expect(
      LogLine.json(
        time: Timestamp(seconds: 0), level: .info, message: "a", virtualServer: "lwm2m \"v6\"")
        == #"{"level":"INFO","message":"a","time":"1970-01-01T00:00:00.000Z","#
        + #""virtual_server":"lwm2m \"v6\""}"#)
  }

  @Test func anyTextReadsBackAsItWas() throws {
    let text = String(String.UnicodeScalarView((0..<0x3000).compactMap { Unicode.Scalar($0) }))
    let line = LogLine.json(time: Timestamp(seconds: 0), level: .info, message: text)
    #expect(!line.utf8.contains { $0 < 0x20 })
    let object = try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
    #expect(object["message"] == text)
  }

  @Test(arguments: [
    (951_782_400, "2000-02-29T00:00:00.000Z"), (951_868_800, "2000-03-01T00:00:00.000Z"),
    (1_735_689_599, "2024-12-31T23:59:59.000Z"), (4_107_542_400, "2100-03-01T00:00:00.000Z"),
    (-1, "1969-12-31T23:59:59.000Z"), (-62_135_596_800, "0001-01-01T00:00:00.000Z"),
  ])
  func aTimeIsWrittenAsRFC3339(_ seconds: Int64, _ text: String) {
    #expect(Timestamp(seconds: seconds).description == text)
  }
}
