// ulbctl serve: runs the web gateway until it is told to stop.
import ArgumentParser
import HTTP
import SystemPackage
import Systemd

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serves the status page and the metrics of all daemons of this machine.",
    discussion: """
      / is the status page, /metrics are the metrics for Prometheus, and below /api/ is what the \
      daemons' control sockets have to read. Nothing can be changed through it. It needs no right \
      but to connect to the sockets; ulb-web.service runs it as a user of its own. It answers to \
      addresses, to localhost, and to the names that --host gives it.
      """)

  @Option(
    help: ArgumentHelp(
      "Where to listen: an IPv4 address, or an IPv6 address in brackets, and a port.",
      valueName: "address:port"))
  var listen = ListenAddress(address: "127.0.0.1", port: 9098)

  @Option(
    name: .customLong("socket"),
    help: ArgumentHelp(
      "The control socket of a daemon, may be given several times. (default: all "
        + "/run/ulb/*/control.sock, as they come and go)",
      valueName: "path"), completion: .file())
  var sockets: [String] = []

  @Option(
    name: .customLong("host"),
    help: ArgumentHelp(
      "A name by which this machine, or a proxy in front, is asked, may be given several times. "
        + "Requests by other names are refused, as other sites' pages could make them (DNS rebinding).",
      valueName: "name"))
  var hosts: [HostName] = []

  func run() async throws {
    let gateway = Gateway(DaemonReader(sockets: sockets), names: HostNames(hosts))
    var limits = HTTPServer.Limits()
    limits.connections = 128
    limits.streams = 64
    limits.bodyBytes = 0
    let server = HTTPServer(limits) { await gateway.answer($0) }
    do {
      try server.start(on: .tcp(address: listen.address, port: listen.port))
    } catch {
      throw Failure(.refused, "\(error)")
    }
    let place = ListenAddress(address: listen.address, port: server.port ?? listen.port)
    // A manager that does not hear of it ends the service by itself.
    let manager = try? Notifier()
    try await untilInterrupted {
      _ = try? FileDescriptor.standardError.writeAll("ulbctl: serving http://\(place)/\n".utf8)
      try? manager?.ready(status: "http://\(place)/")
      while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
    }
    try? manager?.stopping()
    await server.stop()
  }
}

extension HostName: ExpressibleByArgument {}

/// Address and port of the command line.
struct ListenAddress: ExpressibleByArgument, CustomStringConvertible, Equatable {
  let address: String
  let port: UInt16

  init(address: String, port: UInt16) {
    self.address = address
    self.port = port
  }

  init?(argument: String) {
    guard let colon = argument.lastIndex(of: ":"),
      let port = UInt16(argument[argument.index(after: colon)...])
    else { return nil }
    var address = argument[..<colon]
    if address.hasPrefix("["), address.hasSuffix("]") {
      address = address.dropFirst().dropLast()
    } else if address.contains(":") {
      return nil
    }
    guard !address.isEmpty else { return nil }
    self.init(address: String(address), port: port)
  }

  var description: String {
    address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
  }

  var defaultValueDescription: String { description }
}
