// What share of the new clients a real server is given: weights, both schedulers, draining.
import Foundation
import LoadBalancing
import TestSupport
import Testing

@Suite struct SharingTests {
  /// How many of 10,000 clients that are new came to each real server.
  private func countNewClients(of network: Network) throws -> [Int] {
    let before = network.servers.map(\.received.count)
    // No more under way than a socket has room for.
    for burst in 1...100 {
      for client in try network.newClients(100) { try client.send("!", to: network.virtualServer) }
      let haveCome = waitUntil {
        zip(network.servers, before).reduce(0) { $0 + $1.0.received.count - $1.1 } == 100 * burst
      }
      try #require(haveCome, "burst \(burst)")
    }
    return zip(network.servers, before).map { $0.received.count - $1 }
  }

  /// - Parameter deviation: how far from the weight's share of so many clients a count may be.
  private func expect(
    _ counts: [Int], near weights: [Int],
    within deviation: (_ clients: Double, _ share: Double) -> Double,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let (clients, all) = (Double(counts.reduce(0, +)), Double(weights.reduce(0, +)))
    for (count, weight) in zip(counts, weights) {
      let share = Double(weight) / all
      #expect(
        abs(Double(count) - clients * share) <= deviation(clients, share),
        "\(counts) for \(weights)", sourceLocation: sourceLocation)
    }
  }

  /// A hundredth of what is due to the server.
  private static func turns(_ clients: Double, _ share: Double) -> Double { 0.01 * clients * share }

  /// Four standard deviations of as many independent choices: below 3 in 100 clients.
  private static func chance(_ clients: Double, _ share: Double) -> Double {
    let deviation = 4 * (clients * share * (1 - share)).squareRoot()
    precondition(deviation < 0.03 * clients)
    return deviation
  }

  /// The first is the command line's virtual server, the second a further one.
  private func start(
    _ family: AddressFamily, scheduler: String, _ weights: [Int]
  ) throws -> (networks: [Network], director: ServedDirector) {
    let topology = try Topology(realServers: weights.count)
    let first = try Network(topology, family)
    let second = try Network(topology, family.other)
    func lines(_ network: Network, _ weights: [Int]) -> [String] {
      zip(network.serverAddresses, weights).map { "\($0) = weight \($1)" }
    }
    var text = ConfigText(realServers: lines(first, weights))
    text.settings = ["scheduler = \(scheduler)"]
    text.add(
      second.section("second", scheduler: scheduler, realServers: lines(second, weights.reversed()))
    )
    return ([first, second], try ServedDirector(first, text))
  }

  @Test(arguments: AddressFamily.allCases)
  func newClientsComeByTurnAsTheirServersWeigh(_ family: AddressFamily) throws {
    let (networks, director) = try start(family, scheduler: "round-robin", [1, 2, 5])
    // Never three in a row where they can be apart.
    let turns = try networks[0].serversOfNewClients(8)
    #expect(turns.count { $0 == "srv1" } == 1 && turns.count { $0 == "srv2" } == 2)
    #expect(!(turns + turns).joined(separator: " ").contains("srv3 srv3 srv3"), "\(turns)")
    #expect(try networks[0].serversOfNewClients(8) == turns)
    expect(try countNewClients(of: networks[0]), near: [1, 2, 5], within: Self.turns)
    expect(try countNewClients(of: networks[1]), near: [5, 2, 1], within: Self.turns)
    // Other weights while it serves.
    try director.reload {
      $0["second"].realServers = zip(networks[1].serverAddresses, [7, 0, 3]).map {
        "\($0) = weight \($1)"
      }
    }
    expect(try countNewClients(of: networks[1]), near: [7, 0, 3], within: Self.turns)
    #expect(try director.daemon.stop() == 0)
    #expect(director.errors == [])
  }

  /// The choice is a function of the client alone, so these counts are the same each time.
  @Test(arguments: AddressFamily.allCases)
  func newClientsAreSpreadByMaglevAsTheirServersWeigh(_ family: AddressFamily) throws {
    let (networks, director) = try start(family, scheduler: "maglev", [1, 2, 5])
    expect(try countNewClients(of: networks[0]), near: [1, 2, 5], within: Self.chance)
    expect(try countNewClients(of: networks[1]), near: [5, 2, 1], within: Self.chance)
    #expect(try director.daemon.stop() == 0)
    #expect(director.errors == [])
  }

  /// Two directors with the same servers choose alike, whatever the order of the list.
  @Test(arguments: AddressFamily.allCases)
  func maglevChoosesAlikeEverywhere(_ family: AddressFamily) throws {
    var choices: [[String]] = []
    for order in [[0, 1, 2, 3], [2, 0, 3, 1]] {
      let topology = try Topology(realServers: 4)
      let network = try Network(topology, family)
      var text = ConfigText(realServers: network.addresses(order))
      text.settings = ["scheduler = maglev"]
      let director = try ServedDirector(network, text)
      // New topologies count their clients' ports from the same one.
      choices.append(try network.serversOfNewClients(100))
      #expect(try director.daemon.stop() == 0)
    }
    #expect(choices[0] == choices[1])
    #expect(Set(choices[0]) == ["srv1", "srv2", "srv3", "srv4"])
  }

  enum Words: String, CaseIterable {
    case drain
    case weight0 = "weight 0"
    case both = "DRAIN, weight 3"
  }

  @Test(arguments: AddressFamily.allCases, Words.allCases)
  func aDrainedServerKeepsItsClients(_ family: AddressFamily, _ words: Words) throws {
    try drain(family, "round-robin", words.rawValue)
  }

  @Test(arguments: AddressFamily.allCases)
  func aServerDrainedFromMaglevKeepsItsClients(_ family: AddressFamily) throws {
    try drain(family, "maglev", "drain")
  }

  /// Drains the second server of a virtual server, of the command line's in one family and of another
  /// in the other, and then removes it.
  private func drain(_ family: AddressFamily, _ scheduler: String, _ words: String) throws {
    let topology = try Topology(realServers: 3)
    let first = try Network(topology, .ipv4)
    let second = try Network(topology, .ipv6)
    let network = family == .ipv4 ? first : second
    var text = ConfigText(realServers: first.serverAddresses)
    text.settings = ["scheduler = \(scheduler)"]
    text.add(second.section("second", scheduler: scheduler))
    let director = try ServedDirector(first, text)
    func list(_ lines: [String]) throws {
      try director.reload {
        if family == .ipv4 { $0.realServers = lines } else { $0["second"].realServers = lines }
      }
    }

    let clients = try network.newClients(30)
    let servers = network.servers(of: clients)
    #expect(Set(servers) == ["srv1", "srv2", "srv3"])
    let traffic = Traffic(clients, to: network.virtualServer)
    var lines = network.serverAddresses
    lines[1] += " = \(words)"
    try list(lines)
    let new = try network.newClients(30)
    let serversOfNew = network.servers(of: new)
    #expect(Set(serversOfNew) == ["srv1", "srv3"])
    #expect(traffic.waitForProgress())
    // What it sends first still makes an association, and its client stays.
    let called = try network.newClient()
    try network.servers[1].send("news", to: called.endpoint)
    #expect(
      try called.receive() == ReceivedDatagram(payload: "news", source: network.virtualServer))
    #expect(network.servers(of: [called]) == ["srv2"])
    // In service again and drained again, nobody moves.
    try list(network.serverAddresses)
    #expect(try Set(network.serversOfNewClients(30)) == ["srv1", "srv2", "srv3"])
    try list(lines.reversed())
    #expect(try Set(network.serversOfNewClients(30)) == ["srv1", "srv3"])
    #expect(network.servers(of: new) == serversOfNew)
    #expect(traffic.waitForProgress())
    let record = traffic.stop()
    #expect(record.unanswered == 0)
    #expect(record.servers == servers.map { [$0] })

    // Removed: those that it has left move, the others do not.
    lines.remove(at: 1)
    try list(lines)
    let after = network.servers(of: clients + [called])
    for index in clients.indices {
      if servers[index] == "srv2" {
        #expect(["srv1", "srv3"].contains(after[index]))
      } else {
        #expect(after[index] == servers[index])
      }
    }
    #expect(["srv1", "srv3"].contains(after[clients.count]))
    #expect(network.servers(of: clients + [called]) == after)
    #expect(try director.daemon.stop() == 0)
    #expect(director.errors == [])
  }
}
