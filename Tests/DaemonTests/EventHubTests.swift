// Who listens hears what it asked for, in order, and holds nobody up.
import Control
import Foundation
import JSONCoding
import LoadBalancing
import Synchronization
import TestSupport
import Testing

@testable import ulb

@Suite struct EventHubTests {
  private let hub = EventHub()

  private static func record(
    _ event: Event = .ingressNewNAT, from client: String = "10.50.0.2", port: UInt16 = 5683
  ) -> EventRecord {
    let (source, destination) = (IPAddress(client)!, IPAddress("10.60.0.1")!)
    return EventRecord(
      event: event, virtualServer: "10.60.0.1", sourceMAC: [0, 1, 2, 3, 4, 5],
      destinationMAC: [6, 7, 8, 9, 10, 11], source: source, destination: destination,
      sourcePort: port, destinationPort: 5683, newSourceMAC: [6, 7, 8, 9, 10, 11],
      newDestinationMAC: [0, 1, 2, 3, 4, 5], newSource: source,
      newDestination: IPAddress("10.70.1.2")!)
  }

  private func ports(_ batch: EventListener.Batch?) -> [UInt16] {
    (batch?.happenings ?? []).map {
      if case .packet(let record, _) = $0 { record.sourcePort } else { 0 }
    }
  }

  @Test func nobodyIsToldWhereNobodyListens() throws {
    #expect(!hub.isHeard)
    let listener = try hub.listen(EventFilter()) {}
    #expect(hub.isHeard)
    listener.end()
    #expect(!hub.isHeard)
  }

  @Test func whatHappensIsHeardInItsOrder() async throws {
    let listener = try hub.listen(EventFilter()) {}
    for port in 1...3 { hub.tell(Self.record(port: UInt16(port)), isLogged: true) }
    #expect(ports(await listener.next()) == [1, 2, 3])
    // Who waits is woken.
    async let later = listener.next()
    while !listener.isAwaited { await Task.yield() }
    hub.tell(Self.record(port: 4), isLogged: true)
    #expect(ports(await later) == [4])
  }

  @Test func aSlowListenerLosesTheOldestAndIsTold() async throws {
    let listener = try hub.listen(EventFilter()) {}
    let count = EventHub.longestQueue + 10
    for port in 1...count { hub.tell(Self.record(port: UInt16(port)), isLogged: true) }
    let batch = await listener.next()
    #expect(batch?.lost == 10)
    #expect(ports(batch) == (11...count).map { UInt16($0) })
    hub.tell(Self.record(port: 7), isLogged: true)
    let next = await listener.next()
    #expect(next?.lost == 0)
    #expect(ports(next) == [7])
  }

  @Test func aFilterLetsThroughWhatItNames() throws {
    let log = EventFilter()
    var client = EventFilter()
    client.clients = [Client("10.50.0.2:5683")!]
    var network = EventFilter()
    network.networks = [IPNetwork("10.50.0.0/16")!]
    var event = EventFilter()
    event.events = [.egressReusedNAT]

    let own = Self.record()
    #expect(log.wants(own, isLogged: true))
    #expect(!log.wants(own, isLogged: false))
    #expect(client.wants(own, isLogged: false))
    #expect(!client.wants(Self.record(port: 5684), isLogged: true))
    #expect(network.wants(own, isLogged: true))
    #expect(!network.wants(Self.record(from: "10.51.0.2"), isLogged: true))
    #expect(!event.wants(own, isLogged: true))
    #expect(event.wants(Self.record(.egressReusedNAT), isLogged: true))
    // Of what goes to a client, the client is the destination.
    #expect(!client.wants(Self.record(.egressReusedNAT), isLogged: true))
    // What has no address is nobody's.
    #expect(!network.wants(Self.record(.notIPv4), isLogged: true))
    #expect(
      [log.wantsLog, client.wantsLog, network.wantsLog, event.wantsLog]
        == [true, false, false, false])
  }

  @Test func thereIsAMostOfListeners() throws {
    var all = try (0..<EventHub.mostListeners).map { _ in try hub.listen(EventFilter()) {} }
    #expect(throws: Problem.self) { try hub.listen(EventFilter()) {} }
    all.removeLast().end()
    _ = try hub.listen(EventFilter()) {}
  }

  @Test func anEndIsToldOnceHoweverItComes() async throws {
    let count = Count()
    let cancelled = try hub.listen(EventFilter()) { count.add() }
    let task = Task { await cancelled.next() }
    while !cancelled.isAwaited { await Task.yield() }
    task.cancel()
    #expect(await task.value == nil)
    cancelled.end()
    #expect(count.value == 1)

    // An answer that nobody reads.
    _ = EventStream(try hub.listen(EventFilter()) { count.add() })
    #expect(count.value == 2)

    let open = try hub.listen(EventFilter()) { count.add() }
    hub.close()
    #expect(await open.next() == nil)
    #expect(count.value == 3)
    #expect(throws: Problem.self) { try hub.listen(EventFilter()) {} }
    #expect(!hub.isHeard)
  }

  /// Its heart does not hold it.
  @Test func aHubThatNobodyHoldsGoes() async throws {
    var hub: EventHub? = EventHub(heartbeat: .milliseconds(1))
    let listener = try #require(try hub?.listen(EventFilter()) {})
    let sign = await listener.next()
    #expect(sign?.happenings.isEmpty == true)
    weak let held = hub
    hub = nil
    #expect(waitUntil { held == nil })
  }

  @Test func theTextIsThatOfServerSentEvents() async throws {
    let listener = try hub.listen(EventFilter()) {}
    hub.tell(Self.record(), isLogged: true)
    hub.tell(LogReport(time: "now", level: "INFO", message: "hello", virtualServer: nil))
    var text = ""
    for await piece in EventStream(listener) {
      text += String(decoding: piece, as: UTF8.self)
      if text.contains("hello") { break }
    }
    let events = text.components(separatedBy: "\n\n").dropLast()
    #expect(events.count == 3)
    #expect(events.first == "event: ready\ndata: {}")
    #expect(
      events.last == #"""
        event: log
        data: {"level":"INFO","message":"hello","time":"now"}
        """#)
    let packet = try #require(events.dropFirst().first?.split(separator: "\n"))
    #expect(packet.count == 2)
    #expect(packet[0] == "event: packet")
    let report = try JSON.decode(PacketReport.self, from: packet[1].dropFirst("data: ".count).utf8)
    #expect(report.event == "INGRESS_NEW_NAT")
    #expect(report.newDestination == "10.70.1.2")
    #expect(report.sourceMAC == "00:01:02:03:04:05")
    #expect(report.text.contains("\n"))
  }
}

extension EventFilter {
  fileprivate func wants(_ record: EventRecord, isLogged: Bool) -> Bool {
    wants(record.event, ofClientAt: record.clientEnds, isLogged: isLogged)
  }
}

/// A number that several threads add to.
private final class Count: Sendable {
  private let number = Atomic(0)
  var value: Int { number.load(ordering: .sequentiallyConsistent) }
  func add() { number.add(1, ordering: .sequentiallyConsistent) }
}
