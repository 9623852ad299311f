// What the tests of this target load: ulb's own program, and small ones of libbcc's dialect.
import BCC
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
  /// The list in force, as another process finds it.
  func listInTables() throws -> [IPAddress] {
    let tables = tables.all.map { ($0.name, $0.table) }
    guard case .present(let kept) = try KeptTables(Dictionary(uniqueKeysWithValues: tables)) else {
      return []
    }
    return kept.servers.list
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
