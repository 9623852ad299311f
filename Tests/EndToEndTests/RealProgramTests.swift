// Programs that people run behind ulb: CoAP, CoAP over DTLS with pre-shared keys, and DNS.
import Foundation
import LoadBalancing
import TestSupport
import Testing

/// libcoap's server on each real server, with a resource `who` that holds the server's name.
final class CoAPServers {
  private static let client = "coap-client-openssl"
  let family: AddressFamily
  let topology: Topology
  private let servers: [ChildProcess]

  init(_ family: AddressFamily, in topology: Topology) throws {
    self.family = family
    self.topology = topology
    servers = try topology.realServers.enumerated().map { number, namespace in
      try ChildProcess(
        [
          "coap-server-openssl", "-A", Topology.realServer(number, family), "-p", "5683", "-d", "1",
          "-k", "secret", "-h", "hint",
        ], in: namespace)
    }
    for number in servers.indices { try name(number, "srv\(number + 1)") }
  }

  var addresses: [String] { servers.indices.map { Topology.realServer($0, family) } }

  /// Puts ulb in front of them.
  func balance(_ options: [String] = []) throws -> Daemon {
    try Daemon.start(
      BalancedService.arguments(family, servers: addresses, ports: [5683, 5684]) + options,
      in: topology.director)
  }

  private func location(_ scheme: String, _ address: String) -> String {
    "\(scheme)://\(family == .ipv6 ? "[\(address)]" : address)/who"
  }

  /// Has a real server's resource hold a name, from its own host.
  func name(_ number: Int, _ name: String) throws {
    let location = location("coap", Topology.realServer(number, family))
    let host = topology.realServers[number]
    let isNamed = try waitUntil {
      try run(Self.client, "-B", "5", "-m", "put", "-e", name, location, in: host)
      return try run(Self.client, "-B", "5", location, in: host).standardOutput == name
    }
    #expect(isNamed, "coap-server-openssl does not answer: \(servers[number].transcript)")
  }

  /// Asks the virtual server for `who`, each time as a new client unless options say otherwise.
  /// - Returns: the answers, one a line.
  func ask(_ scheme: String, _ options: [String] = []) throws -> String {
    let process = try start(scheme, options)
    try process.waitForExit()
    return process.standardOutput.filter { !$0.isEmpty }.joined(separator: "\n")
  }

  func start(_ scheme: String, _ options: [String] = []) throws -> ChildProcess {
    let key = scheme == "coaps" ? ["-k", "secret", "-u", "user"] : []
    // libcoap's output is line-buffered only on a terminal.
    return try ChildProcess(
      ["stdbuf", "-oL", Self.client, "-B", "60"] + key + options
        + [location(scheme, Topology.virtualServer(family))], in: topology.client)
  }
}

@Suite struct RealProgramTests {
  @Test(arguments: AddressFamily.allCases, ["coap", "coaps"])
  func coap(_ family: AddressFamily, _ scheme: String) throws {
    let servers = try CoAPServers(family, in: Topology(realServers: 3))
    let daemon = try servers.balance()
    // Each has a port of its own, and over DTLS a session of its own.
    #expect(try servers.ask(scheme) == "srv1")
    #expect(try servers.ask(scheme) == "srv2")
    // Several requests of one client, or through one session.
    #expect(try servers.ask(scheme, ["-w", "-G", "3"]) == "srv3\nsrv3\nsrv3")
    #expect(try servers.ask(scheme) == "srv1")

    // One that comes back from the same port is known, whatever other clients did meanwhile.
    let known = ["-a", Topology.clientAddress(family), "-p", "40001"]
    #expect(try servers.ask(scheme, known) == "srv2")
    #expect(try servers.ask(scheme) == "srv3")
    #expect(try servers.ask(scheme, known) == "srv2")
    #expect(try daemon.stop() == 0)
  }

  /// One daemon, one interface; each family has its own turns, and a server of each writes when it likes.
  @Test(arguments: AddressFamily.allCases, ["coap", "coaps"])
  func coapOfBothFamiliesAtOnce(_ first: AddressFamily, _ scheme: String) throws {
    let topology = try Topology(realServers: 2)
    let families = [first, first.other]
    let servers = try families.map { try CoAPServers($0, in: topology) }
    let file = try ConfigFile([])
    let second = ConfigText.VirtualServer(
      "second", at: Topology.virtualServer(families[1]), ports: [5683, 5684],
      realServers: servers[1].addresses)
    try file.replace(
      withText: "\(ConfigText(realServers: servers[0].addresses, virtualServers: [second]))")
    let daemon = try Daemon.start(
      BalancedService.arguments(first, servers: [], file: file, ports: [5683, 5684]),
      in: topology.director)

    let observers = try servers.map { try $0.start(scheme, ["-w", "-s", "50"]) }
    for observer in observers { try observer.waitForLine(containing: "srv1") }
    for _ in 0..<2 {
      #expect(try servers.map { try $0.ask(scheme) } == ["srv2", "srv2"])
      #expect(try servers[1].ask(scheme, ["-w", "-G", "3"]) == "srv1\nsrv1\nsrv1")
      #expect(try servers[0].ask(scheme) == "srv1")
    }
    let known = families.map { ["-a", Topology.clientAddress($0), "-p", "40001"] }
    #expect(try zip(servers, known).map { try $0.ask(scheme, $1) } == ["srv2", "srv2"])
    #expect(try servers.map { try $0.ask(scheme) } == ["srv1", "srv1"])
    #expect(try zip(servers, known).map { try $0.ask(scheme, $1) } == ["srv2", "srv2"])
    for (number, observer) in observers.enumerated() {
      try servers[number].name(0, "news-\(number)")
      try observer.waitForLine(containing: "news-\(number)")
    }
    #expect(try daemon.stop() == 0)
  }

  /// A server's notifications (RFC 7641) come when the server likes.
  @Test(arguments: AddressFamily.allCases, ["coap", "coaps"])
  func coapObserve(_ family: AddressFamily, _ scheme: String) throws {
    let servers = try CoAPServers(family, in: Topology(realServers: 2))
    let daemon = try servers.balance()
    let observer = try servers.start(scheme, ["-w", "-s", "50"])
    try observer.waitForLine(containing: "srv1")
    #expect(try servers.ask(scheme) == "srv2")
    for news in ["first-news", "second-news"] {
      try servers.name(0, news)
      try observer.waitForLine(containing: news)
    }
    #expect(try servers.ask(scheme) == "second-news")
    #expect(try daemon.stop() == 0)
  }

  @Test(arguments: AddressFamily.allCases)
  func dns(_ family: AddressFamily) throws {
    let topology = try Topology(realServers: 3)
    let addresses = (0..<3).map { Topology.realServer($0, family) }
    func dig(_ server: String, in host: NetworkNamespace, _ options: String...) throws -> String {
      let query = ["dig", "@" + server, "+short", "+tries=1", "+time=20", "who.test", "TXT"]
      let process = try ChildProcess(query + options, in: host)
      try process.waitForExit()
      return process.standardOutput.joined(separator: "\n")
    }
    let servers = try addresses.enumerated().map { number, address in
      try ChildProcess(
        [
          "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
          "--bind-interfaces", "--listen-address=" + address, "--user=root", "--pid-file=",
          "--log-facility=-", "--txt-record=who.test,srv\(number + 1)",
        ], in: topology.realServers[number])
    }
    for (number, address) in addresses.enumerated() {
      let host = topology.realServers[number]
      let answers = try waitUntil { try dig(address, in: host) == "\"srv\(number + 1)\"" }
      try #require(answers, "dnsmasq does not answer: \(servers[number].transcript)")
    }
    let daemon = try Daemon.start(
      BalancedService.arguments(family, servers: addresses, ports: [53]), in: topology.director)

    let virtualServer = Topology.virtualServer(family)
    let known = "-b" + Topology.clientAddress(family) + "#40001"
    for server in ["srv1", "srv2", "srv3", "srv1"] {
      #expect(try dig(virtualServer, in: topology.client) == "\"\(server)\"")
    }
    #expect(try dig(virtualServer, in: topology.client, known) == "\"srv2\"")
    #expect(try dig(virtualServer, in: topology.client) == "\"srv3\"")
    #expect(try dig(virtualServer, in: topology.client, known) == "\"srv2\"")
    #expect(try daemon.stop() == 0)
    for server in servers { #expect(server.isRunning) }
  }
}
