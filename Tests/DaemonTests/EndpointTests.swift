// The resources of the control socket are those that its description tells of.
import Control
import Foundation
import HTTP
import JSONCoding
import Testing

@testable import ulb

@Suite struct EndpointTests {
  private struct Operation: Decodable {
    struct Parameter: Decodable, Hashable {
      let name: String
      let `in`: String
    }
    let parameters: [Parameter]?
    let responses: [String: Anything]
  }
  private struct Anything: Decodable { init(from decoder: any Decoder) {} }
  private struct Document: Decodable { let paths: [String: [String: Operation]] }

  private let document: Document
  private let api: ControlAPI

  init() throws {
    document = try JSON.decode(Document.self, from: OpenAPI.document)
    api = try ControlAPI()
  }

  private func ask(
    _ method: String, _ target: String, headers: [(name: String, value: String)] = [],
    body: String = ""
  ) async throws -> (HTTPResponse, Problem?) {
    let request = try #require(
      HTTPRequest(method: method, target: target, headers: headers, body: Array(body.utf8)))
    let response = await api.respond(to: request)
    guard case .bytes(let bytes) = response.body else { return (response, nil) }
    return (response, try? JSON.decode(Problem.self, from: bytes))
  }

  @Test func eachIsDescribedWithItsQuery() {
    var described = Set<String>()
    for (path, operations) in document.paths {
      for (method, operation) in operations {
        let query = (operation.parameters ?? []).filter { $0.in == "query" }.map(\.name).sorted()
        described.insert("\(method.uppercased()) \(path) \(query)")
        let places = path.split(separator: "/").filter { $0.hasPrefix("{") }
          .map { String($0.dropFirst().dropLast()) }
        #expect((operation.parameters ?? []).filter { $0.in == "path" }.map(\.name) == places)
      }
    }
    let present = Set(
      ControlAPI.endpoints.map { "\($0.method) \($0.path) \($0.query.sorted())" })
    #expect(described == present)
  }

  @Test func theDescriptionIsServed() async throws {
    let (response, _) = try await ask("GET", "/openapi.json")
    #expect(response.status == 200)
    guard case .bytes(let bytes) = response.body else {
      Issue.record("no bytes")
      return
    }
    #expect(bytes == OpenAPI.document)
  }

  @Test func aPathThatIsNotThereIsSaid() async throws {
    for target in ["/", "/v1", "/v1/status/", "/v2/status", "/v1/virtual-servers/a/b/c/d"] {
      let (response, problem) = try await ask("GET", target)
      #expect(response.status == 404)
      #expect(problem?.status == 404)
      #expect(problem?.detail.contains("/openapi.json") == true)
    }
  }

  @Test func anotherMethodIsToldWhichThereAre() async throws {
    for (method, target, allowed) in [
      ("DELETE", "/v1/status", "GET, HEAD"), ("GET", "/v1/reload", "POST"),
      ("get", "/v1/status", "GET, HEAD"),
      ("PUT", "/v1/virtual-servers/a/real-servers/b", "GET, PATCH, HEAD"),
      ("PUT", "/v1/associations/changes", "GET, HEAD"),
      ("PUT", "/v1/associations", "GET, DELETE, POST, HEAD"),
    ] {
      let (response, problem) = try await ask(method, target)
      #expect(response.status == 405)
      #expect(problem?.status == 405)
      #expect(response.headers.first { $0.0 == "Allow" }?.1 == allowed)
    }
  }

  @Test func anUnknownParameterIsRefused() async throws {
    let (_, problem) = try await ask("GET", "/v1/events?evnt=NOT_UDP")
    #expect(problem?.status == 400)
    #expect(
      problem?.detail == "the query's evnt= is unknown to /v1/events; use client, network, event")
    #expect(try await ask("GET", "/v1/status?verbose").1?.status == 400)
  }

  @Test func aWrongParameterIsToldWhatIsExpected() async throws {
    for (query, part) in [
      ("network=10.50.0.1/16", "network=10.50.0.1/16 in the query: expected a network as in"),
      ("event=NOTHING", "expected an event as in INGRESS_NEW_NAT"),
      ("network=%0a%1b", "network=?? in the query"),
    ] {
      let problem = try await ask("GET", "/v1/events?\(query)").1
      #expect(problem?.status == 400)
      #expect(problem?.detail.contains(part) == true, "\(problem?.detail ?? "")")
    }
  }

  @Test func whatIsNoChangeIsToldItsLine() async throws {
    let good =
      #"{"at":1,"client":"10.50.0.9:1","gone":"forgotten","virtual_server":"a"}"# + "\n"
    for (body, status, part) in [
      (good + "\n" + good, 400, "line 2 of the body is no change"),
      (good, 503, "the daemon is starting"),
    ] {
      let problem = try await ask(
        "POST", "/v1/associations", headers: [("Content-Type", "application/jsonl")], body: body
      ).1
      #expect(problem?.status == status)
      #expect(problem?.detail.contains(part) == true, "\(problem?.detail ?? "")")
    }
    let problem = try await ask("GET", "/v1/associations/changes?since=12").1
    #expect(
      problem?.detail
        == "since=12 in the query: expected a cursor as a line before has told it")
  }

  @Test func whatIsNotToBeHadIsRefused() async throws {
    for (accept, status) in [
      ("application/json", 200), ("*/*", 200), ("application/*;q=0.1", 200),
      ("text/html, */*;q=0.5", 200), ("", 200), ("APPLICATION/JSON", 200), ("text/html", 406),
      ("application/json;q=0", 406), ("application/json;q=0, */*", 406), ("application/jsonx", 406),
    ] {
      let (response, _) = try await ask(
        "GET", "/openapi.json", headers: [("Accept", accept)])
      #expect(response.status == status, "\(accept)")
    }
  }

  @Test func beforeTheStartIsOverItSaysSo() async throws {
    for (method, target) in [
      ("GET", "/v1/status"), ("HEAD", "/metrics"), ("GET", "/v1/events"), ("POST", "/v1/reload"),
      ("PATCH", "/v1/virtual-servers/a/real-servers/b"),
    ] {
      let (response, problem) = try await ask(method, target)
      #expect(response.status == 503)
      #expect(problem?.detail == "the daemon is starting; ask again in a second")
    }
  }
}
