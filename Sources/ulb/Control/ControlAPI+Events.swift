// Events as they come, for whoever listens.
import Control
import DataPlane
import HTTP
import LoadBalancing

extension ControlAPI {
  static let listening: [Endpoint] = [
    Endpoint("GET", "/v1/events", query: ["client", "network", "event"]) { api, request in
      let type = try request.preferred(["text/event-stream"])
      let filter = try request.eventFilter()
      _ = try api.snapshot()
      guard !request.isHead else { return .bytes([], type) }
      let clients = filter.clients
      if !clients.isEmpty { try await api.onLoop { try $0.follow(clients) } }
      let leave = { @Sendable [mailbox = api.mailbox] in
        if !clients.isEmpty { mailbox.post { $0.leave(clients) } }
      }
      let listener: EventListener
      do throws(Problem) {
        listener = try api.hub.listen(filter, onEnd: leave)
      } catch {
        leave()
        throw error
      }
      return HTTPResponse(
        status: 200, headers: [("Content-Type", type), ("Cache-Control", "no-store")],
        body: .stream(EventStream(listener)))
    }
  ]
}

extension APIRequest {
  fileprivate func eventFilter() throws(Problem) -> EventFilter {
    var filter = EventFilter()
    let clients = try values(
      "client", "a client as in 10.50.0.2:5683 or [fd50::2]:5683", Client.init)
    filter.clients = Set(clients)
    guard clients.count <= DataPlane.mostFollowed else {
      throw .badRequest(
        "client= stands in the query \(clients.count) times; \(DataPlane.mostFollowed) is the most")
    }
    let networks = try values(
      "network", "a network as in 10.50.0.0/16 or fd50::/64", IPNetwork.init)
    filter.networks = Set(networks)
    guard networks.count <= EventFilter.mostNetworks else {
      throw .badRequest(
        "network= stands in the query \(networks.count) times; "
          + "\(EventFilter.mostNetworks) is the most")
    }
    filter.events = Set(
      try values("event", "an event as in INGRESS_NEW_NAT") { name in
        Event.allCases.first { $0.name == name }
      })
    return filter
  }
}
