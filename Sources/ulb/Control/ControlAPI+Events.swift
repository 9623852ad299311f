// Events as they come, for whoever listens.
import Control
import HTTP
import LoadBalancing

extension ControlAPI {
  static let listening: [Endpoint] = [
    Endpoint("GET", "/v1/events", query: ["network", "event"]) { api, request in
      let type = try request.preferred(["text/event-stream"])
      var filter = EventFilter()
      filter.networks = try request.values(
        "network", "a network as in 10.50.0.0/16 or fd50::/64", IPNetwork.init)
      filter.events = Set(
        try request.values("event", "an event as in INGRESS_NEW_NAT") { name in
          Event.allCases.first { $0.name == name }
        })
      _ = try api.snapshot()
      guard !request.isHead else { return .bytes([], type) }
      let listener = try api.hub.listen(filter) {}
      return HTTPResponse(
        status: 200, headers: [("Content-Type", type), ("Cache-Control", "no-store")],
        body: .stream(EventStream(listener)))
    }
  ]
}
