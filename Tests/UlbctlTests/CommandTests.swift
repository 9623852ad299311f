// The commands, against a control socket that answers as told.
import Control
import Foundation
import HTTP
import JSONCoding
import TestSupport
import Testing

@testable import ulbctl

@Suite struct CommandTests {
  @Test func statusIsDrawnFromTwoReadings() async throws {
    let socket = try AnsweringSocket()
    let shown = try await ulbctl("status", at: socket)
    #expect(shown.status == 0)
    #expect(shown.standardError == "")
    #expect(shown.standardOutput.hasPrefix("ulb 1.0.0 on eth0, native mode, up 3 d 4 h, pid 1234"))
    #expect(shown.standardOutput.contains(" OutPPS "))
    #expect(socket.requests.filter { $0 == "GET /v1/counters" }.count == 2)
    let still = try await ulbctl("status", "--no-rate", "--exact", at: socket)
    #expect(still.standardOutput.contains(" 612345 "))
    #expect(!still.standardOutput.contains("OutPPS"))
    await socket.stop()
  }

  @Test(arguments: [
    (["status"], "GET /v1/status"), (["servers"], "GET /v1/virtual-servers"),
    (["counters"], "GET /v1/counters"),
  ])
  func answersAreHandedOnAsTheyCame(_ command: [String], _ target: String) async throws {
    let answer = Array(#"{"from a later version":1}"#.utf8)
    let socket = try AnsweringSocket([target: HTTPResponse(status: 200, body: .bytes(answer))])
    let shown = try await ulbctl(command[0], "--json", at: socket)
    #expect(shown.standardOutput == #"{"from a later version":1}"#)
    #expect(shown.status == 0)
    #expect(socket.requests == [target])
    let misunderstood = try await ulbctl(command[0], at: socket)
    #expect(misunderstood.status == 1)
    #expect(misunderstood.standardError.contains("is the daemon of another version"))
    await socket.stop()
  }

  @Test func healthIsAnExitStatus() async throws {
    let problems = ["eth0 is down", "/etc/ulb/eth0.servers is refused"]
    let (good, bad) = (
      try AnsweringSocket(),
      try AnsweringSocket(["GET /v1/status": .json(Sample.status(problems: problems))])
    )
    let well = try await ulbctl("health", at: good)
    #expect(well.status == 0)
    #expect(well.standardOutput == "good")
    let ill = try await ulbctl("health", at: bad)
    #expect(ill.status == 1)
    #expect(ill.standardOutput == problems.joined(separator: "\n"))
    let json = try await ulbctl("health", "--json", at: bad)
    #expect(json.status == 1)
    #expect(
      try JSON.decode(Health.self, from: json.standardOutput.utf8) == Health(problems: problems))
    await good.stop()
    await bad.stop()
  }

  @Test func aServerOfSeveralVirtualServersIsSetInAll() async throws {
    var servers = Sample.virtualServers
    servers.append(servers[0])
    servers[2].name = "two words/ü"
    var drained = servers[0].realServers[0]
    drained.state = .draining
    let path = "real-servers/192.168.100.101"
    let socket = try AnsweringSocket([
      "GET /v1/virtual-servers": .json(VirtualServerList(virtualServers: servers)),
      "PATCH /v1/virtual-servers/10.0.0.1/\(path)": .json(drained),
      "PATCH /v1/virtual-servers/two%20words%2F%C3%BC/\(path)": .json(drained),
    ])
    let all = try await ulbctl("drain", "192.168.100.101", at: socket)
    #expect(all.status == 0)
    #expect(
      all.standardOutput == """
        192.168.100.101 of 10.0.0.1: draining, was up; 612K clients stay
        192.168.100.101 of two words/ü: draining, was up; 612K clients stay
        """)
    let one = try await ulbctl(
      "drain", "192.168.100.101", "--virtual-server", "two words/ü", at: socket)
    #expect(one.standardOutput.split(separator: "\n").count == 1)
    let body = #"{"state":"draining"}"#
    let targets = ["10.0.0.1", "two%20words%2F%C3%BC", "two%20words%2F%C3%BC"]
    #expect(
      socket.changes == targets.map { "PATCH /v1/virtual-servers/\($0)/\(path) \(body)" })
    await socket.stop()
  }

  @Test func whatIsRefusedIsSaidWithStatus1() async throws {
    let socket = try AnsweringSocket([
      "PATCH /v1/virtual-servers/lwm2m-v6/real-servers/fd70:1::2".replacingOccurrences(
        of: ":1::2", with: "%3A1%3A%3A2"): .problem(409, "no: it is the last")
    ])
    // Another spelling of the same address.
    let refused = try await ulbctl("down", "FD70:1:0::2", at: socket)
    #expect(refused.status == 1)
    #expect(refused.standardError == "ulbctl: error: no: it is the last")
    #expect(refused.standardOutput == "")
    let unknown = try await ulbctl("up", "192.168.100.201", at: socket)
    #expect(unknown.status == 1)
    #expect(
      unknown.standardError == """
        ulbctl: error: there is no real server 192.168.100.201; did you mean 192.168.100.101?
        """)
    await socket.stop()
  }

  @Test func aDaemonThatDoesNotKnowARequestIsSaidToBeAnother() async throws {
    let socket = try AnsweringSocket()
    let unknown = try await ulbctl("reload", at: socket)
    #expect(unknown.status == 1)
    #expect(
      unknown.standardError == """
        ulbctl: error: the daemon at \(socket.path) does not know POST /v1/reload: it is of another \
        version than this ulbctl (ulbctl --version)
        """)
    await socket.stop()
  }

  @Test func whereNoDaemonAnswersTheStatusIs3() async throws {
    let none = try await ulbctl("status", "--socket", "/nonexistent/control.sock")
    #expect(none.status == 3)
    #expect(none.standardError.hasPrefix("ulbctl: error: no daemon answers: there is no socket"))
  }

  @Test(arguments: [
    ["frobnicate"], ["weight", "10.0.0.2"], ["weight", "10.0.0.2", "257"], ["client", "10.0.0.2"],
    ["servers", "--rate", "--stats"], ["forget"], ["forget", "10.0.0.2:1", "--server", "10.0.0.3"],
    ["trace"], ["trace"] + (1...9).map { "10.0.0.2:\($0)" }, ["clients", "--limit", "0"],
    ["clients", "--class", "noble"], ["completion", "tcsh"],
  ])
  func aWrongCommandLineHasStatus2(_ words: [String]) async throws {
    let wrong = try await ulbctl(words)
    #expect(wrong.status == 2)
    #expect(wrong.standardOutput == "")
    #expect(wrong.standardError.contains("Usage: ulbctl"))
  }

  @Test func helpAndVersionGoToStandardOutput() async throws {
    let help = try await ulbctl("--help")
    #expect(help.status == 0)
    for verb in [
      "status", "servers", "clients", "client", "drain", "up", "down", "weight", "forget", "move",
      "counters", "trace", "events", "reload", "check", "health", "completion",
    ] { #expect(help.standardOutput.contains("\n  \(verb) ")) }
    #expect(try await ulbctl("--version").standardOutput.hasPrefix("ulbctl "))
  }

  @Test func clientsAreListedAsTheyCome() async throws {
    let entries = (1...3).map {
      AssociationEntry(
        client: "10.50.0.\($0):5683", virtualServer: "10.0.0.1", realServer: "192.168.100.101",
        class: .newcomer, age: UInt8($0), lastUsed: nil)
    }
    let lines = try entries.flatMap { try JSON.encode($0) + Array("\n".utf8) }
    // In pieces that are no lines.
    let stream = AsyncStream<[UInt8]> { continuation in
      for start in stride(from: 0, to: lines.count, by: 50) {
        continuation.yield(Array(lines[start..<min(start + 50, lines.count)]))
      }
      continuation.finish()
    }
    let query = "real_server=192.168.100.101&network=10.50.0.0/16&order=idle"
    let socket = try AnsweringSocket([
      "GET /v1/associations?\(query)": HTTPResponse(status: 200, body: .stream(stream)),
      "GET /v1/associations?order=table&limit=2": .json(
        AssociationPage(associations: Array(entries[..<2]), next: "c")),
      "GET /v1/associations?order=table&limit=1001": .problem(400, "at most 1000"),
      "GET /v1/associations?order=table&limit=1000": .json(
        AssociationPage(associations: Array(entries[..<2]), next: "next page")),
      "GET /v1/associations?order=table&limit=999&cursor=next page": .json(
        AssociationPage(associations: Array(entries[2...]), next: nil)),
      "GET /v1/associations?limit=0&count=true": .json(
        AssociationPage(associations: [], next: nil, count: 1_234_567)),
    ])
    let all = try await ulbctl(
      "clients", "--server", "192.168.100.101", "--network", "10.50.0.0/16", "--order", "idle",
      at: socket)
    #expect(
      all.standardOutput.split(separator: "\n").map { $0.prefix(15) } == [
        "Client         ", "10.50.0.1:5683 ", "10.50.0.2:5683 ", "10.50.0.3:5683 ",
      ])
    #expect(all.standardError == "")
    let two = try await ulbctl("clients", "--limit", "2", at: socket)
    #expect(two.standardOutput.split(separator: "\n").count == 3)
    let more = try await ulbctl("clients", "--limit", "1001", "--json", at: socket)
    #expect(
      try more.standardOutput.split(separator: "\n").map {
        try JSON.decode(AssociationEntry.self, from: $0.utf8)
      } == entries)
    #expect(try await ulbctl("clients", "--count", at: socket).standardOutput == "1234567")
    let unknown = try await ulbctl("clients", "--server", "10.9.9.9", at: socket)
    #expect(unknown.status == 1)
    #expect(unknown.standardError.contains("there is no real server 10.9.9.9; there are 192."))
    await socket.stop()
  }

  @Test func oneClientIsShownMovedAndForgotten() async throws {
    let entry = AssociationEntry(
      client: "[fd50::2]:5683", virtualServer: "lwm2m-v6", realServer: "fd70:2::2",
      class: .newcomer, age: 0, lastUsed: nil)
    let answer = HTTPResponse.json(
      ClientAssociations(client: entry.client, associations: [entry]))
    let target = "/v1/associations/%5Bfd50%3A%3A2%5D%3A5683"
    let socket = try AnsweringSocket([
      "GET \(target)": answer, "PUT \(target)": answer,
      "DELETE \(target)": .json(Forgotten(forgotten: 1)),
    ])
    let shown = try await ulbctl("client", "[FD50:0::2]:5683", at: socket)
    #expect(
      shown.standardOutput.hasPrefix("[fd50::2]:5683\n  lwm2m-v6 ─> fd70:2::2 (up, weight 2)"))
    let moved = try await ulbctl("move", "[fd50::2]:5683", "fd70:2::2", at: socket)
    #expect(moved.standardOutput == "[fd50::2]:5683 is on fd70:2::2 of lwm2m-v6 now")
    let forgotten = try await ulbctl("forget", "[fd50::2]:5683", at: socket)
    #expect(forgotten.standardOutput == "1 association forgotten")
    #expect(
      socket.changes == [#"PUT \#(target) {"real_server":"fd70:2::2"}"#, "DELETE \(target)"])
    await socket.stop()
  }

  @Test func manyAreForgottenOnlyIfSomebodySaysYes() async throws {
    let socket = try AnsweringSocket([
      "GET /v1/associations?network=10.50.0.0/16&limit=0&count=true": .json(
        AssociationPage(associations: [], next: nil, count: 1234)),
      "DELETE /v1/associations?network=10.50.0.0/16": .json(Forgotten(forgotten: 1230)),
    ])
    let unasked = try await ulbctl("forget", "--network", "10.50.0.0/16", at: socket)
    #expect(unasked.status == 1)
    #expect(
      unasked.standardError == """
        ulbctl: error: 1234 associations in 10.50.0.0/16 would be forgotten: say --yes where nobody \
        can be asked
        """)
    #expect(socket.changes == [])
    let sure = try await ulbctl("forget", "--network", "10.50.0.0/16", "--yes", at: socket)
    #expect(sure.status == 0)
    #expect(sure.standardOutput == "1230 associations forgotten")
    #expect(socket.changes == ["DELETE /v1/associations?network=10.50.0.0/16"])
    await socket.stop()
  }

  @Test func reloadTellsWhatChangedOrWhyNot() async throws {
    let applied = Reload(
      result: .applied, at: "2026-03-01T12:00:00Z", changes: ["10.0.0.1: added 10.0.0.9"])
    let good = try AnsweringSocket(["POST /v1/reload": .json(applied)])
    let done = try await ulbctl("reload", at: good)
    #expect(done.status == 0)
    #expect(done.standardOutput == "applied\n  10.0.0.1: added 10.0.0.9")
    await good.stop()
    let bad = try AnsweringSocket(["POST /v1/reload": .problem(422, "servers, line 3: no address")])
    let refused = try await ulbctl("reload", at: bad)
    #expect(refused.status == 1)
    #expect(refused.standardError == "ulbctl: error: servers, line 3: no address")
    await bad.stop()
  }

  @Test func aConfigFileIsCheckedByTheDaemon() async throws {
    let directory = try TemporaryDirectory()
    let file = directory.path(of: "servers")
    try Data("[Real Servers]\n10.0.0.9\n".utf8).write(to: URL(fileURLWithPath: file))
    let unchanged = Reload(
      result: .unchanged, at: "2026-03-01T12:00:00Z", warnings: ["line 3: [Server] is passed over"])
    let socket = try AnsweringSocket(["POST /v1/check": .json(unchanged)])
    let good = try await ulbctl("check", file, at: socket)
    #expect(
      good.standardOutput
        == "unchanged: it says what is in force already\n  warning: line 3: [Server] is passed over"
    )
    #expect(socket.requests == ["POST /v1/check [Real Servers]\n10.0.0.9\n"])
    let missing = try await ulbctl("check", file + "x", at: socket)
    #expect(missing.status == 1)
    #expect(missing.standardError.hasSuffix("cannot be read: No such file or directory"))
    await socket.stop()
    let refused = Reload(
      result: .refused, at: "2026-03-01T12:00:00Z", reason: "line 2: 10.0.0 is no address")
    let bad = try AnsweringSocket(["POST /v1/check": .json(refused)])
    let wrong = try await ulbctl("check", file, at: bad)
    #expect(wrong.status == 1)
    #expect(wrong.standardError == "ulbctl: error: line 2: 10.0.0 is no address")
    await bad.stop()
  }

  @Test func aTraceShowsPacketsAndEndsCleanlyOnInterruption() async throws {
    let packet = """
      {"time":"2026-03-01T12:00:00.123Z","level":"DEBUG","event":"INGRESS_REUSED_NAT",\
      "message":"Destination NAT","text":"10.50.0.2 ─┐  10.0.0.1 Destination NAT\\n          └> 10.0.0.2"}
      """
    let socket = try AnsweringSocket([
      "GET /v1/events?client=10.50.0.2:5683": .events(
        [("ready", "{}"), ("packet", packet), ("lost", #"{"count":7}"#)], ends: false)
    ])
    let shown = try await elsewhere { [path = socket.path] in
      let child = try ChildProcess(
        [Package.operatorCommand, "trace", "10.50.0.2:5683", "--socket", path])
      _ = try child.waitForLine(containing: "7 events lost here")
      child.send(signal: SIGINT)
      return try CompletedProcess(child)
    }
    #expect(shown.status == 0)
    #expect(
      shown.standardOutput == """
        12:00:00.123  10.50.0.2 ─┐  10.0.0.1 Destination NAT
                                └> 10.0.0.2
        """)
    #expect(
      shown.standardError == """
        following 10.50.0.2:5683 from here on; Ctrl-C ends it
        7 events lost here: they came too fast
        1 packet
        """)
    await socket.stop()
  }

  @Test func aStreamThatEndsIsAMissingDaemon() async throws {
    let log = #"{"time":"2026-03-01T12:00:00.123Z","level":"ERROR","message":"no\u001b[2J"}"#
    for (option, output) in [("--network", "12:00:00.123  ERROR: no?[2J"), ("--json", log)] {
      let query = option == "--json" ? "" : "network=10.50.0.0/16&"
      let socket = try AnsweringSocket([
        "GET /v1/events?\(query)event=NOT_UDP": .events([("log", log)], ends: true)
      ])
      let words = option == "--json" ? [option] : [option, "10.50.0.0/16"]
      let shown = try await ulbctl(["events", "--event", "not_udp"] + words, at: socket)
      #expect(shown.status == 3)
      #expect(shown.standardOutput == output)
      #expect(shown.standardError.contains("has ended the stream"))
      await socket.stop()
    }
  }
}
