// What the description says of a JSON object is what is written and read.
import Control
import Foundation
import JSONCoding
import Testing

@Suite struct OpenAPITests {
  private let schemas: [String: [String: Any]]

  init() throws {
    let document = try #require(
      JSONSerialization.jsonObject(with: Data(OpenAPI.document)) as? [String: Any])
    let components = try #require(document["components"] as? [String: Any])
    schemas = try #require(components["schemas"] as? [String: [String: Any]])
  }

  private func json(_ value: some Encodable) throws -> Any {
    try JSONSerialization.jsonObject(with: Data(JSON.encode(value)))
  }

  /// An object of each schema with all that it can have.
  private static var full: [String: any Encodable] {
    let reading = Metrics.Reading.example
    var status = reading.status
    status.mode = "native"
    status.virtualServers = [
      VirtualServerSummary(
        name: "a", address: "10.40.0.1", ports: [5683], scheduler: "maglev", up: 1, draining: 2,
        down: 3, clients: 4)
    ]
    status.followedClients = ["10.50.0.2:5683"]
    status.configuration.configFile = "/etc/ulb/eth0.servers"
    status.configuration.clientLists = ClientListsInForce(
      allowed: NetworkListInForce(file: "/a", networks: 1),
      denied: NetworkListInForce(file: "/b", networks: 2), isStrict: true)
    status.configuration.gateways = GatewayVerification(
      verifiedRealServers: 1, believedRealServers: 2,
      nextHops: [
        NextHopStatus(
          address: "10.60.0.1", hardwareAddress: "02:42:0a:3c:00:01", realServers: 1)
      ])
    status.reload = Reload(
      result: .refused, at: "2026-01-31T23:59:59Z", changes: ["a"], warnings: ["w"], reason: "b")
    status.stateFile = StateFileStatus(
      path: "/a", savedAt: "2026-01-31T23:59:59Z", ageSeconds: 1, failure: "c")
    status.health = Health(problems: ["d"])
    let time = "2026-01-31T23:59:59Z"
    let sync = SyncReport(
      director: "a", redis: .init(server: "b", state: .away, since: time, error: "c"),
      lagMilliseconds: 1, peers: [.init(director: "d", seen: time, lagMilliseconds: 2)], sent: 3,
      received: 4, resyncs: 5)
    status.sync = SyncStatus(report: sync, isStale: true)
    var packet = PacketReport(
      time: "2026-01-31T23:59:59Z", level: "DEBUG", event: "INGRESS_NEW_NAT", message: "a",
      virtualServer: "b", text: "c")
    (packet.source, packet.sourcePort, packet.sourceMAC) = ("a", 1, "b")
    (packet.destination, packet.destinationPort, packet.destinationMAC) = ("a", 1, "b")
    (packet.newSource, packet.newDestination) = ("a", "b")
    let entry = AssociationEntry(
      client: "10.50.0.2:5683", virtualServer: "a", realServer: "10.70.1.2", class: .newcomer,
      age: 1, lastUsed: TimeSpan(after: time, before: time))
    return [
      "Problem": Problem(status: 404, title: "Not Found", detail: "a"), "Status": status,
      "VirtualServerList": VirtualServerList(virtualServers: reading.virtualServers),
      "RealServerList": RealServerList(realServers: reading.virtualServers[0].realServers),
      "RealServerPatch": RealServerPatch(state: .set(.draining), weight: .set(3)),
      "Counters": reading.counters, "Reload": status.reload, "PacketReport": packet,
      "LogReport": LogReport(
        time: "2026-01-31T23:59:59Z", level: "INFO", message: "a", virtualServer: "b"),
      "LossReport": LossReport(count: 1),
      "AssociationPage": AssociationPage(associations: [entry], next: "4.0.1", count: 1),
      "ClientAssociations": ClientAssociations(client: "10.50.0.2:5683", associations: [entry]),
      "AssociationTarget": AssociationTarget(realServer: "10.70.1.2", virtualServer: "a"),
      "Forgotten": Forgotten(forgotten: 1), "SyncReport": sync,
      "TakenOverLines": TakenOverLines(
        associations: 1, forgotten: 2, known: 3, older: 4, overrides: 5, refused: 6),
    ]
  }

  @Test func whatIsWrittenIsAsDescribed() throws {
    var seen: [String: Set<String>] = [:]
    for (name, value) in Self.full {
      check(try json(value), against: ["$ref": "#/components/schemas/\(name)"], name, &seen)
    }
    // And nothing is described that is never written.
    for (name, schema) in schemas {
      guard let properties = schema["properties"] as? [String: Any] else { continue }
      #expect(seen[name] == Set(properties.keys), "\(name)")
    }
  }

  @Test func whatMayBeLeftOutIsNotRequired() throws {
    var seen: [String: Set<String>] = [:]
    var status = Metrics.Reading.example.status
    (status.mode, status.reload, status.stateFile) = (nil, nil, nil)
    status.configuration.configFile = nil
    status.configuration.clientLists = ClientListsInForce(
      allowed: nil, denied: nil, isStrict: false)
    status.configuration.gateways = GatewayVerification(
      verifiedRealServers: 0, believedRealServers: 2,
      nextHops: [NextHopStatus(address: "10.60.0.1", hardwareAddress: nil, realServers: 2)])
    let sync = SyncReport(
      director: "a",
      redis: .init(server: "b", state: .connecting, since: "2026-01-31T23:59:59Z", error: nil),
      lagMilliseconds: nil,
      peers: [.init(director: "d", seen: "2026-01-31T23:59:59Z", lagMilliseconds: nil)], sent: 0,
      received: 0, resyncs: 0)
    let least: [String: any Encodable] = [
      "SyncReport": sync, "SyncStatus": SyncStatus(report: sync, isStale: false),
      "TimeSpan": TimeSpan(after: nil, before: nil),
      "AssociationPage": AssociationPage(associations: [], next: nil),
      "AssociationTarget": AssociationTarget(realServer: "10.70.1.2"),
      "AssociationEntry": AssociationEntry(
        client: "10.50.0.2:5683", virtualServer: "a", realServer: "10.70.1.2", class: .newcomer,
        age: 1, lastUsed: nil),
      "Status": status, "RealServerPatch": RealServerPatch(),
      "StateFileStatus": StateFileStatus(path: "a", savedAt: nil, ageSeconds: nil, failure: nil),
      "Reload": Reload(result: .applied, at: "2026-01-31T23:59:59Z"),
      "PacketReport": PacketReport(
        time: "2026-01-31T23:59:59Z", level: "TRACE", event: "NOT_IP_V4", message: "a",
        virtualServer: nil, text: "c"),
      "LogReport": LogReport(
        time: "2026-01-31T23:59:59Z", level: "INFO", message: "a", virtualServer: nil),
    ]
    for (name, value) in least {
      check(try json(value), against: ["$ref": "#/components/schemas/\(name)"], name, &seen)
    }
  }

  @Test func nullIsWhatIsConfigured() throws {
    var seen: [String: Set<String>] = [:]
    check(
      try json(RealServerPatch(state: .asConfigured, weight: .asConfigured)),
      against: ["$ref": "#/components/schemas/RealServerPatch"], "RealServerPatch", &seen)
    #expect(seen["RealServerPatch"] == ["state", "weight"])
  }

  /// As far as the description goes: types, members, choices.
  ///
  /// - Parameter seen: gets the members that objects of each schema have.
  private func check(
    _ value: Any, against schema: [String: Any], _ place: String,
    _ seen: inout [String: Set<String>]
  ) {
    if let reference = schema["$ref"] as? String {
      let name = String(reference.split(separator: "/").last ?? "")
      guard let target = schemas[name] else {
        Issue.record("\(place): no schema \(name)")
        return
      }
      if let object = value as? [String: Any] { seen[name, default: []].formUnion(object.keys) }
      return check(value, against: target, place, &seen)
    }
    if let choices = schema["oneOf"] as? [[String: Any]] {
      let fitting = choices.first { ($0["type"] as? String == "null") == (value is NSNull) }
      return check(value, against: fitting ?? [:], place, &seen)
    }
    let types = (schema["type"] as? [String]) ?? [schema["type"] as? String ?? "none"]
    #expect(types.contains { isOf($0, value) }, "\(place): \(value) is no \(types)")
    if let choices = schema["enum"] as? [String] {
      #expect(choices.contains(value as? String ?? ""), "\(place): \(value)")
    }
    if let items = schema["items"] as? [String: Any], let array = value as? [Any] {
      for (index, item) in array.enumerated() {
        check(item, against: items, "\(place)[\(index)]", &seen)
      }
    }
    guard let object = value as? [String: Any] else { return }
    let properties = schema["properties"] as? [String: [String: Any]] ?? [:]
    #expect(Set(object.keys).isSubset(of: properties.keys), "\(place): \(object.keys)")
    let required = schema["required"] as? [String] ?? []
    #expect(Set(required).isSubset(of: object.keys), "\(place): \(required)")
    for (name, member) in object {
      if let property = properties[name] {
        check(member, against: property, "\(place).\(name)", &seen)
      }
    }
  }

  private func isOf(_ type: String, _ value: Any) -> Bool {
    switch type {
    case "object": value is [String: Any]
    case "array": value is [Any]
    case "string": value is String
    case "null": value is NSNull
    case "boolean", "integer", "number": value is NSNumber
    default: false
    }
  }
}
