// ulb without systemd, stopped and started again on one network, with its files.
import AssociationFile
import Foundation
import LoadBalancing
import TestSupport

/// A network, its real servers, and the files of the daemons that a test runs there.
final class Stage {
  let topology: Topology
  let network: Network
  private let directory: TemporaryDirectory
  /// The config file.
  let file: String
  /// The state file.
  let state: String

  init(_ family: AddressFamily = .ipv4, servers: Int = 3) throws {
    topology = try Topology(realServers: servers)
    network = try Network(topology, family)
    directory = try TemporaryDirectory()
    file = directory.path(of: "servers.cfg")
    state = directory.path(of: "associations")
    try list(Array(0..<servers))
  }

  /// A path of the test's own.
  func path(_ name: String) -> String { directory.path(of: name) }

  func contents() throws -> [String] { try directory.contents() }

  /// Puts a list in the config file's place.
  func list(_ numbers: [Int], settings: String = "") throws {
    let section = settings.isEmpty ? "" : "[ulb]\n\(settings)\n"
    try replace(section + "[Real Servers]\n" + network.addresses(numbers).joined(separator: "\n"))
  }

  /// Puts a text in the config file's place.
  func replace(_ text: String) throws {
    let new = path("new")
    try text.write(toFile: new, atomically: false, encoding: .utf8)
    try need(["mv", "-T", new, file])
  }

  func arguments(_ options: [String] = []) -> [String] {
    ["lb0", "-vs", network.virtualServer.address, "-cfg", file, "-p", String(Network.port)]
      + options
  }

  func start(
    _ options: [String] = [], wrapper: [String] = [], environment: [String: String] = [:]
  ) throws -> Daemon {
    try Daemon.start(
      arguments(options), in: topology.director, wrapper: wrapper, environment: environment)
  }

  /// Starts a daemon with the state file.
  func startWithState(_ options: [String] = [], wrapper: [String] = []) throws -> Daemon {
    try start(["--state", state] + options, wrapper: wrapper)
  }
}

extension Daemon {
  /// How many lines begin with this, on both streams.
  func count(_ text: String) -> Int { process.lines.count { $0.text.contains(text) } }

  var errors: [String] { process.lines.map(\.text).filter { $0.hasPrefix("ERROR") } }
}

/// State files as the tests make and read them.
enum StateFiles {
  /// A whole file with this many clients of 10.0.0.0/8 (fd00::/96), spread over the real servers.
  static func bytes(
    clients: Int, servers: [String], position: UInt32 = 0, overrides: Overrides = Overrides()
  ) -> [UInt8] {
    let servers = servers.map { IPAddress($0)! }
    let family = servers[0].family
    let virtualServer = SavedVirtualServer(
      address: IPAddress(Topology.virtualServer(family))!, roundPosition: position,
      realServers: servers)
    var bytes = Preamble(virtualServers: [virtualServer], overrides: overrides).bytes
    let size = Record.size(family)
    let start = bytes.count
    bytes += [UInt8](repeating: 0, count: clients * size)
    bytes.withUnsafeMutableBytes { bytes in
      let octets = family == .ipv4 ? 4 : 16
      for client in 0..<clients {
        let at = start + client * size
        bytes[at] = family == .ipv4 ? 10 : 0xfd
        bytes.storeBytes(
          of: UInt16(truncatingIfNeeded: client >> 15), toByteOffset: at + octets - 2,
          as: UInt16.self)
        bytes.storeBytes(
          of: (UInt16(truncatingIfNeeded: client & 0x7fff) + 1_024).bigEndian,
          toByteOffset: at + octets, as: UInt16.self)
        bytes.storeBytes(
          of: UInt32(client % servers.count).littleEndian, toByteOffset: at + octets + 4,
          as: UInt32.self)
      }
    }
    var checksum = CRC32()
    bytes.withUnsafeBytes { checksum.update($0) }
    let count = UInt64(clients)
    return bytes
      + Format.trailer(
        recordCounts: family == .ipv4 ? (count, 0) : (0, count), checksum: checksum)
  }

  /// How many records a whole file has, and a sum of their clients that knows no order.
  static func read(_ path: String) throws -> (count: Int, sum: UInt64) {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    return try data.withUnsafeBytes { bytes in
      var (count, sum) = (0, 0 as UInt64)
      for records in try Format.check(bytes).records {
        let (place, size) = (records.place, Record.size(records.family))
        for at in stride(from: place.lowerBound, to: place.upperBound, by: size) {
          // How long ago it was used, and the servers' indices, may be others in another file.
          let port = at + size - 8
          var word: UInt64 = 14_695_981_039_346_656_037
          for part in stride(from: at, through: port, by: 4) {
            let octets = bytes.loadUnaligned(fromByteOffset: part, as: UInt32.self)
            word ^= UInt64(part < port ? octets : octets & UInt32(littleEndian: 0xffff))
            word = word &* 1_099_511_628_211
          }
          sum &+= word
        }
        count += records.count
      }
      return (count, sum)
    }
  }

  /// What a whole file holds, those that were used last first.
  static func associations(_ path: String) throws -> [Association] {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    return try data.withUnsafeBytes { bytes in
      let all = try Format.check(bytes).records.flatMap { records in
        Record.decode(
          UnsafeRawBufferPointer(rebasing: bytes[records.place]), records.family,
          version: records.version, rankedBy: records.ranking)
      }
      return all.sorted { $0.rank < $1.rank }
    }
  }

  /// What a whole file says that the control socket has set.
  static func overrides(_ path: String) throws -> Overrides {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    return try data.withUnsafeBytes { try Format.check($0).preamble.overrides }
  }

  static func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }
}
