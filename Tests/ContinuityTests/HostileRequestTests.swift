// What the control socket is sent by who means ill or has bad luck, while thousands of clients send.
import Control
import Foundation
import HTTP
import JSONCoding
import LoadBalancing
import Synchronization
import TestSupport
import Testing

/// One at a time: each takes what the machine has.
@Suite(.serialized) struct HostileRequestTests {
  fileprivate static let status =
    "GET /v1/status HTTP/1.1\r\nHost: ulb\r\nConnection: close\r\n\r\n"
  private static let lines =
    "GET /v1/associations HTTP/1.1\r\nHost: ulb\r\nAccept: application/jsonl\r\n"
    + "Connection: close\r\n\r\n"
  /// The virtual server beside that of the load.
  fileprivate static let other: UInt16 = 7_000

  /// Lines of the log go nowhere: a test could not keep 100,000 a second.
  fileprivate static let quiet = ["sh", "-c", #"exec "$@" >/dev/null"#, "sh"]

  /// Traffic of 5,000 clients, whose packets are counted, through a daemon that also has a virtual
  /// server that nothing listens behind.
  struct Scene {
    let topology: Topology
    let director: ServedDirector
    let load: Load
    let before: Losses
    private let memory: MemoryWatch

    init(_ options: [String] = []) throws {
      topology = try Topology(realServers: 3)
      // Load is the real servers of this one.
      let loaded = try Network(topology, servers: [])
      let servers = loaded.addresses([0, 1, 2])
      let others = ConfigText.VirtualServer(
        "other", at: Topology.virtualServer(.ipv4), ports: [HostileRequestTests.other],
        realServers: servers)
      director = try ServedDirector(
        loaded, ConfigText(realServers: servers, virtualServers: [others]),
        options: ["--max_associations", "32768"] + options, wrapper: HostileRequestTests.quiet)
      let load = try Load(topology, to: loaded.virtualServer)
      self.load = load
      try #require(waitUntil { load.knownClients == Load.clients })
      before = try Losses(topology)
      memory = MemoryWatch(director.daemon.process.pid)
    }

    func connect() throws -> RawClient { try RawClient(unixSocket: director.daemon.control) }

    func flood(_ rate: Double) throws -> Flood {
      try Flood(
        topology, to: Endpoint(Topology.virtualServer(.ipv4), HostileRequestTests.other), rate: rate
      )
    }

    /// Whether the daemon answers who asks for its state. It turns away who comes when all its
    /// connections are in use, until their time is over.
    func expectAnswer(sourceLocation: SourceLocation = #_sourceLocation) throws {
      var answer = ""
      let isAnswered = try waitUntil {
        let client = try connect()
        client.send(HostileRequestTests.status)
        answer = client.receiveAll()
        return answer.hasPrefix("HTTP/1.1 200 ")
      }
      #expect(isAnswered, "\(answer)", sourceLocation: sourceLocation)
      #expect(answer.contains(#""interface":"lb0""#), sourceLocation: sourceLocation)
    }

    /// Ends the traffic and the daemon: neither has noticed.
    func expectNobodyNoticed(sourceLocation: SourceLocation = #_sourceLocation) throws {
      try ContinuityTests.expectNobodyNoticed(
        load, topology, since: before, sourceLocation: sourceLocation)
      let peak = memory.stop()
      print("memory: \(peak >> 10) KiB anonymous at most")
      #expect(peak > 0 && peak < 40_000_000, sourceLocation: sourceLocation)
      #expect(director.errors == [], sourceLocation: sourceLocation)
      #expect(try director.daemon.stop() == 0, sourceLocation: sourceLocation)
    }
  }

  @Test func requestsOfAllKinds() throws {
    let scene = try Scene()
    // 10,000 connections: requests that are cut at each byte, and nothing at all.
    let requests = [Self.status, Self.lines].map { Array($0) }
    var open: [RawClient] = []
    for number in 0..<10_000 {
      let client = try scene.connect()
      let request = requests[number % 2]
      client.send(String(request[..<(number / 2 % request.count)]))
      if number % 4 == 0 { open.append(client) }
      // Some stay, until there are too many.
      if open.count == 100 { open.removeAll() }
    }
    open.removeAll()
    try scene.expectAnswer()
    scene.load.enter(phase: 1)

    // Bodies that are announced, begun, deep, and none.
    func post(_ path: String, length: Int, _ body: String) -> String {
      "POST \(path) HTTP/1.1\r\nHost: ulb\r\nContent-Type: application/json\r\n"
        + "Connection: close\r\nContent-Length: \(length)\r\n\r\n" + body
    }
    let deep = String(repeating: "[", count: 10_000)
    let patch = "/v1/virtual-servers/other/real-servers/\(Topology.realServer(0, .ipv4))"
    for (request, status) in [
      (post("/v1/check", length: 1 << 30, "x"), "413"),
      (post("/v1/reload", length: 1 << 30, ""), "413"),
      (
        post(patch, length: deep.count, deep).replacing("POST", with: "PATCH", maxReplacements: 1),
        "400"
      ),
      (post("/v1/check", length: deep.count, deep), "4"),
    ] {
      let client = try scene.connect()
      client.send(request)
      let answer = client.receiveAll()
      #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(answer.prefix(200))")
    }
    // Who has all connections and is slow is sent away, and others are answered.
    let slow = try (0..<64).map { number in
      let client = try scene.connect()
      client.send(String(Self.status.prefix(number)))
      return client
    }
    try scene.expectAnswer()
    withExtendedLifetime(slow) {}
    try scene.expectNobodyNoticed()
  }

  /// Up to 100,000 packets a second come in that are all to be logged, half of the listeners never
  /// read, and all of a table that changes is read by four, and by some who do not go on.
  @Test func listenersAndListingsAmongNewClients() async throws {
    let scene = try Scene(["-l", "DEBUG"])
    let listeners = try (0..<4).map { _ in
      let client = try scene.connect()
      client.send("GET /v1/events HTTP/1.1\r\nHost: ulb\r\n\r\n")
      #expect(client.receive(until: "event: ready").hasPrefix("HTTP/1.1 200 "))
      return client
    }
    let isOver = Atomic(false)
    let heard = Atomic<Int>(0)
    let readers = DispatchGroup()
    for listener in listeners.prefix(2) {
      DispatchQueue.global().async(group: readers) {
        while !isOver.load(ordering: .relaxed), let bytes = listener.receive() {
          heard.add(bytes.count, ordering: .relaxed)
        }
      }
    }
    let flood = try scene.flood(100_000)
    // Each place of the table has been given away three times.
    #expect(waitUntil { flood.count > 100_000 })
    scene.load.enter(phase: 1)

    let unread = try (0..<4).map { _ in
      let client = try scene.connect()
      client.send(Self.lines)
      return client
    }
    let path = scene.director.daemon.control
    let listings = try await withThrowingTaskGroup(of: [UInt8].self) { group in
      for _ in 0..<4 {
        group.addTask {
          let response = try await HTTPClient(unixSocket: path).send(
            "GET", "/v1/associations", headers: [("Accept", "application/jsonl")])
          #expect(response.status == 200)
          return try await response.collect(upTo: 256 << 20)
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    try scene.expectAnswer()
    flood.stop()
    print("flood: \(flood.count) packets")
    for listing in listings {
      // An array of them is read much faster than line by line.
      let comma = UInt8(ascii: ",")
      let array = "[".utf8 + listing.dropLast().map { $0 == 0x0A ? comma : $0 } + "]".utf8
      let entries = try JSON.decode([AssociationEntry].self, from: array)
      let clients = Set(entries.map(\.client))
      // All that were there throughout, and some that came.
      #expect((0..<Load.clients).allSatisfy { clients.contains(Load.client($0)) })
      #expect(clients.count > 2 * Load.clients)
    }
    let counters = try scene.counters()
    #expect(counters.associations[0].forgotten.total > 65_536)
    isOver.store(true, ordering: .relaxed)
    readers.wait()
    #expect(heard.load(ordering: .relaxed) > 1 << 20)
    withExtendedLifetime((unread, listeners)) {}
    try scene.expectNobodyNoticed()
  }

  /// Whether an answer has as many bytes as its header says (RFC 9112, section 6.3).
  private static func isWhole(_ answer: String) -> Bool {
    guard let header = answer.range(of: "\r\n\r\n") else { return false }
    let lines = answer[..<header.lowerBound].lowercased().split(separator: "\r\n")
    let length = lines.first { $0.hasPrefix("content-length:") }?.split(separator: ":").last
      .flatMap { Int($0.filter(\.isNumber)) }
    return length == answer[header.upperBound...].utf8.count
  }

  /// Whatever the daemon is doing, each request has a whole answer, or its connection ends.
  @Test func requestsThroughStartSwapReloadAndStop() async throws {
    let scene = try Scene()
    let control = scene.director.daemon.control
    let isOver = Atomic(false)
    let answered = Atomic<Int>(0)
    let notThere = Atomic<Int>(0)
    let wrong = Mutex<[String]>([])
    let threads = DispatchGroup()
    let server = "/v1/virtual-servers/other/real-servers/\(Topology.realServer(1, .ipv4))"
    func request(_ method: String, _ target: String, _ body: String = "") -> String {
      "\(method) \(target) HTTP/1.1\r\nHost: ulb\r\nContent-Type: application/json\r\n"
        + "Connection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }
    let works = [
      [request("GET", "/v1/status"), request("GET", "/v1/virtual-servers")],
      [
        request("PATCH", server, #"{"state":"draining"}"#),
        request("PATCH", server, #"{"state":null}"#),
      ],
      [request("POST", "/v1/reload"), request("GET", "/metrics")],
      [
        request(
          "PUT", "/v1/associations/10.99.0.1:1",
          #"{"real_server":"\#(Topology.realServer(0, .ipv4))","virtual_server":"other"}"#),
        request("DELETE", "/v1/associations/10.99.0.1:1"),
        request("GET", "/v1/associations?order=idle&limit=1000"),
      ],
    ]
    for work in works {
      DispatchQueue.global().async(group: threads) {
        var number = 0
        while !isOver.load(ordering: .relaxed) {
          number += 1
          guard let client = try? RawClient(unixSocket: control) else {
            notThere.add(1, ordering: .relaxed)
            usleep(1_000)
            continue
          }
          client.send(work[number % work.count])
          let answer = client.receiveAll()
          if answer.isEmpty { continue }
          if !Self.isWhole(answer) { wrong.withLock { $0.append(String(answer.prefix(300))) } }
          if answer.hasPrefix("HTTP/1.1 200 ") {
            answered.add(1, ordering: .relaxed)
          } else if !answer.hasPrefix("HTTP/1.1 503 ") {
            wrong.withLock { $0.append(String(answer.prefix(300))) }
          }
        }
      }
    }
    func waitForAnswers() {
      let before = answered.load(ordering: .relaxed)
      #expect(waitUntil { answered.load(ordering: .relaxed) > before + 20 })
    }
    waitForAnswers()
    scene.load.enter(phase: 1)
    // Compiled anew and swapped in.
    for port: UInt16 in [8_000, 8_001] {
      try scene.director.reload { $0["other"].ports = [Self.other, port] }
      waitForAnswers()
    }
    scene.load.enter(phase: 2)
    for state in [" = drain", ""] {
      let address = Topology.realServer(2, .ipv4)
      try scene.director.reload { $0["other"].realServers[2] = address + state }
      waitForAnswers()
    }
    try scene.expectNobodyNoticed()
    #expect(waitUntil { notThere.load(ordering: .relaxed) > 20 })
    // The same socket again.
    let next = try Daemon(
      [
        "lb0", "-vs", Topology.virtualServer(.ipv4), "-cfg", scene.director.path, "-p",
        String(Network.port), "--control",
        control,
      ],
      in: scene.topology.director, wrapper: Self.quiet)
    try next.waitForNotification("READY=1")
    waitForAnswers()
    #expect(try next.stop() == 0)
    isOver.store(true, ordering: .relaxed)
    threads.wait()
    #expect(wrong.withLock { $0 } == [])
  }
}

extension HostileRequestTests.Scene {
  func counters() throws -> Counters {
    let client = try connect()
    client.send("GET /v1/counters HTTP/1.0\r\n\r\n")
    let answer = client.receiveAll()
    let body = try #require(answer.range(of: "\r\n\r\n")).upperBound
    return try JSON.decode(Counters.self, from: Array(answer[body...].utf8))
  }
}

/// Sees how much memory of its own a process has, and remembers the most.
final class MemoryWatch: Sendable {
  /// What the thread holds, so that it ends with the last who holds the watch.
  private final class State: Sendable {
    let most = Atomic<Int>(0)
    let isStopped = Atomic(false)
  }

  private let state = State()
  private let end = DispatchGroup()

  init(_ pid: Int32) {
    end.enter()
    Thread.detachNewThread { [state, end] in
      while !state.isStopped.load(ordering: .relaxed) {
        state.most.max(Self.anonymous(pid), ordering: .relaxed)
        usleep(20_000)
      }
      end.leave()
    }
  }

  deinit { state.isStopped.store(true, ordering: .relaxed) }

  /// - Returns: the most bytes so far.
  func stop() -> Int {
    state.isStopped.store(true, ordering: .relaxed)
    end.wait()
    return state.most.load(ordering: .relaxed)
  }

  /// `RssAnon` of proc_pid_status(5), in bytes.
  private static func anonymous(_ pid: Int32) -> Int {
    let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
    return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0)
      << 10
  }
}
