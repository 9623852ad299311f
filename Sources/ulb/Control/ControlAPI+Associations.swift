// Who is on which real server: looked up, listed, counted; forgotten, and sent elsewhere.
import Control
import DataPlane
import HTTP
import LoadBalancing

extension ControlAPI {
  /// The names of what associations are filtered by.
  private static let filters = ["network", "virtual_server", "real_server", "class"]

  static let associations: [Endpoint] = [
    Endpoint(
      "GET", "/v1/associations",
      query: ["client"] + filters + ["order", "limit", "cursor", "count"]
    ) { api, request in
      switch try request.preferred(
        ["application/json"] + ControlAPI.lineTypes)
      {
      case "application/json": .json(try api.page(request))
      case let type: try api.lines(request, type)
      }
    },
    Endpoint("DELETE", "/v1/associations", query: filters) { api, request in
      _ = try request.preferred(["application/json"])
      try request.expectNoBody()
      guard !request.http.query.isEmpty else {
        throw Problem.badRequest(
          "no filter says whose associations are to be forgotten; "
            + "use \(filters.joined(separator: ", "))")
      }
      let filter = try request.associationFilter(in: try api.snapshot())
      let count = try await api.mailbox.begin { daemon, reply in
        daemon.forget(filter) { reply.resume($0) }
      }
      return .json(Forgotten(forgotten: count))
    },
    Endpoint("GET", "/v1/associations/{client}") { api, request in
      _ = try request.preferred(["application/json"])
      return .json(try api.associations(of: try request.client(), in: try api.snapshot()))
    },
    Endpoint("PUT", "/v1/associations/{client}") { api, request in
      _ = try request.preferred(["application/json"])
      let client = try request.client()
      let target = try request.json(
        AssociationTarget.self, members: ["real_server", "virtual_server"])
      guard let realServer = IPAddress(target.realServer) else {
        throw Problem.badRequest(
          "the body's member 'real_server' is '\(target.realServer.shortened().onOneLine)'; "
            + "use an address as in 10.70.1.2")
      }
      let daemon = try await api.onLoop { daemon in
        try daemon.lead(client, to: realServer, ofVirtualServer: target.virtualServer)
      }
      return .json(try api.associations(of: client, in: daemon))
    },
    Endpoint("DELETE", "/v1/associations/{client}", query: ["virtual_server"]) { api, request in
      _ = try request.preferred(["application/json"])
      try request.expectNoBody()
      let client = try request.client()
      let daemon = try api.snapshot()
      let name = try request.value("virtual_server")
      if let name { _ = try daemon.virtualServer(name) }
      let filter = AssociationFilter(client: client, virtualServer: name)
      let count = try await api.mailbox.begin { daemon, reply in
        daemon.forget(filter) { reply.resume($0) }
      }
      return .json(Forgotten(forgotten: count))
    },
  ]

  private func associations(
    of client: Client, in daemon: DaemonSnapshot
  ) throws(Problem) -> ClientAssociations {
    ClientAssociations(
      client: client.description,
      associations: daemon.associations.associations(of: client).map(AssociationEntry.init))
  }

  private func page(_ request: APIRequest) throws(Problem) -> AssociationPage {
    let daemon = try snapshot()
    let filter = try request.associationFilter(in: daemon)
    let order = try request.associationOrder()
    let isCounted =
      try request.value("count", "true or false", { ["true": true, "false": false][$0] }) ?? false
    let limit =
      try request.value("limit", "a number from 0 to \(Self.mostOnPage)") { text in
        Int(text).flatMap { (0...Self.mostOnPage).contains($0) ? $0 : nil }
      } ?? 100
    let cursor = try request.value(
      "cursor", "what the page before has as next", AssociationCursor.init)
    if let cursor, cursor.order != order {
      throw .badRequest("cursor= in the query is of a page in another order; begin without it")
    }
    let browser = daemon.associations
    let count = isCounted ? UInt64(browser.count(filter)) : nil
    // A page of none has no end to go on from.
    guard limit > 0 else { return AssociationPage(associations: [], next: nil, count: count) }
    let page = browser.page(filter, order: order, limit: limit, after: cursor)
    return AssociationPage(
      associations: page.associations.map(AssociationEntry.init), next: page.next?.description,
      count: count)
  }

  /// The most associations of a page.
  private static let mostOnPage = 1000

  /// All, a line each.
  private func lines(_ request: APIRequest, _ type: String) throws(Problem) -> HTTPResponse {
    let daemon = try snapshot()
    let filter = try request.associationFilter(in: daemon)
    let order = try request.associationOrder()
    for name in ["limit", "cursor", "count"] where !request.values(name).isEmpty {
      throw .badRequest(
        "\(name)= goes with pages (Accept: application/json); here all come at once")
    }
    let headers = [("Content-Type", type), ("Cache-Control", "no-store")]
    return HTTPResponse(
      status: 200, headers: headers,
      body: .stream(
        AssociationStream(browser: daemon.associations, filter: filter, order: order)))
  }
}

extension APIRequest {
  /// The client that the path names.
  fileprivate func client() throws(Problem) -> Client {
    guard let client = Client(parameters[0]) else {
      throw .badRequest(
        "'\(parameters[0].shortened().onOneLine)' in the path is no client; "
          + "use address and port as in 10.50.0.2:5683 or [fd50::2]:5683")
    }
    return client
  }

  fileprivate func associationFilter(
    in daemon: DaemonSnapshot
  ) throws(Problem) -> AssociationFilter {
    let known = AssociationClass.allCases.map(\.rawValue).joined(separator: ", ")
    let filter = AssociationFilter(
      client: try value("client", "a client as in 10.50.0.2:5683 or [fd50::2]:5683", Client.init),
      network: try value("network", "a network as in 10.50.0.0/16 or fd50::/64", IPNetwork.init),
      virtualServer: try value("virtual_server"),
      realServer: try value("real_server", "an address as in 10.70.1.2") { IPAddress($0) },
      clientClass: try value("class", known, ClientClass.init))
    if let name = filter.virtualServer { _ = try daemon.virtualServer(name) }
    return filter
  }

  fileprivate func associationOrder() throws(Problem) -> AssociationBrowser.Order {
    try value("order", "table or idle") { text in
      switch text {
      case "table": .table
      case "idle": .idle
      default: nil
      }
    } ?? .table
  }
}

extension AssociationEntry {
  init(_ association: ListedAssociation) {
    self.init(
      client: association.client.description, virtualServer: association.virtualServer,
      realServer: association.realServer.description,
      class: AssociationClass(association.clientClass),
      age: association.age,
      lastUsed: association.lastUse.map {
        TimeSpan(after: $0.after?.description, before: $0.before?.description)
      })
  }
}

extension AssociationClass {
  init(_ clientClass: ClientClass) {
    self =
      switch clientClass {
      case .newcomer: .newcomer
      case .answered: .answered
      case .resident: .resident
      }
  }
}

/// Associations as JSON lines, a piece when it is asked for.
private struct AssociationStream: AsyncSequence, Sendable {
  let browser: AssociationBrowser
  let filter: AssociationFilter
  let order: AssociationBrowser.Order

  struct Iterator: AsyncIteratorProtocol {
    fileprivate var lines: AssociationLines

    /// The fewest bytes of a piece, so that few of them are sent.
    private static let enough = 32 << 10

    mutating func next() async -> [UInt8]? {
      var text: [UInt8] = []
      while text.count < Self.enough, let piece = lines.next() {
        text += piece
        // Each piece takes milliseconds, and the threads are everybody's.
        await Task.yield()
        guard !Task.isCancelled else { return nil }
      }
      return text.isEmpty ? nil : text
    }
  }

  func makeAsyncIterator() -> Iterator { Iterator(lines: browser.lines(filter, order: order)) }
}
