// The web gateway before daemons that a test makes up: what it shows of them, and what it refuses.
import Control
import Foundation
import HTTP
import JSONCoding
import StatusPage
import Synchronization
import TestSupport
import Testing

@testable import ulbctl

@Suite struct GatewayTests {
  @Test func thePageIsServed() async throws {
    try await withGateway([:]) { web in
      for path in ["/", "/page.css", "/page.js", "/icon.svg"] {
        let reply = try await web.send("GET", path)
        let file = try #require(StatusPage.file(at: path))
        #expect(reply.status == 200)
        #expect(reply.header("Content-Type") == file.mediaType)
        let body = try await reply.collect()
        #expect(body == file.bytes)
      }
    }
  }

  /// A browser gives the page nothing that is not its own, whatever the answer.
  @Test(arguments: ["/", "/metrics", "/api/daemons", "/nothing", "/api/eth9/v1/status"])
  func aBrowserIsToldToTrustNobody(path: String) async throws {
    try await withGateway([:]) { web in
      let reply = try await web.send("HEAD", path)
      #expect(reply.header("Content-Security-Policy")?.hasPrefix("default-src 'none';") == true)
      #expect(reply.header("X-Content-Type-Options") == "nosniff")
      #expect(reply.header("Referrer-Policy") == "no-referrer")
      #expect(reply.header("X-Frame-Options") == "DENY")
      #expect(reply.header("Access-Control-Allow-Origin") == nil)
    }
  }

  @Test func metricsOfAllDaemonsAreOneText() async throws {
    try await withGateway(["eth0": .good("eth0"), "eth1": .good("eth1"), "eth2": .gone]) { web in
      let reply = try await web.send("GET", "/metrics")
      #expect(reply.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
      let text = String(decoding: try await reply.collect(), as: UTF8.self)
      #expect(text.matches(of: /# TYPE ulb_packets_total counter/).count == 1)
      for line in [
        #"ulb_up{interface="eth0"} 1"#, #"ulb_up{interface="eth1"} 1"#,
        #"ulb_up{interface="eth2"} 0"#,
        #"ulb_packets_total{interface="eth1",event="INVALID_CLIENT",verdict="drop"} 1500"#,
      ] {
        #expect(text.contains(line + "\n"), "\(line)")
      }
      let open = try await web.send(
        "GET", "/metrics", headers: [("Accept", "application/openmetrics-text;version=1.0.0")])
      #expect(open.header("Content-Type")?.hasPrefix("application/openmetrics-text;") == true)
      #expect(String(decoding: try await open.collect(), as: UTF8.self).hasSuffix("# EOF\n"))
    }
  }

  @Test func daemonsAreListedWithWhatIsWrong() async throws {
    let daemons: [String: FakeDaemon] = [
      "eth0": .good("eth0"), "eth1": .gone, "eth2": .failing, "eth3": .other,
    ]
    try await withGateway(daemons) { web in
      let list = try await web.json(DaemonList.self, "/api/daemons").daemons
      #expect(list.map(\.interface) == ["eth0", "eth1", "eth2", "eth3"])
      #expect(list.map(\.up) == [true, false, false, false])
      #expect(list[0].error == nil)
      for (number, word) in [
        (1, "no daemon answers at"), (2, "with 500: the table is on fire"),
        (3, "of another version"),
      ] {
        #expect(list[number].error?.contains(word) == true, "\(list[number])")
        #expect(list[number].error?.contains("eth\(number)/control.sock") == true)
      }
    }
  }

  @Test func aSilentDaemonIsNotWaitedFor() async throws {
    try await withGateway(["eth0": .silent], patience: .milliseconds(50)) { web in
      let list = try await web.json(DaemonList.self, "/api/daemons").daemons
      #expect(list.map(\.up) == [false])
      #expect(list[0].error?.hasSuffix("eth0/control.sock does not answer") == true)
    }
  }

  @Test func whatIsReadIsRelayed() async throws {
    let asked = Asked()
    try await withGateway(["br-lan": .echo(asked)]) { web in
      let target = "/api/br-lan/v1/associations?client=%5Bfd50::2%5D:5683&network=10.0.0.0/8&x=%26"
      let reply = try await web.send("GET", target, headers: [("Accept", "application/jsonl")])
      #expect(reply.status == 418)
      #expect(reply.header("Content-Type") == "text/teapot")
      #expect(reply.header("X-Secret") == nil)
      #expect(String(decoding: try await reply.collect(), as: UTF8.self) == "short and stout")
      for path in [
        "openapi.json", "v1/status", "v1/counters", "v1/events?network=10.0.0.0/8",
        "v1/virtual-servers/a%2Fb/real-servers/10.0.0.1",
      ] {
        _ = try await web.send("GET", "/api/br-lan/" + path).collect()
      }
      #expect(
        asked.all == [
          "GET /v1/associations [client=[fd50::2]:5683][network=10.0.0.0/8][x=&] application/jsonl",
          "GET /openapi.json  ", "GET /v1/status  ", "GET /v1/counters  ",
          "GET /v1/events [network=10.0.0.0/8] ",
          "GET /v1/virtual-servers/a%2Fb/real-servers/10.0.0.1  ",
        ])
    }
  }

  static let refused: [(String, String, Int)] = [
    ("POST", "/api/br-lan/v1/reload", 405), ("PATCH", "/api/br-lan/v1/virtual-servers/a", 405),
    ("DELETE", "/api/br-lan/v1/associations?network=0.0.0.0/0", 405), ("PUT", "/", 405),
    ("OPTIONS", "/metrics", 405), ("GET", "/api/br-lan/v1/reload", 404),
    ("GET", "/api/br-lan/v1/status/../reload", 404), ("GET", "/api/br-lan/metrics", 404),
    ("GET", "/api/br-lan/v1/events?client=10.0.0.1:5683", 403),
    ("GET", "/api/br-lan/v1/%65vents?%63lient=10.0.0.1:5683", 403),
    ("GET", "/api/br-lan/v1/./events?client=10.0.0.1:5683", 404),
    ("GET", "/api/br-lan/v1/associations/changes", 404),
    ("GET", "/api/br-lan//v1/status", 404), ("GET", "/api/br-wan/v1/status", 404),
    ("GET", "/api", 404), ("GET", "/page.html", 404),
  ]

  /// Nothing that would change a daemon comes to it.
  @Test(arguments: refused)
  func whatIsNotReadingIsRefused(method: String, path: String, status: Int) async throws {
    let asked = Asked()
    try await withGateway(["br-lan": .echo(asked)]) { web in
      let reply = try await web.send(method, path)
      #expect(reply.status == status)
      #expect(reply.header("Content-Type") == Problem.mediaType)
      #expect((reply.header("Allow") != nil) == (status == 405))
      let problem = try JSON.decode(Problem.self, from: try await reply.collect())
      #expect(problem.status == status)
      #expect(asked.all == [])
    }
  }

  /// A page of another site, whose name leads here, is told nothing: not even which daemons there are.
  @Test(arguments: ["/", "/metrics", "/api/daemons", "/api/stream", "/api/eth0/v1/status"])
  func whoAsksByAnotherNameIsRefused(path: String) async throws {
    let asked = Asked()
    let machine = try FakeMachine(["eth0": .good("eth0", asked)])
    let gateway = Gateway(
      DaemonReader(machine.finder), names: HostNames([try #require(HostName(argument: "lb1"))]))
    let web = try await WebServer(gateway)
    let refused = try await web.send("GET", path, headers: [("Host", "Evil.example:9098")])
    #expect(refused.status == 421)
    #expect(refused.header("Content-Type") == "text/plain; charset=utf-8")
    #expect(
      String(decoding: try await refused.collect(), as: UTF8.self)
        == "this gateway is not known as evil.example: ask it by its address, or start it with "
        + "--host evil.example\n")
    #expect(asked.all == [])
    let answered = try await web.send("HEAD", path, headers: [("Host", "LB1:9098")])
    #expect(answered.status == 200)
    await web.stop()
    await machine.stop()
  }

  @Test func namesOfTheGateway() throws {
    let names = HostNames(try ["lb.example", "Web."].map { try #require(HostName(argument: $0)) })
    for host in [
      nil, "localhost", "LOCALHOST:9098", "localhost.:80", "127.0.0.1", "10.0.0.1:9098", "[::1]",
      "[fd00::1]:9098", "lb.example", "LB.Example:443", "lb.example.", "web",
    ] {
      #expect(names.refusal(ofHost: host) == nil, "\(host ?? "none")")
    }
    for host in [
      "evil.example", "evil.example:9098", "lb.example.evil", "x.lb.example", "example",
      "localhost.evil", "127.0.0.1.evil", "127.1", "0x7f.1", "2130706433", "127.0.0.1:80:80",
    ] {
      #expect(names.refusal(ofHost: host) != nil, "\(host)")
    }
    // What is no name is not handed back: somebody may paste it.
    for host in [
      "", ":9098", "::1", "[::1", "[evil.example]", "[]", "a b", "$(reboot)", "-rf", "a..b",
      "b\u{FC}", "lb.example@evil", String(repeating: "a", count: 300),
    ] {
      #expect(
        names.refusal(ofHost: host) == "the request's Host is no name and no address", "\(host)")
    }
  }

  @Test func aDaemonThatDoesNotAnswerIsABadGateway() async throws {
    try await withGateway(["eth0": .gone, "eth1": .breaking]) { web in
      let reply = try await web.send("GET", "/api/eth0/v1/status")
      #expect(reply.status == 502)
      let problem = try JSON.decode(Problem.self, from: try await reply.collect())
      #expect(problem.detail.contains("eth0/control.sock"))
      // What breaks off does so for who asks as well: it is not taken for the whole.
      let broken = try await web.send("GET", "/api/eth1/v1/status")
      #expect(broken.status == 200)
      await #expect(throws: HTTPClientError.self) { try await broken.collect() }
    }
  }

  /// All who look share one reading each second; where nobody looks there is none.
  @Test func whoLooksSharesOneReading() async throws {
    let asked = Asked()
    let machine = try FakeMachine(["eth0": .good("eth0", asked), "eth1": .gone])
    let live = LiveStatus(DaemonReader(machine.finder), interval: .milliseconds(50))
    let message = try await withThrowingTaskGroup(of: [UInt8].self) { group in
      for _ in 0..<20 {
        group.addTask {
          var count = 0
          for await event in live {
            count += 1
            if count == 4 { return event }
          }
          throw TimedOut("four readings")
        }
      }
      let first = try await group.next()
      try await group.waitForAll()
      return try #require(first)
    }
    // With a reading for each of them there would be 20 × 4, of three questions each.
    #expect(asked.all.count < 120)
    let text = String(decoding: message, as: UTF8.self)
    #expect(text.hasPrefix("data: {") && text.hasSuffix("}\n\n"))
    #expect(text.dropLast(2).contains("\n") == false)
    let told = try JSON.decode(LiveMessage.self, from: text.dropFirst(6).utf8)
    #expect(told.daemons.map(\.up) == [true, false])
    #expect(told.daemons[0].status == Sample.status(of: "eth0"))
    #expect(told.daemons[0].virtualServers == Sample.virtualServers)
    #expect(told.daemons[0].counters == Sample.counters)
    #expect(told.daemons[1].error?.contains("eth1/control.sock") == true)
    // The reading that was under way when the last one left is over soon.
    #expect(try await settled { asked.all.count })
    await machine.stop()
  }

  /// What cannot be written is no reason to say nothing any more.
  @Test func aReadingThatCannotBeWrittenIsLeftOut() async throws {
    var status = Sample.status(of: "eth0")
    status.uptimeSeconds = .nan
    let bad = LiveMessage.Daemon(
      interface: "eth0", status: status, virtualServers: [], counters: Sample.counters)
    let messages = Mutex([
      LiveMessage(daemons: [bad]),
      LiveMessage(daemons: [LiveMessage.Daemon(interface: "eth0", error: "at last")]),
    ])
    let live = LiveStatus(interval: .milliseconds(1)) {
      messages.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
    }
    var events = live.makeAsyncIterator()
    let event = try #require(await events.next())
    #expect(String(decoding: event, as: UTF8.self).contains(#""error":"at last""#))
  }

  /// However many ask, the daemons are asked once at a time.
  @Test func whoAsksAtOnceSharesOneReading() async throws {
    let count = 50
    let asked = Asked()
    let crowd = Crowd(count)
    let machine = try FakeMachine(["eth0": .good("eth0", asked, after: crowd)])
    let gateway = Gateway(DaemonReader(machine.finder, patience: .seconds(60)))
    let web = try await WebServer(gateway) { crowd.arrive() }
    let texts = try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<count {
        group.addTask {
          String(decoding: try await web.send("GET", "/metrics").collect(), as: UTF8.self)
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(texts.allSatisfy { $0.contains("ulb_up{interface=\"eth0\"} 1\n") })
    // One holds until all have come. Who comes at its very end, one for each CPU, begins another.
    #expect(asked.all.filter { $0.contains("/v1/status") }.count < 10)
    await web.stop()
    await machine.stop()
  }

  @Test func theStreamGoesOverHTTP() async throws {
    try await withGateway(["eth0": .good("eth0")]) { web in
      let head = try await web.send("HEAD", "/api/stream")
      #expect(head.header("Content-Type") == "text/event-stream")
      let reply = try await web.send("GET", "/api/stream")
      var text = ""
      for try await piece in reply.body {
        text += String(decoding: piece, as: UTF8.self)
        if text.hasSuffix("\n\n") { break }
      }
      #expect(text.hasPrefix(#"data: {"daemons":[{"counters":{"#))
    }
  }

  /// A daemon whose socket is named is called by the interface that it tells of.
  @Test func aNamedSocketsDaemonIsCalledByItsInterface() async throws {
    let machine = try FakeMachine(["folder": .good("eth7")])
    let socket = machine.finder.directory + "/folder/control.sock"
    let gateway = Gateway(DaemonReader(sockets: [socket]))
    let web = try await WebServer(gateway)
    let reply = try await web.send("GET", "/api/eth7/v1/status")
    #expect(reply.status == 200)
    let list = try await web.json(DaemonList.self, "/api/daemons").daemons
    #expect(list.map(\.interface) == ["eth7"])
    await web.stop()
    await machine.stop()
  }

  @Test func theCommandServesUntilItIsStopped() async throws {
    let machine = try FakeMachine(["eth0": .good("eth0")])
    let socket = machine.finder.directory + "/eth0/control.sock"
    let command = try ChildProcess([
      Package.operatorCommand, "serve", "--listen", "[::1]:0", "--socket", socket,
      "--host", "lb1", "--host", "lb1.example",
    ])
    #expect(waitUntil { !command.standardError.isEmpty })
    let line = try #require(command.standardError.first)
    let port = try #require(
      line.firstMatch(of: /^ulbctl: serving http:\/\/\[::1\]:(\d+)\/$/)?.1, "\(line)")
    let client = HTTPClient(host: "::1", port: try #require(Int(port)))
    let text = String(
      decoding: try await client.send("GET", "/metrics").collect(), as: UTF8.self)
    #expect(text.contains("ulb_up{interface=\"eth0\"} 1\n"))
    for (host, status) in [("lb1", 200), ("lb1.example:80", 200), ("lb2", 421)] {
      let reply = try await client.send("GET", "/metrics", headers: [("Host", host)])
      #expect(reply.status == status, "\(host)")
    }

    let second = try ChildProcess([
      Package.operatorCommand, "serve", "--listen", "[::1]:\(port)",
    ])
    #expect(try second.waitForExit() == 1)
    #expect(
      second.standardError == [
        "ulbctl: error: cannot listen on [::1]:\(port): bind: Address already in use"
      ])
    kill(command.pid, SIGTERM)
    #expect(try command.waitForExit() == 0)
    await machine.stop()
  }

  @Test func addressesAreParsed() {
    #expect(ListenAddress(argument: "10.0.0.1:80") == ListenAddress(address: "10.0.0.1", port: 80))
    #expect(ListenAddress(argument: "[::]:9098") == ListenAddress(address: "::", port: 9098))
    #expect(ListenAddress(argument: "[::]:9098")?.description == "[::]:9098")
    for text in ["", ":80", "10.0.0.1", "::1:80", "10.0.0.1:", "10.0.0.1:70000", "[]:80"] {
      #expect(ListenAddress(argument: text) == nil, "\(text)")
    }
  }
}

/// Whether a number stays as it is for a few readings' time.
private func settled(_ number: () -> Int) async throws -> Bool {
  for _ in 0..<20 {
    let before = number()
    try await Task.sleep(for: .milliseconds(200))
    if number() == before { return true }
  }
  return false
}

extension Sample {
  static func status(of interface: String) -> Status {
    var status = status()
    status.interface = interface
    return status
  }
}

/// What a daemon was asked for.
final class Asked: Sendable {
  private let texts = Mutex<[String]>([])

  var all: [String] { texts.withLock { $0 } }

  func add(_ request: HTTPRequest) {
    let query = request.query.map { "[\($0.name)=\($0.value)]" }.joined()
    texts.withLock {
      $0.append("\(request.method) \(request.path) \(query) \(request.header("Accept") ?? "")")
    }
  }
}

/// Some who come one by one, and others who wait for them all.
final class Crowd: Sendable {
  private struct State {
    var missing: Int
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state: Mutex<State>

  init(_ count: Int) { state = Mutex(State(missing: count)) }

  func arrive() {
    state.withLock { state in
      state.missing -= 1
      guard state.missing <= 0 else { return }
      for one in state.waiting { one.resume() }
      state.waiting = []
    }
  }

  /// Returns as soon as nobody is missing.
  func isComplete() async {
    await withCheckedContinuation { continuation in
      state.withLock { state in
        if state.missing <= 0 { continuation.resume() } else { state.waiting.append(continuation) }
      }
    }
  }
}

/// A control socket with somebody behind it.
enum FakeDaemon {
  /// - `after`: Answers nothing until these have all come.
  case good(String, Asked = Asked(), after: Crowd? = nil)
  /// Has died, and left its socket.
  case gone
  case failing
  /// Answers something else.
  case other
  /// Never answers.
  case silent
  /// Breaks off in the middle.
  case breaking
  case echo(Asked)

  fileprivate var handler: HTTPServer.Handler {
    switch self {
    case .good(let interface, let asked, let crowd):
      return { request in
        asked.add(request)
        await crowd?.isComplete()
        return switch request.path {
        case "/v1/status": .json(Sample.status(of: interface))
        case "/v1/virtual-servers": .json(VirtualServerList(virtualServers: Sample.virtualServers))
        case "/v1/counters": .json(Sample.counters)
        default: .problem(404, "there is no \(request.path)")
        }
      }
    case .failing:
      return { _ in .problem(500, "the table is on fire") }
    case .other: return { _ in .json(["some": "thing"]) }
    // Who is gone has no server.
    case .silent, .gone:
      return { _ in
        try? await Task.sleep(for: .seconds(600))
        return HTTPResponse(status: 500)
      }
    case .breaking:
      return { _ in
        HTTPResponse(
          status: 200,
          body: .throwingStream(
            AsyncThrowingStream { continuation in
              continuation.yield(Array("half of".utf8))
              continuation.finish(throwing: TimedOut("the rest"))
            }))
      }
    case .echo(let asked):
      return { request in
        asked.add(request)
        return HTTPResponse(
          status: 418, headers: [("Content-Type", "text/teapot"), ("X-Secret", "tea")],
          body: .bytes(Array("short and stout".utf8)))
      }
    }
  }
}

/// A machine with daemons, by folder.
final class FakeMachine: Sendable {
  let finder: DaemonFinder
  private let directory: TemporaryDirectory
  private let servers: [HTTPServer]

  init(_ daemons: [String: FakeDaemon]) throws {
    directory = try TemporaryDirectory()
    finder = DaemonFinder(directory: directory.path)
    var servers: [HTTPServer] = []
    for (name, daemon) in daemons {
      let path = directory.path(of: "\(name)/control.sock")
      if case .gone = daemon {
        try FileManager.default.createDirectory(
          atPath: directory.path(of: name), withIntermediateDirectories: true)
        try leaveSocket(path)
        continue
      }
      let server = HTTPServer(handler: daemon.handler)
      try server.start(on: .unix(path: path, mode: 0o600))
      servers.append(server)
    }
    self.servers = servers
  }

  func stop() async { for server in servers { await server.stop() } }
}

/// Makes a socket's file that nobody listens on.
private func leaveSocket(_ path: String) throws {
  let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(descriptor) }
  let status = try UnixAddress(path).call { bind(descriptor, $0, $1) }
  guard status == 0 else { throw SystemError("bind \(path)") }
}

/// The gateway as a browser sees it.
private final class WebServer: Sendable {
  private let server: HTTPServer
  private let client: HTTPClient

  /// - Parameter onRequest: Is done before a request is answered.
  init(_ gateway: Gateway, onRequest: @escaping @Sendable () -> Void = {}) async throws {
    server = HTTPServer {
      onRequest()
      return await gateway.answer($0)
    }
    try server.start(on: .tcp(address: "127.0.0.1", port: 0))
    client = HTTPClient(host: "127.0.0.1", port: Int(try #require(server.port)))
  }

  func send(
    _ method: String, _ target: String, headers: [(String, String)] = []
  ) async throws -> HTTPClientResponse {
    try await client.send(method, target, headers: headers)
  }

  func json<Answer: Decodable>(_ type: Answer.Type, _ target: String) async throws -> Answer {
    try JSON.decode(type, from: try await send("GET", target).collect())
  }

  func stop() async { await server.stop() }
}

/// Runs a test against a gateway of a machine with these daemons.
private func withGateway(
  _ daemons: [String: FakeDaemon], patience: Duration = .seconds(60),
  test: (WebServer) async throws -> Void
) async throws {
  let machine = try FakeMachine(daemons)
  let web = try await WebServer(Gateway(DaemonReader(machine.finder, patience: patience)))
  do {
    try await test(web)
  } catch {
    await web.stop()
    await machine.stop()
    throw error
  }
  await web.stop()
  await machine.stop()
}
