// What happens, as it comes: trace, events.
import ArgumentParser
import Control
import JSONCoding
import LoadBalancing
import Synchronization

struct Trace: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "One client's packets, or several clients', as they come.",
    discussion: """
      The daemon compiles a program that reports these clients' packets, whatever the log level, \
      and swaps it in while packets run; when the command ends, the old one is back. Times are UTC. \
      Ctrl-C ends it.
      """)

  @Argument(help: ArgumentHelp("Address and port: 10.50.0.2:5683; at most 8.", valueName: "client"))
  var clients: [String]
  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    guard clients.count <= 8 else { throw ValidationError("at most 8 clients can be followed") }
    for client in clients { try ClientArgument.check(client) }
  }

  func run() async throws {
    let clients = clients.map(ClientArgument.canonical)
    try await follow(
      clients.map { ("client", $0) }, daemon,
      ready: "following \(clients.joined(separator: " ")) from here on; Ctrl-C ends it")
  }
}

struct ShowEvents: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "events",
    abstract: "The log's events and lines as they come.",
    discussion: """
      Events of packets that the daemon's log level leaves out are not there: see ulbctl trace. \
      Times are UTC. Ctrl-C ends it.
      """)

  @Option(help: ArgumentHelp("Events of clients of this network alone.", valueName: "cidr"))
  var network: String?
  @Option(
    help: ArgumentHelp(
      "This event alone, such as INGRESS_NEW_NAT; repeatable.", valueName: "event"),
    completion: .list(Event.allCases.map(\.name)))
  var event: [String] = []
  @OptionGroup var daemon: DaemonOptions

  func run() async throws {
    let events = event.map { ("event", Optional($0.uppercased())) }
    try await follow([("network", network)] + events, daemon, ready: nil)
  }
}

/// Shows events until the stream ends, which it never does by itself, or until Ctrl-C.
///
/// - Parameter ready: what is said when the stream has begun.
private func follow(
  _ query: [(String, String?)], _ options: DaemonOptions, ready: String?
) async throws {
  // The first answer may take a compilation, or several that others wait for.
  let api = try options.connect(timeout: .seconds(60))
  let packets = Atomic<UInt64>(0)
  try await untilInterrupted {
    var parser = EventStreamParser()
    try await api.forEachPiece(of: .events(query), accept: "text/event-stream") { piece in
      for event in parser.events(in: piece) {
        if event.name == StreamEvent.packet.rawValue { packets.add(1, ordering: .relaxed) }
        try show(event, options, ready: ready)
      }
    }
    throw Failure(
      .noDaemon, "the daemon at \(api.daemon.socket) has ended the stream: has it been stopped?")
  }
  if ready != nil {
    Terminal.note(counted(packets.load(ordering: .relaxed), "packet", .exact))
  }
}

private func show(_ event: ServerSentEvent, _ options: DaemonOptions, ready: String?) throws {
  let data = Array(event.data.utf8)
  switch StreamEvent(rawValue: event.name) {
  case .ready: if let ready { Terminal.note(ready) }
  case .lost:
    let loss = try? JSON.decode(LossReport.self, from: data)
    Terminal.note("\(counted(loss?.count ?? 0, "event", .exact)) lost here: they came too fast")
  case .packet, .log: break
  case nil: return
  }
  if options.json {
    if event.name != StreamEvent.ready.rawValue { try Terminal.write(json: data) }
  } else {
    try Terminal.write(lines(of: event))
  }
}

/// An event as the log has it, behind its time; none where it is another version's.
func lines(of event: ServerSentEvent) -> [Line] {
  let data = Array(event.data.utf8)
  switch StreamEvent(rawValue: event.name) {
  case .packet:
    guard let report = try? JSON.decode(PacketReport.self, from: data) else { return [] }
    return lines(report.text, at: report.time)
  case .log:
    guard let report = try? JSON.decode(LogReport.self, from: data) else { return [] }
    let isGrave = ["CRITICAL", "ERROR", "WARNING"].contains(report.level)
    return lines(isGrave ? "\(report.level): \(report.message)" : report.message, at: report.time)
  case .ready, .lost, nil: return []
  }
}

/// - Parameter time: RFC 3339; of it the time of day is shown, with milliseconds.
private func lines(_ text: String, at time: String) -> [Line] {
  let day = time.split(separator: "T", maxSplits: 1).last ?? ""
  let prefix = String(day.prefix(12).filter { $0 != "Z" }).padded(to: 12)
  return text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().map {
    Line([Span(($0 == 0 ? prefix : "").padded(to: 14), .dim), Span(String($1))])
  }
}
