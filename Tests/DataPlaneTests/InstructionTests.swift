// How much the loaded program is, and that what is not compiled in is not there. No time is measured.
import BCC
import LoadBalancing
import TestSupport
import Testing

@testable import DataPlane

@Suite("Instructions", .serialized)
struct InstructionTests {
  /// The verifier gives up at this many instructions walked through.
  static let verifierLimit = 1_000_000

  private func info(_ configuration: Configuration) throws -> Program.Info {
    try compiling { try DataPlane(configuration).program.info() }
  }

  /// About a third more than what was measured: a change that costs more is to be noticed.
  @Test("few at the default level", arguments: AddressFamily.allCases)
  func bounded(family: AddressFamily) throws {
    let few = try info(.sample(family))
    #expect(few.name == "ulb")
    #expect(few.instructionCount < (family == .ipv4 ? 5800 : 6700))
    #expect(few.verifiedInstructionCount < 74_000)
    let many = try info(.sample(family, ports: Configuration.manyPorts))
    #expect(many.instructionCount < (family == .ipv4 ? 5900 : 6800))
    #expect(many.verifiedInstructionCount < 74_000)
  }

  @Test("the verifier's limit is far away at any level", arguments: AddressFamily.allCases, [0, 1])
  func verifier(family: AddressFamily, debug: Int) throws {
    let info = try info(.sample(family, level: .trace, debug: debug))
    #expect(info.verifiedInstructionCount < Self.verifierLimit / 10)
  }

  @Test("lists of clients are a few instructions more", arguments: AddressFamily.allCases)
  func lists(family: AddressFamily) throws {
    var configuration = Configuration.sample(family)
    let without = try info(configuration)
    for isStrict in [false, true] {
      configuration.lists.denied = NetworkList(file: "denied", networks: [])
      configuration.lists.isStrict = isStrict
      let with = try info(configuration)
      #expect(with.instructionCount > without.instructionCount)
      #expect(with.instructionCount < without.instructionCount + 200)
      #expect(with.verifiedInstructionCount < without.verifiedInstructionCount + 31_000)
    }
  }

  @Test("to verify gateways is a few instructions more", arguments: AddressFamily.allCases)
  func gateways(family: AddressFamily) throws {
    var configuration = Configuration.sample(family)
    let without = try info(configuration)
    configuration.verifiesGateway = true
    let with = try info(configuration)
    #expect(with.instructionCount > without.instructionCount)
    #expect(with.instructionCount < without.instructionCount + 100)
    #expect(with.verifiedInstructionCount < without.verifiedInstructionCount + 20_000)
  }

  /// Between the ends, the compiler may find a shorter form for more.
  @Test("fewest at the highest level, most at the lowest", arguments: AddressFamily.allCases)
  func levels(family: AddressFamily) throws {
    let counts = try LogLevel.allCases.sorted(by: >).map {
      try info(.sample(family, level: $0)).instructionCount
    }
    #expect(counts[1...].allSatisfy { counts[0] < $0 }, "\(counts)")
    #expect(counts.dropLast().allSatisfy { $0 < counts[counts.count - 1] }, "\(counts)")
  }

  @Test("trace points are only there from -d 1 on", arguments: AddressFamily.allCases)
  func tracePoints(family: AddressFamily) throws {
    let counts = try (0...4).map { try info(.sample(family, debug: $0)).instructionCount }
    #expect(counts[1...].allSatisfy { $0 > counts[0] }, "\(counts)")
  }

  /// What libbcc asks of clang for debuggers is left out where no dump wants it.
  @Test("the same with and without source lines", arguments: AddressFamily.allCases, [0, 1])
  func lines(family: AddressFamily, debug: Int) throws {
    let source = try Renderer.source(for: .sample(family, level: .debug, debug: debug))
    let infos = try [[], DebugFlags.byteCode].map { dumps in
      try compiling {
        let headers = try KernelHeaderTree(.own)
        let flags = LoadedProgram.Passes.libbcc.compilerFlags(for: dumps) + headers.compilerFlags
        return try Module(source: source, compilerFlags: flags).loadXDPProgram("ulb").info()
      }
    }
    #expect(infos[0].instructionCount == infos[1].instructionCount)
    #expect(infos[0].verifiedInstructionCount == infos[1].verifiedInstructionCount)
  }

  /// LLVM ends the process where a program takes more of the stack than the kernel gives it, 512 bytes.
  /// What most can be compiled in of: two virtual servers of each family, lists, next hops, trace points,
  /// and as many followed clients as can be.
  @Test(
    "the stack has room",
    arguments: [(.critical, 0), (.trace, 0), (.error, 1)] as [(LogLevel, Int)])
  func stack(level: LogLevel, debug: Int) throws {
    let families = [AddressFamily.ipv4, .ipv6].map { Configuration.sample($0).virtualServers[0] }
    for (hasLists, isFollowing) in [(false, false), (false, true), (true, false), (true, true)] {
      var configuration = Configuration.sample(level: level, debug: debug, maxAssociations: 4096)
      configuration.virtualServers = families.flatMap { [$0, Self.neighbour(of: $0)] }
      if hasLists {
        configuration.lists.denied = NetworkList(file: "denied", networks: [])
        configuration.verifiesGateway = true
      }
      let followed =
        isFollowing
        ? families.flatMap { virtualServer in
          (1...UInt16(DataPlane.mostFollowed / 2)).map {
            Client(address: virtualServer.realServers[0].address, port: $0)
          }
        } : []
      var plan = ServicePlan()
      _ = try plan.apply(configuration, mayGrow: true)
      let passes = LoadedProgram.Passes.attempts(configuration, following: followed).first
      let listing = try compiling {
        let headers = try KernelHeaderTree(.own)
        let source = try Renderer.source(
          for: configuration, plan.served,
          plan.sizes(maxRealServers: configuration.maxRealServers), following: followed, cpus: 2)
        return try Module(
          source: source, flags: .byteCode,
          compilerFlags: passes.compilerFlags(for: .byteCode) + headers.compilerFlags
        ).output
      }
      let depths = listing.matches(of: /\(r10 - (\d+)\)/).compactMap { Int($0.1) }
      let most = try #require(depths.max())
      #expect(most <= 480, "lists: \(hasLists), followed: \(isFollowing)")
    }
  }

  /// Another virtual server on the same ports, with a real server of its own.
  private static func neighbour(of virtualServer: VirtualServer) -> VirtualServer {
    func next(_ address: IPAddress) -> IPAddress {
      var octets = address.octets
      octets[octets.count - 1] += 100
      return IPAddress(octets: octets)
    }
    return VirtualServer(
      name: "neighbour of \(virtualServer.address)", address: next(virtualServer.address),
      ports: virtualServer.ports,
      realServers: [RealServer(next(virtualServer.realServers[0].address))])
  }

  /// At CRITICAL no row is an event. The helpers are 131, bpf_ringbuf_reserve, and 132,
  /// bpf_ringbuf_submit.
  @Test("no event, no ring buffer", arguments: AddressFamily.allCases)
  func ringBuffer(family: AddressFamily) throws {
    for (level, isThere) in [(LogLevel.critical, false), (.error, true), (.trace, true)] {
      let listing = try compiling {
        let headers = try KernelHeaderTree(.own)
        let source = try Renderer.source(for: .sample(family, level: level))
        return try Module(
          source: source, flags: .byteCode,
          compilerFlags: LoadedProgram.Passes.libbcc.compilerFlags(for: .byteCode)
            + headers.compilerFlags
        ).output
      }
      #expect((listing.contains("call 131") && listing.contains("call 132")) == isThere, "\(level)")
    }
  }
}
