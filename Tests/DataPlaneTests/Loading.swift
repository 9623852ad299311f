// What the tests of this target load: ulb's own program, and small ones of libbcc's dialect.
import BCC
import CLayout
import Foundation
import LoadBalancing
import TestSupport

@testable import DataPlane

extension Configuration {
  static let fewPorts: [UInt16] = [5683, 5684]
  static let manyPorts: [UInt16] = Array(7001...7064)

  /// A small one, whose tables are made in no time.
  static func sample(
    _ family: AddressFamily = .ipv4, level: LogLevel = .error, debug: Int = 0,
    ports: [UInt16] = fewPorts, maxAssociations: UInt32 = 64
  ) -> Configuration {
    let texts =
      family == .ipv4
      ? ["10.40.0.1", "10.40.0.2", "10.40.0.3"]
      : ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
    let addresses = texts.compactMap { IPAddress($0) }
    return Configuration(
      interface: "eth0", virtualServer: addresses[0], realServers: Array(addresses[1...]),
      ports: ports
    ) {
      $0.debug = debug
      $0.logLevel = level
      $0.maxPorts = 64
      $0.maxAssociations = maxAssociations
    }
  }
}

extension DataPlane {
  /// The turns in force of a virtual server, as packets find them.
  func listInTables(_ number: UInt8 = 0, _ family: AddressFamily = .ipv4) throws -> [IPAddress] {
    func turns<Layout: FamilyLayout>(_ layout: Layout.Type) throws -> [IPAddress] {
      let service = tables.service
      let bank = try Control(tables.associations[family]![.control]).bank
      let servers = try TypedTable<UInt32, virtual_server>(service[.virtualServers])
      let rounds = try TypedTable<UInt32, slot_line>(service[.rounds])
      let slots = try TypedTable<UInt32, Layout.RealServer>(service[.realServers, family])
      guard let server = servers.lookup(2 * UInt32(number) + bank) else { return [] }
      return (0..<server.length).compactMap { index in
        let line = rounds.lookup(server.line + index / 32)
        let slot = line.map { line in
          withUnsafeBytes(of: line) {
            $0.load(fromByteOffset: 2 * Int(index % 32), as: UInt16.self)
          }
        }
        return slot.flatMap { slots.lookup(2 * UInt32($0) + bank) }.map(Layout.address)
      }
    }
    return try turns(family.layout)
  }

  /// The association table of a family.
  func associations(_ family: AddressFamily = .ipv4) -> AssociationTable {
    service.associations[family]!
  }

  /// Who of the clients is with whom, as it is read out.
  func servers(_ reader: AssociationReader? = nil) -> [ServedClient: IPAddress] {
    let reader = reader ?? readAssociations()
    var servers: [ServedClient: IPAddress] = [:]
    while let associations = reader.next() {
      for association in associations {
        let virtualServer = reader.virtualServers[Int(association.virtualServer)]
        let client = ServedClient(of: virtualServer.name, association.client)
        servers[client] = virtualServer.realServers[Int(association.realServer)]
      }
    }
    return servers
  }

  /// Puts the associations of clients of one virtual server into the tables.
  @discardableResult
  func restore(_ clients: [Client: IPAddress], of name: String? = nil) -> Restored {
    let virtualServer = configuration.virtualServers.first { $0.name == name }!
    let realServers = Array(Set(clients.values))
    return restore(
      clients.map { Association(client: $0, realServer: UInt32(realServers.firstIndex(of: $1)!)) },
      of: [
        SavedVirtualServer(
          name: name, address: virtualServer.address, roundPosition: 0, realServers: realServers)
      ])
  }
}

/// A client of one virtual server.
struct ServedClient: Hashable {
  /// `nil` for the command line's.
  let virtualServer: String?
  let client: Client

  init(of virtualServer: String? = nil, _ client: Client) {
    (self.virtualServer, self.client) = (virtualServer, client)
  }
}

/// Something that a test needs of its machine and does not have.
struct Unavailable: Error, CustomStringConvertible {
  let description: String
}

/// Compiles a source as the data plane does.
func module(_ source: String, flags: [String] = []) throws -> Module {
  try compiling {
    let headers = try KernelHeaderTree(.own)
    return try Module(source: source, compilerFlags: flags + headers.compilerFlags)
  }
}

/// Passes every frame.
let passSource = "int pass(struct xdp_md *ctx) { return XDP_PASS; }\n"

func passProgram() throws -> Program {
  let module = try module(passSource)
  return try compiling { try module.loadXDPProgram("pass") }
}

/// A namespace with two ends of a wire, `one` and `two`, gone when nobody holds it any more.
final class Wire: Sendable {
  let namespace: NetworkNamespace

  init() throws {
    namespace = try NetworkNamespace.create(named: "ulb-wire-\(UUID().uuidString.prefix(8))")
    for arguments in [
      ["link", "add", "one", "type", "veth", "peer", "name", "two"],
      // Without addresses the kernel sends nothing of its own, which a test would count.
      ["link", "set", "one", "addrgenmode", "none"], ["link", "set", "two", "addrgenmode", "none"],
      ["link", "set", "one", "up"], ["link", "set", "two", "up"],
    ] { try ip(arguments) }
  }

  deinit { try? namespace.delete() }

  /// Does work inside, on the calling thread: what it expects is this test's.
  func run<Value>(_ body: () throws -> Value) throws -> Value {
    let home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    let inside = open(namespace.path, O_RDONLY | O_CLOEXEC)
    defer {
      close(home)
      close(inside)
    }
    try Wire.enter(inside)
    let result = Result { try body() }
    // A thread that cannot go back would run other tests in the wrong place.
    try Wire.enter(home)
    return try result.get()
  }

  private static func enter(_ descriptor: Int32) throws {
    typealias SetNS = @convention(c) (Int32, Int32) -> Int32
    guard let address = dlsym(nil, "setns"),
      unsafeBitCast(address, to: SetNS.self)(descriptor, 0x4000_0000) == 0
    else { throw SystemError("enter a network namespace") }
  }

  func ip(_ arguments: [String]) throws {
    let child = try ChildProcess(["ip"] + arguments, in: namespace)
    guard try child.waitForExit() == 0 else {
      throw Unavailable(description: "ip \(arguments): \(child.transcript)")
    }
  }
}
