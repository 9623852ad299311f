// Starting, reloading and stopping many times leaves nothing: no descriptor, kernel object or file.
import Foundation
import TestSupport
import Testing

@Suite struct LeakTests {
  private static let rounds = 200

  /// ulb's own names where programs leave files.
  private func files() throws -> Set<String> {
    var found: Set<String> = []
    for directory in ["/tmp", "/run", "/var/tmp", "/dev/shm", "/sys/fs/bpf"] {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
      found.formUnion(names.filter { $0.hasPrefix("ulb") }.map { directory + "/" + $0 })
    }
    return found.filter { !$0.contains("/ulb-tests-") }
  }

  /// - Returns: what the daemons held.
  private func startAndStop(rounds: Int) throws -> BPFObjects {
    let topology = try Topology(realServers: 0)
    let interface = topology.directorInterface
    let arguments = BalancedService.arguments(
      .ipv4, servers: (0..<3).map { Topology.realServer($0, .ipv4) })
    var seen = BPFObjects()
    for _ in 0..<rounds {
      let daemon = try Daemon.start(arguments, in: topology.director)
      let objects = BPFObjects.held(by: daemon.process.pid)
      #expect(!objects.programs.isEmpty && !objects.maps.isEmpty)
      seen = seen.union(objects)
      try #require(try daemon.stop() == 0)
      try #require(try interface.xdpProgram() == nil)
      // Nothing but the socket that the test itself put there.
      try #require(try daemon.directory.contents() == ["notify"])
    }
    return seen
  }

  @Test func reloading() throws {
    let service = try BalancedService(servers: 2, listed: [0], usingFile: true)
    let daemon = service.daemon
    let file = try #require(service.configFile)
    func reload(_ round: Int) throws {
      let number = round % 2
      try file.replace(with: [number, 1 - number].map(service.address(ofServer:)))
      daemon.process.send(signal: SIGHUP)
      try daemon.waitForNotification("READY=1", times: round + 1)
    }
    // What is made once, at the first reload, is no leak.
    for round in 1...2 { try reload(round) }
    let descriptors = try daemon.openDescriptors()
    let objects = BPFObjects.held(by: daemon.process.pid)
    for round in 3...(Self.rounds + 2) { try reload(round) }
    #expect(waitUntil { (try? daemon.openDescriptors()) == descriptors })
    #expect(waitUntil { BPFObjects.held(by: daemon.process.pid).count == objects.count })
    #expect(try Set(service.serversOfNewClients(2)) == ["srv1", "srv2"])
    #expect(try daemon.stop() == 0)
  }

  /// On two directors at once: most of the time is one CPU's, which compiles.
  @Test func startingAndStopping() async throws {
    let files = try files()
    let orphans = try BPFObjects.orphans()
    let lanes = 2
    let seen = try await withThrowingTaskGroup(of: BPFObjects.self) { group in
      for _ in 0..<lanes {
        group.addTask { try self.startAndStop(rounds: Self.rounds / lanes) }
      }
      return try await group.reduce(BPFObjects()) { $0.union($1) }
    }
    #expect(seen.programs.count >= Self.rounds)
    // The kernel frees in the background, and other tests' daemons have their own.
    var left = BPFObjects()
    let isClean = try waitUntil {
      left = try BPFObjects.all().intersection(seen)
        .union(BPFObjects.orphans().subtracting(orphans))
      return left.isEmpty
    }
    #expect(isClean, "left behind: \(left)")
    var leftFiles: Set<String> = []
    let isTidy = try waitUntil {
      leftFiles = try self.files().subtracting(files)
      return leftFiles.isEmpty
    }
    #expect(isTidy, "left behind: \(leftFiles)")
  }
}
