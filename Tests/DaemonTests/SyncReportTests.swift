// What ulb-sync tells of itself: PUT /v1/sync, and for how long it counts.
import Control
import Foundation
import HTTP
import JSONCoding
import Testing

@testable import ulb

@Suite struct SyncReportTests {
  private let api: ControlAPI

  init() throws { api = try ControlAPI() }

  /// - Returns: the status, and what is wrong.
  private func put(_ body: String, type: String = "application/json") async throws
    -> (status: Int, detail: String)
  {
    let request = try #require(
      HTTPRequest(
        method: "PUT", target: "/v1/sync", headers: [("Content-Type", type)],
        body: Array(body.utf8)))
    let response = await api.respond(to: request)
    guard case .bytes(let bytes) = response.body else { return (response.status, "") }
    return (response.status, (try? JSON.decode(Problem.self, from: bytes))?.detail ?? "")
  }

  private static func body(
    director: String = "a", since: String = "2026-01-31T23:59:59.999Z", error: String = "null",
    lag: String = "1.5", peers: String = "[]", more: String = ""
  ) -> String {
    """
    {"director":"\(director)","redis":{"server":"10.0.0.9:6379","state":"connected","since":"\(since)",
    "error":\(error)},"lag_ms":\(lag),"peers":\(peers),"sent":7,"received":8,"resyncs":2\(more)}
    """
  }

  @Test func theLastReportIsKept() async throws {
    #expect(api.sync.status() == nil)
    let peers = #"[{"director":"b","seen":"2026-01-31T23:59:58Z","lag_ms":12}]"#
    #expect(try await put(Self.body(director: "x")).status == 204)
    #expect(try await put(Self.body(peers: peers)).status == 204)
    let status = try #require(api.sync.status())
    #expect(!status.isStale && status.report.director == "a" && status.report.sent == 7)
    #expect(status.report.peers.map(\.director) == ["b"] && status.report.lagMilliseconds == 1.5)
    // As GET /v1/status tells it: the report's members and one more.
    let text = String(decoding: try JSON.encode(status), as: UTF8.self)
    #expect(text.contains(#""stale":false"#) && text.contains(#""director":"a""#))
    #expect(try JSON.decode(SyncStatus.self, from: JSON.encode(status)) == status)
  }

  @Test func whatIsOldIsStaleAndThenForgotten() async throws {
    let last = LastSyncReport()
    let start = ContinuousClock.now
    let body = Array(Self.body(lag: "null").utf8)
    last.put(try JSON.decode(SyncReport.self, from: body), at: start)
    for (seconds, isStale) in [(0, false), (10, false), (11, true), (3599, true)] {
      #expect(last.status(at: start + .seconds(seconds))?.isStale == isStale, "\(seconds)")
    }
    #expect(last.status(at: start + .seconds(3600)) == nil)
  }

  @Test(arguments: [
    ("", "no JSON object"), ("[]", "no JSON object"), (#"{"director":"a"}"#, "'redis'"),
    (
      body().replacing(#""sent":7"#, with: #""sent":9007199254740992"#),
      "'sent' is 9007199254740992; 9007199254740991 is the most"
    ),
    (body(more: #","more":1"#), "'more' is unknown"),
    (body(director: #"a\nb"#), "'director' is no text of one line"),
    (body(director: String(repeating: "a", count: 256)), "'director' is no text of one line"),
    (body(error: #""a\tb""#), "'redis.error' is no text of one line"),
    (body(since: #"\u0000"#), "'redis.since' is no text of one line"),
    (body(lag: "-1"), "'lag_ms' is no time in milliseconds"), (body(lag: #""1""#), "'lag_ms'"),
    (
      body(peers: #"[{"director":"b","seen":"now","lag_ms":-1}]"#),
      "'peers.lag_ms' is no time in milliseconds"
    ),
    (
      body(
        peers: "["
          + Array(repeating: #"{"director":"b","seen":"now"}"#, count: 257).joined(separator: ",")
          + "]"), "256 is the most"
    ),
  ])
  func whatIsNoReportIsRefused(body: String, reason: String) async throws {
    let (status, detail) = try await put(body)
    #expect(status == 400 && detail.contains(reason), "\(status) \(detail)")
    #expect(api.sync.status() == nil)
  }

  @Test func anotherMediaTypeIsRefused() async throws {
    #expect(try await put(Self.body(), type: "text/plain").status == 415)
  }
}
